//! The suites of the papers: text forms, files, metrics and reported split of each of their tasks.
//!
//! A task is data: where its files lie in the folder that people download, which of their columns make the source, what
//! its labels are called. [`SuiteTask::read`] gives the examples of a split in the form that the paper trains and
//! measures on, [`SuiteTask::figures`] the paper's figures of predictions. `docs/suites.md` says what each task does,
//! with its source; the goldens in `tests/golden/suites.json` come from `t5`'s own preprocessors.
//!
//! | module | what |
//! |---|---|
//! | `glue`, `superglue`, `winograd` | GLUE and SuperGLUE as T5 has them; WSC, DPR and WNLI as one task |
//! | `questions` | SQuAD, XQuAD, MLQA, TyDiQA-GoldP, CMRC 2018, DRCD: files in SQuAD's shape |
//! | `zero_shot` | what mT5 is measured on in other languages than it was trained on: XNLI, PAWS-X, WikiAnn and questions |
//! | `clue`, `clue_reading`, `fewclue` | Chinese tasks |
//! | `summaries` | CNN/DM, XSum; LCSTS and Weibo titles |
//! | `input`, `rows` | files, lines and rows |
//! | [`score`] | what T5 makes of predictions, and its metrics |

mod clue;
mod clue_reading;
mod error;
mod fewclue;
mod glue;
mod input;
mod questions;
mod rows;
pub mod score;
mod summaries;
mod superglue;
mod winograd;
mod zero_shot;

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

pub use error::Error;
use input::Input;
use rows::Form;
use score::Score;

/// A part of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Split {
    /// To learn from.
    Train,
    /// To choose by; of most suites the part that papers report.
    Validation,
    /// To measure on; often without answers.
    Test,
}

impl Split {
    /// All of them.
    pub const ALL: [Split; 3] = [Split::Train, Split::Validation, Split::Test];

    /// `train`, `validation`, `test`.
    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Validation => "validation",
            Split::Test => "test",
        }
    }

    /// The split of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|split| split.name() == name)
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One example in its text form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SuiteExample {
    /// What the model reads.
    pub source: String,
    /// What it learns to write; `<unk>` where the answer is not known, as T5 has it.
    pub target: String,
    /// All that counts as right; none where the answer is not known.
    pub references: Vec<String>,
    /// What the data set calls it.
    pub id: Option<String>,
    /// Examples of one group are scored together: MultiRC's answers to a question, ReCoRD's answers to a query.
    pub group: Option<String>,
    /// In WSC and WNLI, whose target is a referent: whether it is the right one.
    pub correct: Option<bool>,
}

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The files, in the order in which they were read.
    pub files: Vec<PathBuf>,
    /// How many examples there were.
    pub examples: u64,
    /// Rows passed over: those without a label by agreement (`-`), and QQP's torn ones.
    pub skipped: u64,
}

/// Where the files of a split lie.
#[derive(Clone, Copy, Debug)]
struct Files {
    split: Split,
    /// Of each file that is needed the places where it may lie; `{lang}` stands for the language's code, `{name}`
    /// for its English name.
    places: &'static [&'static [&'static str]],
    /// The languages that the split is there in, where they are not the task's.
    languages: Option<&'static [&'static str]>,
}

/// A task of a suite.
#[derive(Clone, Copy, Debug)]
pub struct SuiteTask {
    /// What it is called.
    pub name: &'static str,
    /// The paper's section, or the reference file, that its form is from.
    pub source: &'static str,
    /// Those metrics of generated texts (the names of `t5kit-eval`) that are among its figures; `{lang}` stands for the
    /// language. All of its figures are [`SuiteTask::figures`]'s.
    pub metrics: &'static [&'static str],
    /// The split that the paper reports.
    pub reported: Split,
    /// The languages that it is there in, in the order of the paper's table.
    pub languages: &'static [&'static str],
    /// The texts that targets are among, where they are a closed set.
    pub labels: Option<&'static [&'static str]>,
    files: &'static [Files],
    form: Form,
    score: Score,
}

impl SuiteTask {
    /// The splits that there are.
    pub fn splits(&self) -> impl Iterator<Item = Split> {
        self.files.iter().map(|files| files.split)
    }

    /// Where in the suite's folder the files of a split are looked for: candidates, the most usual first. Empty where
    /// there is no such split or language.
    pub fn files(&self, split: Split, language: Option<&str>) -> Vec<String> {
        self.places(split, language)
            .map(|(places, _)| places.into_iter().flatten().collect())
            .unwrap_or_default()
    }

    /// The files of a split that are there: one of the candidates of each that is needed.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Split`], [`Error::Language`].
    pub fn found(&self, folder: &Path, split: Split, language: Option<&str>) -> Result<Vec<PathBuf>, Error> {
        let (places, _) = self.places(split, language)?;
        let find = |candidates: Vec<String>| {
            let found = candidates.iter().map(|place| folder.join(place)).find(|path| path.is_file());
            found.ok_or(Error::Missing {
                folder: folder.to_owned(),
                task: self.name,
                split,
                looked: candidates,
            })
        };
        places.into_iter().map(find).collect()
    }

    /// The examples of a split, in the order of its files; `language` may be left out where there is one, and in
    /// training where it is the one that the paper trains on.
    ///
    /// # Errors
    /// Those of [`SuiteTask::found`]; [`Error::Row`] and the like for what is damaged, with file and line;
    /// [`Error::Empty`] where there is no example; those of `each`.
    pub fn read(
        &self,
        folder: &Path,
        split: Split,
        language: Option<&str>,
        each: &mut dyn FnMut(SuiteExample) -> Result<(), Error>,
    ) -> Result<Facts, Error> {
        let files = self.found(folder, split, language)?;
        let (_, language) = self.places(split, language)?;
        let mut facts = Facts { files: files.clone(), ..Facts::default() };
        let input = Input { files: &files, split, language };
        self.form.read(&input, &mut input::Out { each, facts: &mut facts })?;
        match facts.examples {
            0 => Err(Error::Empty { task: self.name, files }),
            _ => Ok(facts),
        }
    }

