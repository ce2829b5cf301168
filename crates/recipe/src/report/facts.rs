//! What the stages have written, as the report tells it. A file that is not there or not understood tells nothing.

use std::path::Path;

use serde_json::Value;
use t5kit_formats::checkpoint::Checkpoint;
use t5kit_formats::html::{megabytes, short, thousands};
use t5kit_formats::lang::{Lang, Texts, fill};
use t5kit_formats::table::{ColumnRef, TableOptions, open};
use t5kit_train::{Curves, LOG};

use super::Story;
use crate::split::{SPLIT, SplitRecord};
use crate::stages::made;

/// Outputs that are shown.
const SHOWN: usize = 6;
/// Characters of a text that are shown.
const LENGTH: usize = 160;

/// A step, and what was found there by name.
type Best = (u64, Vec<(String, f64)>);

/// All of it.
#[derive(Default)]
pub struct Facts {
    pub data: Option<SplitRecord>,
    pub trim: Option<t5kit_trim::Report>,
    pub curves: Option<Curves>,
    /// The best validation: step, and values by name.
    pub best: Option<Best>,
    /// The same of pre-training.
    pretrained: (Option<Curves>, Option<Best>),
    pub evaluation: Option<Table>,
    /// Columns of the outputs, and the first of them.
    pub outputs: Option<(Vec<String>, Vec<Vec<String>>)>,
    /// What came of each stage, in a line.
    pub came: Vec<(&'static str, String)>,
}

/// The table of an evaluation.
pub struct Table {
    pub examples: u64,
    /// Names of the metrics.
    pub metrics: Vec<String>,
    pub rows: Vec<Row>,
}

/// A model in it.
pub struct Row {
    pub model: String,
    /// In percent, and half the width of the 95 % interval.
    pub values: Vec<(f64, Option<f64>)>,
    pub samples_per_second: Option<f64>,
    pub tokens_per_second: Option<f64>,
    pub relative: Option<f64>,
    pub peak_bytes: Option<u64>,
}

impl Facts {
    pub fn read(story: &Story<'_>) -> Self {
        let output = &story.recipe.output;
        let has = |name: &str| story.stages.iter().any(|stage| stage.name == name);
        let mut facts = Facts::default();
        if has("data") {
            facts.data = from_json(&output.join(made::DATA).join(SPLIT));
        }
        if has("trim") {
            facts.trim = from_json(&output.join(made::TRIMMED).join("trim_report.json"));
        }
        if has("pretrain")
            && let Ok(log) = std::fs::read_to_string(output.join(made::PRETRAINED).join(LOG))
        {
            facts.pretrained = (Some(Curves::read(&log)), best(&log));
        }
        if has("finetune")
            && let Ok(log) = std::fs::read_to_string(output.join(made::RUN).join(LOG))
        {
            facts.best = best(&log);
            facts.curves = Some(Curves::read(&log));
        }
        if has("evaluate") {
            let folder = output.join(made::EVALUATION);
            facts.evaluation = from_json(&folder.join("evaluation.json")).as_ref().and_then(table);
            facts.outputs = outputs(&folder.join("predictions.tsv"));
        }
        facts.came = story
            .stages
            .iter()
            .map(|stage| (stage.name, facts.came(stage.name, output, story.lang)))
            .collect();
        facts
    }

    /// What came of a stage.
    fn came(&self, stage: &str, output: &Path, lang: Lang) -> String {
        let t = lang.texts();
        match stage {
            "model" => model(&output.join(made::MODEL), lang),
            "count" => {
                std::fs::metadata(output.join(made::COUNTS)).map_or(String::new(), |_| made::COUNTS.into())
            }
            "trim" => self.trim.as_ref().map_or(String::new(), |trim| {
                let v = &trim.vocabulary;
                let (kept, all) = (thousands(v.pieces_after), thousands(v.pieces_before));
                let mut said = fill(t.recipes.recipe_kept, &[("kept", &kept), ("all", &all)]);
                if let Some(coverage) = &trim.coverage {
                    let share = format!("{:.4} %", 100.0 * coverage.share);
                    said += &fill(t.recipes.recipe_coverage, &[("share", &share)]);
                }
                if let Some(sizes) = &trim.model {
                    let (after, before) = (megabytes(sizes.after.bytes), megabytes(sizes.before.bytes));
                    said += &fill(t.recipes.recipe_weights, &[("after", &after), ("before", &before)]);
                }
                said
            }),
            "data" => self.data.as_ref().map_or(String::new(), |data| {
                let part = |part: &crate::PartRecord| {
                    format!("{} {}", thousands(part.rows as u64), part_name(&part.name, t))
                };
                data.parts.iter().map(part).collect::<Vec<_>>().join(", ")
            }),
            "pretrain" => trained(&self.pretrained.0, &self.pretrained.1, t),
            "finetune" => trained(&self.curves, &self.best, t),
            "evaluate" => self.evaluation.as_ref().map_or(String::new(), |table| {
                fill(t.recipes.recipe_examples, &[("n", &thousands(table.examples))])
            }),
            "export" => model(&output.join(made::EXPORT), lang),
            _ => String::new(),
        }
    }
}

/// The steps of a run and its best validation.
fn trained(curves: &Option<Curves>, best: &Option<Best>, t: &Texts) -> String {
    let steps = curves.as_ref().and_then(|curves| curves.loss.last()).map_or(0, |p| p.0 as u64);
    let mut said = fill(t.recipes.recipe_steps, &[("n", &thousands(steps))]);
    if let Some((step, values)) = best {
        let decisive = values.iter().find(|(name, _)| name != "valid_loss").or(values.first());
        if let Some((name, value)) = decisive {
            let name = if name == "valid_loss" { t.pages.validation_loss } else { name };
            let at = fill(t.pages.best_at, &[("step", &thousands(*step))]);
            said += &format!(", {name} {value:.4} ({at})");
        }
    }
    said
}

/// `train`, `valid` or `test` for people.
pub fn part_name(name: &str, t: &Texts) -> &'static str {
    match name {
        "train" => t.pages.part_training,
        "valid" => t.pages.part_validation,
        _ => t.recipes.recipe_part_test,
    }
}

