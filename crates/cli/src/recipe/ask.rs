//! `t5kit recipe new`: a few questions, and a recipe with comments.

use anyhow::{Context, Result};
use std::collections::HashSet;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use t5kit_formats::lang::fill;
use t5kit_formats::output::AtomicFile;
use t5kit_formats::table::{ColumnRef, Head, Table};
use t5kit_model::memory::available_bytes;
use t5kit_recipe::{Draft, Examples};
use t5kit_train::{PairColumns, each_pair};

use crate::errors::usage;
use crate::lang::lang;
use crate::progress::Monitor;
use crate::say::{bytes, count};
use crate::table_flags::{TableFlags, column_name, understood};

/// Examples that are looked at to tell labels from texts.
const LOOKED_AT: usize = 20_000;
/// Different targets, at most, that are labels.
const LABELS: usize = 200;
/// Memory below which batches are smaller.
const SMALL: u64 = 6_000_000_000;
/// The model where nobody says another.
const MODEL: &str = "google/mt5-small";

/// The flags of `t5kit recipe new`.
#[derive(clap::Args)]
pub struct Args {
    /// File to write
    #[arg(value_name = "RECIPE", default_value = "recipe.toml")]
    recipe: PathBuf,
    /// Table of examples: TSV, CSV, JSON, JSON lines, Parquet or a workbook
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Column of the sources, by name or by number from 1 [default: the one whose name says so]
    #[arg(long, value_name = "COLUMN")]
    source: Option<String>,
    /// Column of the targets, by name or by number from 1 [default: likewise]
    #[arg(long, value_name = "COLUMN")]
    target: Option<String>,
    /// Model to begin from: a folder, a TensorFlow checkpoint or a name on the hub [default: google/mt5-small]
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// How long training may take [default: usual]
    #[arg(long, value_enum)]
    effort: Option<Effort>,
    /// Folder of everything that is made, beside the recipe [default: the recipe's name with .run]
    #[arg(long, short, value_name = "DIR")]
    output: Option<String>,
    /// Replace the recipe if it exists
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    tables: TableFlags,
}

/// How long training may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Effort {
    /// 3 times through the examples: to see that it works
    Quick,
    /// 10 times
    Usual,
    /// 40 times, as the blog post has it
    Thorough,
}

impl Effort {
    fn epochs(self) -> u64 {
        match self {
            Effort::Quick => 3,
            Effort::Usual => 10,
            Effort::Thorough => 40,
        }
    }
}

/// Asks what is open on a terminal, and writes the recipe.
pub fn run(args: Args) -> Result<()> {
    let answers: Option<Box<dyn BufRead>> = match io::stdin().is_terminal() && io::stderr().is_terminal() {
        true => Some(Box::new(io::stdin().lock())),
        false => None,
    };
    // Before any question it is found out whether there is a place for the answers.
    let mut file = AtomicFile::create(&args.recipe, args.force)?;
    let draft = draft(&args, &mut Asking { answers, out: Box::new(io::stderr()) })?;
    file.write_all(draft.text().as_bytes())?;
    file.commit()?;
    let recipe = args.recipe.display();
    told!(recipe_written, recipe = recipe);
    Ok(())
}

/// Where answers come from; nowhere, where there is no terminal.
struct Asking<'a> {
    answers: Option<Box<dyn BufRead + 'a>>,
    out: Box<dyn Write + 'a>,
}

impl Asking<'_> {
    /// An answer that is understood, or `otherwise` for an empty one; asks again until it is one of these.
    fn ask<T>(
        &mut self,
        question: &str,
        otherwise: Option<&str>,
        mut understand: impl FnMut(&str) -> Result<T>,
    ) -> Result<Option<T>> {
        let Some(answers) = &mut self.answers else {
            return otherwise.map(&mut understand).transpose();
        };
        loop {
            let shown = otherwise.map_or(String::new(), |otherwise| format!(" [{otherwise}]"));
            write!(self.out, "{question}{shown}: ")?;
            self.out.flush()?;
            let mut line = String::new();
            if answers.read_line(&mut line)? == 0 {
                anyhow::bail!("no answer came, so nothing was written");
            }
            let answer = match (line.trim(), otherwise) {
                ("", None) => continue,
                ("", Some(otherwise)) => otherwise,
                (answer, _) => answer,
            };
            match understand(answer) {
                Ok(answer) => return Ok(Some(answer)),
                Err(why) => writeln!(self.out, "  {why:#}")?,
            }
        }
    }

    fn say(&mut self, line: &str) -> Result<()> {
        if self.answers.is_some() {
            writeln!(self.out, "{line}")?;
        }
        Ok(())
    }
}

