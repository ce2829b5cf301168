//! What of a recipe is done: `recipe_state.json` in the output folder.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use t5kit_formats::lang::Lang;
use t5kit_formats::output::AtomicFile;
use t5kit_formats::progress::Watch;

use crate::change::{Change, all_changes, differences};
use crate::digest::{Digests, of_text};
use crate::stages::{Argument, How, Stage};
use crate::{Error, Recipe};

/// Name of the file within the output folder.
pub const STATE: &str = "recipe_state.json";
/// The form of the file.
const VERSION: u32 = 1;

/// `recipe_state.json`.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct State {
    version: u32,
    /// The recipe's name.
    recipe: String,
    stages: BTreeMap<String, Record>,
    /// Files that were read, so that they need not be read again.
    files: Digests,
}

/// What is known of a stage that was begun.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Record {
    /// The digest of all that its result depends on.
    hash: String,
    /// All that: settings and files by name, stages by theirs.
    inputs: BTreeMap<String, String>,
    /// Whether it came to its end.
    pub finished: bool,
    /// The command line, the subcommand first.
    pub command: Vec<String>,
    /// Seconds that it took in all.
    pub seconds: f64,
    /// The most memory that the program held meanwhile, in bytes; 0 where the system does not tell.
    pub peak_bytes: u64,
    /// When it ended, for people.
    pub date: String,
}

/// What is to be done about a stage.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// Nothing: it is done.
    Done,
    /// It was never begun.
    New,
    /// It was begun and stopped.
    Begun,
    /// It was made from something else: what is other now; nothing where only stages before it are made again.
    Changed(Vec<Change>),
    /// It is done, and what it made is not all there: made again it is the same, so nothing else is.
    Gone,
}

impl Standing {
    /// How the stage is run, if it is.
    pub fn how(&self) -> Option<How> {
        match self {
            Standing::Done => None,
            Standing::New => Some(How::New),
            Standing::Begun => Some(How::Resume),
            Standing::Changed(_) | Standing::Gone => Some(How::Again),
        }
    }
}

