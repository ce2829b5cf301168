//! A recipe that was understood: what is asked of each stage.

use std::path::{Path, PathBuf};

use crate::error::{Error, at};
use crate::keys::{Program, own};
use crate::stages::{Stage, stages};
use crate::understand::{Settings, Word, missing, section, settings};
use t5kit_formats::toml::{self, Node, Place, Section};

/// A recipe.
pub struct Recipe {
    /// What the report calls it.
    pub name: String,
    /// The folder of everything that is made.
    pub output: PathBuf,
    /// The recipe's file.
    pub path: PathBuf,
    /// What was set over the file, as it was typed.
    pub sets: Vec<String>,
    pub(crate) seed: Option<Word>,
    pub(crate) threads: Option<Word>,
    pub(crate) parts: Parts,
}

/// What is asked of the stages.
#[derive(Default)]
pub(crate) struct Parts {
    pub model: Option<Settings>,
    pub trim: Option<Settings>,
    pub count: Option<Settings>,
    pub data: Option<Settings>,
    pub pretrain: Option<Settings>,
    pub finetune: Option<Settings>,
    pub evaluate: Option<Settings>,
    pub compare: Vec<Settings>,
    pub export: Option<Settings>,
}

impl Recipe {
    /// Reads the recipe at path, with `sets` (`section.key=value`) put over it. `program` says which flags there are.
    ///
    /// # Errors
    /// A file that cannot be read; keys that there are none of, values of another kind, combinations that mean nothing,
    /// each with its place.
    pub fn read(path: &Path, sets: &[String], program: &Program) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|error| Error::File {
            path: path.to_path_buf(),
            what: match error.kind() {
                std::io::ErrorKind::NotFound => "no such file; `t5kit recipe new` writes one".to_owned(),
                std::io::ErrorKind::InvalidData => "is not UTF-8; save it as UTF-8".to_owned(),
                _ => format!("cannot be read: {error}"),
            },
        })?;
        // Editors of Windows begin a file with a mark.
        let recipe = toml::read(path, text.trim_start_matches('\u{feff}'), sets)?;
        let parts = parts(&recipe.root, program)?;
        let inner = ["model", "trim", "data", "pretrain", "finetune", "evaluate", "compare", "export"];
        let top = settings(program, "", "", &own(""), &recipe.root, &recipe.place, &inner)?;
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let home = path.parent().unwrap_or(Path::new(""));
        let output = match recipe.root.get("output") {
            Some(entry) => entry.value.home.join(top.word("output").map(Word::typed).unwrap_or_default()),
            None => home.join(format!("{stem}.run")),
        };
        let name = top.word("name").map(Word::typed).unwrap_or(stem);
        let (seed, threads) = (top.word("seed").cloned(), top.word("threads").cloned());
        let recipe =
            Recipe { name, output, path: path.to_path_buf(), sets: sets.to_vec(), seed, threads, parts };
        recipe.check(&Place::of_file(path))?;
        Ok(recipe)
    }

    /// Combinations that mean nothing.
    fn check(&self, whole: &Place) -> Result<(), Error> {
        let p = &self.parts;
        let Some(model) = &p.model else {
            return Err(at(whole, "has no [model]: say with path which model everything begins from"));
        };
        if model.get("path").is_none() && model.get("config").is_none() {
            let what =
                "[model] has neither path, a model, nor config, a configuration to begin from random weights";
            return Err(at(&model.place, what));
        }
        for flag in ["init-seed", "architecture", "halve-layers"] {
            if let (Some(setting), Some(_)) = (model.get(flag), model.get("path")) {
                let name = flag.replace('-', "_");
                let why = "is about random weights, and path names a model that has its own";
                return Err(at(&setting.place, format!("model.{name} {why}")));
            }
        }
        if model.get("path").is_none() && model.get("tokenizer").is_none() {
            return Err(at(&model.place, "[model] config alone needs tokenizer beside it"));
        }
        if let Some(data) = &p.data {
            self.check_data(data)?;
        }
        if let Some(pretrain) = &p.pretrain {
            for (flag, key, what) in [
                ("data", "data", "the text to learn from"),
                ("max-steps", "max_steps", "the steps after which it ends"),
            ] {
                if pretrain.get(flag).is_none() {
                    return Err(at(&pretrain.place, format!("[pretrain] needs {key}: {what}")));
                }
            }
        }
        let wants = |settings: &Option<Settings>, what: &str| match (settings, &p.data) {
            (Some(settings), None) => Err(at(&settings.place, format!("[{what}] needs [data]"))),
            _ => Ok(()),
        };
        wants(&p.finetune, "finetune")?;
        wants(&p.evaluate, "evaluate")?;
        if let (Some(finetune), Some(data)) = (&p.finetune, &p.data)
            && data.get("file").is_none()
            && data.get("train").is_none()
        {
            return Err(at(
                &finetune.place,
                "[finetune] needs training examples: give data.file or data.train",
            ));
        }
        if let (Some(evaluate), Some(data)) = (&p.evaluate, &p.data)
            && data.get("test").is_none()
            && data.get("valid").is_none()
        {
            return Err(at(
                &evaluate.place,
                "[evaluate] needs examples that were not trained on: give data.test",
            ));
        }
        if let (Some(first), None) = (p.compare.first(), &p.evaluate) {
            return Err(at(&first.place, "[[compare]] is about the table of [evaluate], which is missing"));
        }
        if let (Some(count), Some(trim)) = (&p.count, &p.trim) {
            if count.get("inputs").is_none() && count.get("merge").is_none() {
                return Err(at(&count.place, "[trim.count] needs inputs: the files to count"));
            }
            if let Some(keep) = trim.get("keep-tokens") {
                return Err(at(
                    &keep.place,
                    "trim.keep_tokens says which rows stay, so [trim.count] decides nothing",
                ));
            }
        }
        if [&p.trim, &p.pretrain, &p.finetune, &p.evaluate, &p.export, &p.data]
            .iter()
            .all(|part| part.is_none())
        {
            return Err(at(
                whole,
                "asks for nothing: add [trim], [pretrain], [data] with [finetune], [evaluate] or [export]",
            ));
        }
        Ok(())
    }

    /// Parts of the data that are neither cut from a file nor have one.
    fn check_data(&self, data: &Settings) -> Result<(), Error> {
        let parts = ["train", "valid", "test"].map(|part| data.get(part));
        if data.get("file").is_none() {
            if parts.iter().all(Option::is_none) {
                return Err(at(&data.place, "[data] has neither file nor train, valid, test"));
            }
            for part in parts.into_iter().flatten() {
                if part.words.iter().any(|word| is_size(&word.typed())) {
                    let what = format!(
                        "{} is a number of rows, and there is no data.file to take them from",
                        part.key
                    );
                    return Err(at(&part.place, what));
                }
            }
        }
        Ok(())
    }

    /// The first file that is named and is not there.
    ///
    /// # Errors
    /// It, with its place.
    pub fn check_files(&self) -> Result<(), Error> {
        let p = &self.parts;
        let all = [&p.model, &p.trim, &p.count, &p.data, &p.pretrain, &p.finetune, &p.evaluate, &p.export];
        let settings = all.into_iter().flatten().chain(&p.compare);
        settings.into_iter().find_map(missing).map_or(Ok(()), Err)
    }

    /// Its stages, in order.
    pub fn stages(&self, program: &Program) -> Vec<Stage> {
        stages(self, program)
    }
}