/// Answers to all that the flags leave open.
fn draft(args: &Args, asking: &mut Asking<'_>) -> Result<Draft> {
    let (options, t) = (args.tables.options(), &lang().texts().terminal);
    let open = |path: &str| -> Result<(PathBuf, Head)> {
        let path = PathBuf::from(path);
        let table = Table::open(&path, &options)?;
        anyhow::ensure!(!table.head().columns.is_empty(), "{}: holds nothing", path.display());
        Ok((path.clone(), table.head().clone()))
    };
    let data = match &args.data {
        Some(data) => Some(open(&data.to_string_lossy())?),
        None => asking.ask(t.ask_table, None, open)?,
    };
    let (data, head) =
        data.ok_or_else(|| usage("--data: which table holds the examples? There is no terminal to ask on"))?;
    for (i, column) in head.columns.iter().enumerate() {
        let name = if column.name.is_empty() { String::new() } else { format!(" {}", column.name) };
        asking.say(&format!("  {}{name}: {}", i + 1, short(&column.first)))?;
    }
    let reference = |name: &Option<String>| name.as_deref().map(ColumnRef::parse);
    let told = PairColumns { source: reference(&args.source), target: reference(&args.target), prompt: None };
    let roles = told.choose(&mut Table::open(&data, &options)?);
    let mut columns = Vec::new();
    for (question, given, place) in [
        (t.ask_source, &args.source, roles.as_ref().ok().map(|roles| roles.source)),
        (t.ask_target, &args.target, roles.as_ref().ok().map(|roles| roles.target)),
    ] {
        if let Some(given) = given {
            columns.push(given.clone());
            continue;
        }
        let guess = place.map(|place| named(&head, place));
        let source = columns.first().map(|source| ColumnRef::parse(source));
        let is_one = |answer: &str| -> Result<String> {
            let wanted: Vec<ColumnRef> = source.iter().cloned().chain([ColumnRef::parse(answer)]).collect();
            let places = Table::open(&data, &options)?.resolve(&wanted)?;
            anyhow::ensure!(
                places.len() < 2 || places[0] != places[1],
                "{answer} is the column of the sources"
            );
            Ok(answer.to_owned())
        };
        match asking.ask(question, guess.as_deref(), is_one)? {
            Some(column) => columns.push(column),
            // Nobody to ask, and the names do not say it.
            None => drop(told.choose(&mut Table::open(&data, &options)?)?),
        }
    }
    let [source, target] = [columns[0].clone(), columns[1].clone()];
    let pairs = PairColumns {
        source: Some(ColumnRef::parse(&source)),
        target: Some(ColumnRef::parse(&target)),
        prompt: None,
    };
    let examples = look(&data, &pairs, &options)?;
    let found = fill(t.found_examples, &[("n", &count(examples.rows))]);
    asking.say(&format!("  {found}{}", if examples.are_labels { t.found_labels } else { "" }))?;
    let model = match &args.model {
        Some(model) => model.clone(),
        None => asking
            .ask(t.ask_model, Some(MODEL), |answer| Ok(answer.to_owned()))?
            .unwrap_or_else(|| MODEL.into()),
    };
    let free = available_bytes();
    if let Some(free) = free {
        asking.say(&format!("  {}", fill(t.free_memory, &[("bytes", &bytes(free))])))?;
    }
    let effort = match args.effort {
        Some(effort) => Some(effort),
        None => asking.ask(t.ask_effort, Some("usual"), |answer| {
            <Effort as clap::ValueEnum>::from_str(answer, true)
                .map_err(|_| anyhow::anyhow!("{answer:?} is none of quick, usual, thorough"))
        })?,
    };
    let effort = effort.unwrap_or(Effort::Usual);
    let stem = args.recipe.file_stem().map_or("recipe".into(), |stem| stem.to_string_lossy().into_owned());
    let output = match &args.output {
        Some(output) => output.clone(),
        None => {
            let usual = format!("{stem}.run");
            asking.ask(t.ask_folder, Some(&usual), |answer| Ok(answer.to_owned()))?.unwrap_or(usual)
        }
    };
    Ok(Draft {
        heading: format!(
            "t5kit run {file} --dry-run   what it takes\n\
             t5kit run {file}             does it; once more goes on where it stopped\n\
             Every flag of the subcommand is a key of its section: t5kit finetune --help, with _ for -.",
            file = args.recipe.display()
        ),
        name: stem,
        data: beside(&args.recipe, &data)?,
        columns: [source, target],
        understood: format!("{} columns{}", head.columns.len(), understood(&head)),
        header: args.tables.options().has_header.or(head.header.filter(|header| !header)),
        examples,
        model: match Path::new(&model).exists() {
            true => beside(&args.recipe, Path::new(&model))?,
            false => model,
        },
        epochs: effort.epochs(),
        batch_size: if free.is_some_and(|free| free < SMALL) { 8 } else { 16 },
        output,
    })
}

/// How a column is named in a recipe.
fn named(head: &Head, place: usize) -> String {
    match head.columns[place].name.as_str() {
        "" => (place + 1).to_string(),
        _ => column_name(head, place),
    }
}