/// Parameters and bytes of the weights in a folder.
fn model(folder: &Path, lang: Lang) -> String {
    let t = lang.texts();
    let Ok(checkpoint) = Checkpoint::open(folder) else { return String::new() };
    let (mut parameters, mut bytes) = (0, 0);
    for name in checkpoint.names() {
        if let Ok((dtype, shape)) = checkpoint.info(name) {
            let elements = shape.iter().product::<usize>();
            parameters += elements as u64;
            bytes += (elements * dtype.size()) as u64;
        }
    }
    fill(t.recipes.recipe_model, &[("parameters", &short(lang, parameters)), ("bytes", &megabytes(bytes))])
}

fn from_json<T: serde::de::DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// The last validation that was the best so far.
fn best(log: &str) -> Option<Best> {
    let records = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let best = records.rev().find(|record| record["best"] == true)?;
    let values = best.as_object()?.iter().filter(|(name, _)| !["step", "epoch"].contains(&name.as_str()));
    let values = values.filter_map(|(name, value)| Some((name.clone(), value.as_f64()?))).collect();
    Some((best["step"].as_u64()?, values))
}

/// The table of an evaluation.json.
fn table(json: &Value) -> Option<Table> {
    let models = json["models"].as_array()?;
    let metrics: Vec<String> = models.first()?["metrics"].as_object()?.keys().cloned().collect();
    let rows = models.iter().map(|model| {
        let values = metrics.iter().map(|name| {
            let figure = &model["metrics"][name];
            let percent = |key: &str| figure[key].as_f64().map(|x| x * scale(name));
            let half = percent("low").zip(percent("high")).map(|(low, high)| (high - low) / 2.0);
            (percent("value").unwrap_or(f64::NAN), half)
        });
        let speed = |key: &str| model["speed"][key].as_f64();
        Row {
            model: model["model"].as_str().unwrap_or_default().to_owned(),
            values: values.collect(),
            samples_per_second: speed("samples_per_second"),
            tokens_per_second: speed("new_tokens_per_second").or(speed("tokens_per_second")),
            relative: speed("relative"),
            peak_bytes: model["peak_memory_bytes"].as_u64(),
        }
    });
    Some(Table { examples: json["examples"].as_u64()?, rows: rows.collect(), metrics })
}

/// What makes a figure percent: some packages give that already.
fn scale(name: &str) -> f64 {
    let percent = ["sacrebleu", "chrf", "ter"].iter().any(|package| name.starts_with(package));
    if percent { 1.0 } else { 100.0 }
}

/// The columns of a predictions.tsv and its first rows.
fn outputs(path: &Path) -> Option<(Vec<String>, Vec<Vec<String>>)> {
    let options = TableOptions { has_header: Some(true), ..TableOptions::default() };
    let names: Vec<String> = t5kit_formats::table::Table::open(path, &options)
        .ok()?
        .names()
        .into_iter()
        .map(String::from)
        .collect();
    let columns: Vec<ColumnRef> = (1..=names.len()).map(ColumnRef::Number).collect();
    let rows = open(path, &columns, &options).ok()?.take(SHOWN);
    let rows: Vec<Vec<String>> = rows.filter_map(|row| Some(row.ok()?.values)).collect();
    Some((names, rows))
}

/// The beginning of a text.
pub fn shorten(text: &str) -> String {
    match text.char_indices().nth(LENGTH) {
        Some((end, _)) => text[..end].to_owned() + "…",
        None => text.to_owned(),
    }
}