/// Whether a part of the data is given as a number or a share of rows.
pub(crate) fn is_size(text: &str) -> bool {
    text.parse::<f64>().is_ok()
}

fn parts(root: &Section, program: &Program) -> Result<Parts, Error> {
    let one = |name: &'static str, inner: &[&str]| {
        root.get(name).map(|entry| section(program, name, entry, inner)).transpose()
    };
    let trim = one("trim", &["count"])?;
    let count = root.get("trim").and_then(|entry| match &entry.value.node {
        Node::Section(trim) => trim.get("count"),
        _ => None,
    });
    let mut compare = Vec::new();
    if let Some(entry) = root.get("compare") {
        let Node::List(models) = &entry.value.node else {
            return Err(at(
                &entry.value.place,
                "compare is a list of sections: write [[compare]] and model below it",
            ));
        };
        for model in models {
            let Node::Section(inner) = &model.node else {
                return Err(at(
                    &model.place,
                    "compare is a list of sections: write [[compare]] and model below it",
                ));
            };
            let settings = settings(program, "compare", "", &own("compare"), inner, &model.place, &[])?;
            if settings.get("model").is_none() {
                return Err(at(&model.place, "[[compare]] has no model"));
            }
            compare.push(settings);
        }
    }
    Ok(Parts {
        model: one("model", &[])?,
        count: count.map(|entry| section(program, "trim.count", entry, &[])).transpose()?,
        trim,
        data: one("data", &[])?,
        pretrain: one("pretrain", &[])?,
        finetune: one("finetune", &[])?,
        evaluate: one("evaluate", &[])?,
        compare,
        export: one("export", &[])?,
    })
}