impl State {
    /// Of the recipe's output folder; empty where that is not there or holds nothing.
    ///
    /// # Errors
    /// A folder that is somebody else's, a file of another version or that is broken.
    pub fn of(recipe: &Recipe) -> Result<Self, Error> {
        let path = recipe.output.join(STATE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let bad =
                    |what: &str| Err(Error::File { path: recipe.output.clone(), what: what.to_owned() });
                return match std::fs::read_dir(&recipe.output).map(|mut entries| entries.next().is_some()) {
                    Ok(true) => bad(
                        "is not empty and holds no recipe_state.json, so it is no recipe's; choose another output",
                    ),
                    Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
                        bad("is a file; choose another output")
                    }
                    _ => Ok(State { version: VERSION, recipe: recipe.name.clone(), ..State::default() }),
                };
            }
            Err(error) => return Err(Error::io(&path, "be read")(error)),
        };
        let bad = |what: String| Error::File { path: path.clone(), what };
        let state: State = serde_json::from_str(&text)
            .map_err(|error| bad(format!("is broken ({error}); remove it and the folder to begin anew")))?;
        if state.version != VERSION {
            return Err(bad(format!("is of version {}, and this program writes {VERSION}", state.version)));
        }
        Ok(state)
    }

    /// Where each stage stands. Reads what the stages read, as far as that may have changed.
    ///
    /// # Errors
    /// Files that cannot be read; [`Error::Stopped`].
    pub fn standings(
        &mut self,
        recipe: &Recipe,
        stages: &[Stage],
        watch: &mut dyn Watch,
    ) -> Result<Vec<Standing>, Error> {
        let mut standings: Vec<Standing> = Vec::new();
        let mut hashes: BTreeMap<&str, String> = BTreeMap::new();
        for (i, stage) in stages.iter().enumerate() {
            let inputs = self.inputs(recipe, stage, &hashes, watch)?;
            let hash = digest(&inputs);
            let mut before =
                stages[..i].iter().zip(&standings).filter(|(before, _)| stage.after.contains(&before.name));
            let again = before.any(|(_, standing)| matches!(standing, Standing::Changed(_)));
            let standing = match self.stages.get(stage.name) {
                None => Standing::New,
                // It failed before it made anything: there is nothing to lose.
                Some(record) if !record.finished && !stage.has_output() => Standing::New,
                Some(record) if record.hash != hash => {
                    Standing::Changed(differences(&record.inputs, &inputs))
                }
                Some(_) if again => Standing::Changed(Vec::new()),
                Some(record) if !record.finished => Standing::Begun,
                Some(_) if !stage.is_there() => Standing::Gone,
                Some(_) => Standing::Done,
            };
            standings.push(standing);
            hashes.insert(stage.name, hash);
        }
        Ok(standings)
    }

    /// Refuses stages that have changed, naming all that has.
    ///
    /// # Errors
    /// [`Error::Changed`].
    pub fn check(&self, recipe: &Recipe, stages: &[Stage], standings: &[Standing]) -> Result<(), Error> {
        let mut what = Vec::new();
        for (stage, standing) in stages.iter().zip(standings) {
            if let Standing::Changed(changes) = standing
                && !changes.is_empty()
            {
                what.push(format!("{} was made with {}", stage.name, all_changes(changes, Lang::En)));
            }
        }
        if what.is_empty() {
            return Ok(());
        }
        let again =
            stages.iter().zip(standings).filter(|(_, standing)| matches!(standing, Standing::Changed(_)));
        let again: Vec<&str> = again.map(|(stage, _)| stage.name).collect();
        Err(Error::Changed { path: recipe.output.clone(), what: what.join("; "), again: again.join(", ") })
    }

    /// All that the result of a stage depends on, by name.
    fn inputs(
        &mut self,
        recipe: &Recipe,
        stage: &Stage,
        hashes: &BTreeMap<&str, String>,
        watch: &mut dyn Watch,
    ) -> Result<BTreeMap<String, String>, Error> {
        let mut inputs: BTreeMap<String, String> = BTreeMap::new();
        let mut flag = String::new();
        for argument in &stage.arguments[1..] {
            let (name, value) = match argument {
                Argument::Word(word) => match word.input() {
                    Some(path) => {
                        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
                        let mut value = self.files.of(path, watch)?;
                        if let Some(weight) = word.weight() {
                            value += &format!("={weight}");
                        }
                        (format!("{flag} {}", name.unwrap_or_default()), value)
                    }
                    None => match word.typed().strip_prefix("--") {
                        Some(name) => {
                            flag = name.replace('-', "_");
                            (flag.clone(), String::new())
                        }
                        None => (flag.clone(), word.typed()),
                    },
                },
                Argument::Made(name) => (flag.clone(), name.clone()),
            };
            // Threads change the last digits at most; a stage need not be made again for them.
            if flag == "threads" {
                continue;
            }
            let all = inputs.entry(name).or_default();
            if !all.is_empty() {
                all.push(' ');
            }
            all.push_str(&value);
        }
        for before in &stage.after {
            inputs.insert(format!("stage {before}"), hashes.get(before).cloned().unwrap_or_default());
        }
        // The same flags of another subcommand are another thing.
        inputs.insert("subcommand".into(), stage.command(&recipe.output, How::New).swap_remove(0));
        Ok(inputs)
    }

    /// Writes down that a stage begins.
    ///
    /// # Errors
    /// Those of writing and of reading what the stage reads.
    pub fn begin(
        &mut self,
        recipe: &Recipe,
        stages: &[Stage],
        stage: &Stage,
        how: How,
        watch: &mut dyn Watch,
    ) -> Result<(), Error> {
        let mut hashes = BTreeMap::new();
        for before in stages {
            let inputs = self.inputs(recipe, before, &hashes, watch)?;
            let hash = digest(&inputs);
            if before.name == stage.name {
                let kept = self.stages.get(stage.name).filter(|_| how == How::Resume);
                let record = Record {
                    hash,
                    inputs,
                    finished: false,
                    command: stage.command(&recipe.output, How::New),
                    ..kept.cloned().unwrap_or_default()
                };
                self.stages.insert(stage.name.to_owned(), record);
                return self.write(recipe);
            }
            hashes.insert(before.name, hash);
        }
        Ok(())
    }

    /// Writes down that a stage ended or stopped after so many seconds, with this much memory at the most.
    ///
    /// # Errors
    /// Those of writing.
    pub fn end(
        &mut self,
        recipe: &Recipe,
        stage: &Stage,
        finished: bool,
        seconds: f64,
        peak_bytes: u64,
        date: &str,
    ) -> Result<(), Error> {
        if let Some(record) = self.stages.get_mut(stage.name) {
            record.finished = finished;
            record.seconds += seconds;
            record.peak_bytes = record.peak_bytes.max(peak_bytes);
            record.date = date.to_owned();
        }
        self.write(recipe)
    }

    /// What is known of a stage.
    pub fn record(&self, stage: &str) -> Option<&Record> {
        self.stages.get(stage)
    }

    fn write(&self, recipe: &Recipe) -> Result<(), Error> {
        let path: PathBuf = recipe.output.join(STATE);
        write_json(&path, self)
    }
}

/// Writes a value as JSON, beside its place and renamed.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), Error> {
    let mut text = serde_json::to_string_pretty(value).map_err(|error| Error::File {
        path: path.to_path_buf(),
        what: format!("cannot be written: {error}"),
    })?;
    text.push('\n');
    write_text(path, &text)
}

/// Writes a text, beside its place and renamed.
pub(crate) fn write_text(path: &Path, text: &str) -> Result<(), Error> {
    let mut file = AtomicFile::create(path, true)?;
    file.write_all(text.as_bytes()).map_err(Error::io(path, "be written"))?;
    Ok(file.commit()?)
}

fn digest(inputs: &BTreeMap<String, String>) -> String {
    let lines: Vec<String> = inputs.iter().map(|(name, value)| format!("{name}\0{value}\n")).collect();
    of_text(&lines.concat())
}