/// How many examples there are, how long, and whether the targets are labels.
fn look(
    path: &Path,
    columns: &PairColumns,
    options: &t5kit_formats::table::TableOptions,
) -> Result<Examples> {
    let (mut lengths, mut labels, mut short) = ([Vec::new(), Vec::new()], HashSet::new(), true);
    let mut watch = Passing(Monitor::default());
    each_pair(path, columns, options, &mut watch, |source, target| {
        lengths[0].push(source.chars().count());
        let length = target.chars().count();
        lengths[1].push(length);
        if labels.len() <= LABELS && lengths[0].len() <= LOOKED_AT {
            labels.insert(target);
        }
        short &= length <= 30;
        Ok::<_, t5kit_train::Error>(())
    })?;
    watch.0.clear();
    let rows = lengths[0].len();
    anyhow::ensure!(
        rows >= 3,
        "{}: {rows} examples are too few to train, validate and test by",
        path.display()
    );
    let characters = lengths.map(|mut lengths| {
        lengths.sort_unstable();
        lengths[(lengths.len() * 99 / 100).min(lengths.len() - 1)]
    });
    let seen = rows.min(LOOKED_AT);
    let are_labels = short && labels.len() <= LABELS && labels.len() * 5 <= seen;
    Ok(Examples { rows, characters, are_labels })
}

/// Bad rows are the run's business.
struct Passing(Monitor);

impl t5kit_formats::progress::Watch for Passing {
    fn progress(&mut self, at: t5kit_formats::progress::Progress<'_>) -> std::ops::ControlFlow<()> {
        self.0.progress(at)
    }
}

impl t5kit_train::ReadWatch for Passing {
    fn bad_row(&mut self, _error: &dyn std::fmt::Display) -> std::ops::ControlFlow<()> {
        std::ops::ControlFlow::Continue(())
    }
}

/// A path as it is from the recipe's folder: as it was given where that is this folder, else a full one.
fn beside(recipe: &Path, path: &Path) -> Result<String> {
    let home = recipe.parent().filter(|home| !home.as_os_str().is_empty());
    let path = match home {
        None => path.to_path_buf(),
        Some(home) => {
            let full = |path: &Path| {
                std::fs::canonicalize(path).with_context(|| format!("{}: cannot be read", path.display()))
            };
            let (home, path) = (full(home)?, full(path)?);
            path.strip_prefix(&home).map(Path::to_path_buf).unwrap_or(path)
        }
    };
    Ok(path.to_string_lossy().into_owned())
}

/// The beginning of a text, on one line.
fn short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut cut: String = line.chars().take(40).collect();
    if cut.len() < line.len() {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn answered(line: &[&str], answers: Option<&str>) -> (Result<Draft>, String) {
        let args = Line::parse_from(std::iter::once("new").chain(line.iter().copied())).args;
        let mut said = Vec::new();
        let answers = answers.map(|text| Box::new(text.as_bytes()) as Box<dyn BufRead>);
        let draft = draft(&args, &mut Asking { answers, out: Box::new(&mut said) });
        (draft, String::from_utf8(said).unwrap())
    }

    #[test]
    fn questions_are_asked_until_they_are_answered() {
        let folder = tempfile::tempdir().unwrap();
        let table = folder.path().join("a.tsv");
        let rows: String = (0..40).map(|i| format!("to title\t这是第{i}篇论文的摘要\t标题{i}\n")).collect();
        std::fs::write(&table, rows).unwrap();
        let recipe = folder.path().join("r.toml");
        let answers = format!("nothing\n{}\n9\n2\n2\n3\n\nlong\nquick\n\n", table.display());
        let (draft, said) = answered(&[recipe.to_str().unwrap()], Some(&answers));
        let draft = draft.unwrap();
        assert_eq!((draft.columns.clone(), draft.data.as_str()), (["2".into(), "3".into()], "a.tsv"));
        assert_eq!((draft.model.as_str(), draft.epochs, draft.output.as_str()), (MODEL, 3, "r.run"));
        assert!(!draft.examples.are_labels && draft.examples.rows == 40);
        assert!(
            said.contains("2: 这是第0篇论文的摘要") && said.contains("\"long\" is none of quick"),
            "{said}"
        );
        assert!(said.contains("2 is the column of the sources"), "{said}");
        // The end of the answers is no answer.
        assert!(answered(&[recipe.to_str().unwrap()], Some("")).0.is_err());
    }

    #[test]
    fn without_a_terminal_the_flags_say_it() {
        let folder = tempfile::tempdir().unwrap();
        let table = folder.path().join("a.csv");
        let rows: String = (0..40).map(|i| format!("评论{i},{}\n", ["正面", "负面"][i % 2])).collect();
        std::fs::write(&table, format!("text,label\n{rows}")).unwrap();
        let (data, recipe) = (table.to_str().unwrap(), folder.path().join("r.toml"));
        let recipe = recipe.to_str().unwrap();
        let draft = answered(&[recipe, "--data", data], None).0.unwrap();
        assert_eq!(draft.columns, ["text", "label"]);
        assert!(draft.examples.are_labels);
        let refused = |line: &[&str]| answered(line, None).0.unwrap_err().to_string();
        assert!(refused(&[recipe]).contains("--data"));
        std::fs::write(&table, "a,b,c\n1,2,3\n4,5,6\n7,8,9\n").unwrap();
        assert!(refused(&[recipe, "--data", data]).contains("which column"));
    }
}
