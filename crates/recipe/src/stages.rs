//! The stages of a recipe: command lines of the program, what each reads and what it writes.

use std::path::{Path, PathBuf};

use t5kit_formats::lang::Lang;

use crate::keys::{Given, Program};
use crate::recipe::Recipe;
use crate::understand::{Setting, Settings, Word};
use t5kit_formats::toml::Place;

/// What stages write, within the output folder.
pub(crate) mod made {
    pub const MODEL: &str = "model";
    pub const COUNTS: &str = "counts.tsv";
    pub const TRIMMED: &str = "trimmed";
    pub const DATA: &str = "data";
    pub const PRETRAINED: &str = "pretrained";
    pub const RUN: &str = "run";
    pub const EVALUATION: &str = "evaluation";
    pub const EXPORT: &str = "export";
}

/// A stage.
pub struct Stage {
    /// Its name: `model`, `count`, `trim`, `data`, `pretrain`, `finetune`, `evaluate` or `export`.
    pub name: &'static str,
    /// Its arguments, the subcommand first.
    pub(crate) arguments: Vec<Argument>,
    /// The stages whose output it reads.
    pub(crate) after: Vec<&'static str>,
    /// Where its section stands.
    pub place: Place,
    /// The flags that the recipe gives it.
    pub given: Vec<Given>,
    /// What it writes.
    pub output: PathBuf,
    /// Files that are there when it is done, within what it writes; it itself has to be there in any case.
    pub(crate) results: Vec<&'static str>,
    /// Whether its subcommand has `--resume` and `--force`.
    pub(crate) resumes: bool,
    pub(crate) forces: bool,
}

/// An argument of a stage.
#[derive(Clone, Debug)]
pub(crate) enum Argument {
    /// A word of the recipe, or of the stage itself.
    Word(Word),
    /// A place within the output folder.
    Made(String),
}

/// How a stage is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// From the beginning, where nothing is.
    New,
    /// From where it stopped.
    Resume,
    /// From the beginning, over what is there.
    Again,
}

impl Stage {
    /// What people call it.
    pub fn called(&self, lang: Lang) -> &'static str {
        called(self.name, lang)
    }

    /// The arguments as they are typed, the subcommand first.
    pub fn command(&self, output: &Path, how: How) -> Vec<String> {
        let mut words: Vec<String> = self
            .arguments
            .iter()
            .map(|argument| match argument {
                Argument::Word(word) => word.typed(),
                Argument::Made(name) => output.join(name).to_string_lossy().into_owned(),
            })
            .collect();
        match how {
            How::Resume if self.resumes => words.push("--resume".into()),
            // What was begun is the recipe's own.
            How::Resume | How::Again if self.forces => words.push("--force".into()),
            _ => {}
        }
        words
    }

    /// Whether there is anything of what it makes.
    pub(crate) fn has_output(&self) -> bool {
        self.output.exists()
    }

    /// Whether all that it makes is there.
    pub(crate) fn is_there(&self) -> bool {
        self.has_output() && self.results.iter().all(|name| self.output.join(name).exists())
    }
}

/// What people call the stage of this name.
pub(crate) fn called(name: &'static str, lang: Lang) -> &'static str {
    let t = &lang.texts().recipes;
    match name {
        "model" => t.stage_model,
        "count" => t.stage_count,
        "trim" => t.stage_trim,
        "data" => t.stage_data,
        "pretrain" => t.stage_pretrain,
        "finetune" => t.stage_finetune,
        "evaluate" => t.stage_evaluate,
        "export" => t.stage_export,
        other => other,
    }
}

/// A command line that is being put together.
struct Line<'a> {
    program: &'a Program,
    output: &'a Path,
    subcommand: &'static str,
    arguments: Vec<Argument>,
    given: Vec<Given>,
}

impl<'a> Line<'a> {
    fn new(program: &'a Program, output: &'a Path, subcommand: &'static str) -> Self {
        let mut line = Line { program, output, subcommand, arguments: Vec::new(), given: Vec::new() };
        line.text(subcommand);
        line
    }

    fn text(&mut self, text: impl Into<String>) {
        self.arguments.push(Argument::Word(Word::Text(text.into())));
    }

    fn made(&mut self, flag: &str, name: &str) {
        self.text(format!("--{flag}"));
        self.arguments.push(Argument::Made(name.to_owned()));
    }

    fn flag(&mut self, flag: &str, word: Argument) {
        self.text(format!("--{flag}"));
        self.arguments.push(word);
    }