    /// The texts that targets are among: [`SuiteTask::labels`], or where the set is closed but of the data set's making
    /// (IFLYTEK's 119 kinds of apps) those of its training examples, sorted; `None` where any text may be right.
    ///
    /// # Errors
    /// Those of [`SuiteTask::read`] where the training examples are needed.
    pub fn closed_labels(&self, folder: &Path) -> Result<Option<Vec<String>>, Error> {
        if let Some(labels) = self.labels {
            return Ok(Some(labels.iter().map(|&label| label.to_owned()).collect()));
        }
        if !self.form.has_labels_of_its_own() {
            return Ok(None);
        }
        let mut labels = BTreeSet::new();
        self.read(folder, Split::Train, None, &mut |example| {
            labels.insert(example.target);
            Ok(())
        })?;
        Ok(Some(labels.into_iter().collect()))
    }

    /// The paper's figures of predictions: names and values, up to 1 as those of `t5kit-eval` are (`t5` prints them a
    /// hundredfold). `language` is that of the examples.
    ///
    /// # Errors
    /// [`Error::Unpaired`]; [`Error::NoAnswer`] where an example's answer is not known.
    pub fn figures(
        &self,
        predictions: &[String],
        examples: &[SuiteExample],
        language: Option<&str>,
    ) -> Result<Vec<(&'static str, f64)>, Error> {
        self.score.figures(self, predictions, examples, language.unwrap_or(self.languages[0]))
    }

    /// The candidates of each file of a split, and the language.
    fn places<'l>(
        &self,
        split: Split,
        language: Option<&'l str>,
    ) -> Result<(Vec<Vec<String>>, &'l str), Error> {
        let Some(files) = self.files.iter().find(|files| files.split == split) else {
            return Err(Error::Split { task: self.name, split, there: self.splits().collect() });
        };
        let there = files.languages.unwrap_or(self.languages);
        let language = match language {
            Some(language) if there.contains(&language) => language,
            None if there.len() == 1 => there[0],
            _ => {
                let language = language.map(str::to_owned);
                return Err(Error::Language { task: self.name, split, language, there });
            }
        };
        let name = questions::language_name(language);
        let place = |place: &&str| place.replace("{lang}", language).replace("{name}", name);
        let places = files.places.iter().map(|places| places.iter().map(place).collect()).collect();
        Ok((places, language))
    }
}

/// Tasks that are reported together.
#[derive(Clone, Copy, Debug)]
pub struct Suite {
    /// What it is called.
    pub name: &'static str,
    /// What it is, in a few words.
    pub definition: &'static str,
    tasks: &'static [SuiteTask],
}

/// The suites there are.
pub const NAMES: [&str; 8] =
    ["glue", "superglue", "squad", "summarization", "zero-shot", "clue", "fewclue", "titles"];

static SUITES: [Suite; 8] = [
    Suite { name: NAMES[0], definition: "GLUE as T5 has it", tasks: &glue::TASKS },
    Suite { name: NAMES[1], definition: "SuperGLUE as T5 has it", tasks: &superglue::TASKS },
    Suite { name: NAMES[2], definition: "SQuAD 1.1 as T5 has it", tasks: &questions::SQUAD },
    Suite { name: NAMES[3], definition: "CNN/DM and XSum", tasks: &summaries::ENGLISH },
    Suite {
        name: NAMES[4],
        definition: "mT5's: trained on English, measured on many languages",
        tasks: &zero_shot::TASKS,
    },
    Suite { name: NAMES[5], definition: "CLUE's Chinese tasks", tasks: &clue::TASKS },
    Suite {
        name: NAMES[6],
        definition: "FewCLUE's Chinese tasks, few examples each",
        tasks: &fewclue::TASKS,
    },
    Suite { name: NAMES[7], definition: "Chinese titles: LCSTS and Weibo", tasks: &summaries::TITLES },
];

/// The suite of that name.
pub fn by_name(name: &str) -> Option<&'static Suite> {
    SUITES.iter().find(|suite| suite.name == name)
}

/// How a task is measured on languages that it was not trained on.
#[derive(Clone, Debug)]
pub struct ZeroShot {
    /// The task.
    pub task: &'static SuiteTask,
    /// The language that it is trained on; [`SuiteTask::read`] with [`Split::Train`] gives those examples.
    pub trained_on: &'static str,
    /// The columns of the paper's table: languages, after which comes their mean.
    pub languages: &'static [&'static str],
    /// The figures of a cell, in the order of the paper's table.
    pub figures: Vec<&'static str>,
}

impl Suite {
    /// Its tasks.
    pub fn tasks(&self) -> &'static [SuiteTask] {
        self.tasks
    }

    /// One of its tasks.
    pub fn task(&self, name: &str) -> Option<&'static SuiteTask> {
        self.tasks.iter().find(|task| task.name == name)
    }

    /// Those of its tasks that are trained on one language and measured on several, in the form of mT5's tables
    /// (Xue et al. 2021, table 2 and the appendix: languages as columns, then the mean).
    pub fn zero_shot(&self) -> Vec<ZeroShot> {
        let several = self.tasks.iter().filter(|task| task.languages.len() > 1);
        several
            .map(|task| ZeroShot {
                task,
                trained_on: "en",
                languages: task.languages,
                figures: task.score.names().to_vec(),
            })
            .collect()
    }
}