    /// A setting as a flag of this name.
    fn set(&mut self, flag: &str, setting: &Setting) {
        let (key, place) = (setting.key.clone(), setting.place.clone());
        self.given.push(Given { key, flag: flag.to_owned(), place });
        if setting.words.is_empty() {
            return self.text(format!("--{flag}"));
        }
        for word in &setting.words {
            self.flag(flag, Argument::Word(word.clone()));
        }
    }

    fn all(&mut self, settings: &Settings) {
        settings.settings.iter().for_each(|setting| self.set(&setting.flag, setting));
    }

    /// A setting of the whole recipe, where the subcommand has such a flag and the section says nothing of its own.
    fn common(&mut self, flag: &str, word: Option<&Word>) {
        if let Some(word) = word
            && self.program.has(self.subcommand, flag)
            && !self.given.iter().any(|given| given.flag == flag)
        {
            self.flag(flag, Argument::Word(word.clone()));
        }
    }

    fn stage(
        self,
        name: &'static str,
        after: &[Option<&'static str>],
        place: &Place,
        made: &str,
        results: &[&'static str],
    ) -> Stage {
        let has = |flag| self.program.has(self.subcommand, flag);
        Stage {
            name,
            resumes: has("resume"),
            forces: has("force"),
            arguments: self.arguments,
            after: after.iter().copied().flatten().collect(),
            place: place.clone(),
            given: self.given,
            output: self.output.join(made),
            results: results.to_vec(),
        }
    }
}

/// The model as a stage begins from it: flags of the user's, or what a stage has made.
#[derive(Clone)]
struct Begin {
    /// The stage that made it.
    stage: Option<&'static str>,
    made: Option<&'static str>,
}

/// The stages of a recipe, in order.
pub(crate) fn stages(recipe: &Recipe, program: &Program) -> Vec<Stage> {
    let p = &recipe.parts;
    let line = |subcommand| Line::new(program, &recipe.output, subcommand);
    let model = p.model.as_ref().expect("a recipe without a model is refused");
    let mut stages = Vec::new();
    let mut begin = Begin { stage: None, made: None };
    // Trimming reads a model as it lies; all else is made first, and so is what is only a configuration.
    let plain = |setting: &&Setting| !["path", "tokenizer", "revision"].contains(&setting.flag.as_str());
    let converts =
        |setting: &&Setting| ["dtype", "add-tokens", "max-shard-size"].contains(&setting.flag.as_str());
    // Training reads a model in every way there is; what comes without it reads a folder.
    let folder = p.trim.is_some() || p.pretrain.is_none() && p.finetune.is_none();
    let odd = model.settings.iter().any(|setting| folder && plain(&setting) || converts(&setting));
    if odd || model.get("path").is_none() {
        let mut convert = line("convert");
        match model.get("path") {
            Some(path) => convert.set("model", path),
            None => convert.set("model", model.get("config").expect("one of them is there")),
        }
        let random = model.get("path").is_none();
        for setting in model.settings.iter().filter(|s| s.flag != "path" && !(random && s.flag == "config")) {
            convert.set(&setting.flag, setting);
        }
        convert.made("output", made::MODEL);
        stages.push(convert.stage("model", &[], &model.place, made::MODEL, &["config.json"]));
        begin = Begin { stage: Some("model"), made: Some(made::MODEL) };
    }
    if let Some(trim) = &p.trim {
        let counts = p.count.as_ref().map(|settings| {
            let mut count = line("count");
            for word in settings.get("inputs").into_iter().flat_map(|inputs| &inputs.words) {
                count.arguments.push(Argument::Word(word.clone()));
            }
            let tokenizer = model.word("tokenizer").or(model.word("path"));
            match (begin.made, tokenizer) {
                (Some(made), _) => count.made("tokenizer", made),
                (None, word) => {
                    count.flag("tokenizer", Argument::Word(word.expect("there is a path").clone()))
                }
            }
            let rest = settings.settings.iter().filter(|setting| setting.flag != "inputs");
            rest.for_each(|setting| count.set(&setting.flag, setting));
            count.common("threads", recipe.threads.as_ref());
            count.made("output", made::COUNTS);
            stages.push(count.stage("count", &[begin.stage], &settings.place, made::COUNTS, &[]));
            "count"
        });
        let mut cut = line("trim");
        begin_from(&mut cut, &begin, model, &["tokenizer", "revision"]);
        cut.all(trim);
        if counts.is_some() {
            cut.made("counts", made::COUNTS);
        }
        cut.made("output", made::TRIMMED);
        stages.push(cut.stage(
            "trim",
            &[begin.stage, counts],
            &trim.place,
            made::TRIMMED,
            &["trim_report.json"],
        ));
        begin = Begin { stage: Some("trim"), made: Some(made::TRIMMED) };
    }
    let data = p.data.as_ref().map(|settings| {
        let mut split = line("split");
        if let Some(file) = settings.get("file") {
            split.set("input", file);
        }
        let rest = settings.settings.iter().filter(|setting| setting.flag != "file");
        rest.for_each(|setting| split.set(&setting.flag, setting));
        split.common("seed", recipe.seed.as_ref());
        split.made("output", made::DATA);
        stages.push(split.stage("data", &[], &settings.place, made::DATA, &["split.json"]));
        "data"
    });
    if let Some(pretrain) = &p.pretrain {
        let mut train = line("pretrain");
        begin_from(&mut train, &begin, model, &[]);
        train.all(pretrain);
        train.common("seed", recipe.seed.as_ref());
        train.common("threads", recipe.threads.as_ref());
        train.made("output", made::PRETRAINED);
        let (after, place) = ([begin.stage], &pretrain.place);
        stages.push(train.stage("pretrain", &after, place, made::PRETRAINED, &["report.html"]));
        begin = Begin { stage: Some("pretrain"), made: Some(made::PRETRAINED) };
    }
    let has = |part: &str| p.data.as_ref().is_some_and(|data| data.get(part).is_some());
    let part = |name: &str| format!("{}/{name}.tsv", made::DATA);
    if let Some(finetune) = &p.finetune {
        let mut train = line("finetune");
        begin_from(&mut train, &begin, model, &[]);
        train.made("train", &part("train"));
        if has("valid") {
            train.made("valid", &part("valid"));
        }
        columns(&mut train);
        train.all(finetune);
        train.common("seed", recipe.seed.as_ref());
        train.common("threads", recipe.threads.as_ref());
        train.made("output", made::RUN);
        let stage =
            train.stage("finetune", &[begin.stage, data], &finetune.place, made::RUN, &["report.html"]);
        stages.push(stage);
        begin = Begin { stage: Some("finetune"), made: Some(made::RUN) };
    }
    if let Some(settings) = &p.evaluate {
        let mut evaluate = line("evaluate");
        begin_from(&mut evaluate, &begin, model, &["tokenizer", "revision"]);
        for other in &p.compare {
            evaluate.set("model", other.get("model").expect("one without is refused"));
        }
        let names = names(recipe, settings);
        for name in names {
            evaluate.flag("name", Argument::Word(Word::Text(name)));
        }
        evaluate.made("data", &part(if has("test") { "test" } else { "valid" }));
        columns(&mut evaluate);
        settings.settings.iter().filter(|s| s.flag != "name").for_each(|s| evaluate.set(&s.flag, s));
        evaluate.common("threads", recipe.threads.as_ref());
        evaluate.made("output", made::EVALUATION);
        let after = [begin.stage, data];
        stages.push(evaluate.stage(
            "evaluate",
            &after,
            &settings.place,
            made::EVALUATION,
            &["evaluation.json"],
        ));
    }
    if let Some(settings) = &p.export {
        let mut export = line("convert");
        begin_from(&mut export, &begin, model, &[]);
        export.all(settings);
        export.made("output", made::EXPORT);
        stages.push(export.stage("export", &[begin.stage], &settings.place, made::EXPORT, &["config.json"]));
    }
    stages
}

/// What the models are called in the table: the recipe's own and the others. A comma would begin another name.
fn names(recipe: &Recipe, evaluate: &Settings) -> Vec<String> {
    let own = evaluate.word("name").map_or(recipe.name.clone(), Word::typed);
    let other = |compare: &Settings| {
        let path = compare.word("model").map(Word::typed).unwrap_or_default();
        let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
        compare.word("name").map_or(last, Word::typed)
    };
    let all = std::iter::once(own).chain(recipe.parts.compare.iter().map(other));
    all.map(|name| name.replace(',', " ·")).collect()
}

/// The parts of the data have these columns.
fn columns(line: &mut Line<'_>) {
    for (flag, column) in [("source", "source"), ("target", "target")] {
        line.flag(flag, Argument::Word(Word::Text(column.into())));
    }
}

/// The model that a stage begins from; of the user's own model the settings that are named, or all.
fn begin_from(line: &mut Line<'_>, begin: &Begin, model: &Settings, only: &[&str]) {
    match begin.made {
        Some(made) => line.made("model", made),
        None => {
            line.set("model", model.get("path").expect("what has none is made first"));
            let named = |setting: &&Setting| {
                setting.flag != "path" && (only.is_empty() || only.contains(&setting.flag.as_str()))
            };
            for setting in model.settings.iter().filter(named) {
                line.set(&setting.flag, setting);
            }
        }
    }
}
