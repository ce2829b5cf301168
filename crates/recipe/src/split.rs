//! Examples into parts for training, validation and testing: by a seed, and no source in two of them.

mod part;

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use t5kit_formats::output::AtomicDir;
use t5kit_formats::progress::{Progress, Watch};
use t5kit_formats::table::TableOptions;
use t5kit_train::{PairColumns, ReadWatch, each_pair};

use crate::Error;
use crate::state::write_json;
use part::Writing;
pub use part::{Characters, Part, PartRecord};

/// Name of the record beside the parts.
pub const SPLIT: &str = "split.json";

/// The parts, in the order in which they are filled; a source that is in several files stays in the first.
pub const PARTS: [&str; 3] = ["train", "valid", "test"];

/// What is to be split, and how.
#[derive(Clone, Debug)]
pub struct SplitOptions {
    /// The files that parts are taken from.
    pub input: Vec<PathBuf>,
    /// What of [`PARTS`] is wanted.
    pub parts: [Option<Part>; 3],
    /// Decides which rows go where.
    pub seed: u64,
    /// The columns.
    pub columns: PairColumns,
    /// Targets, and what to write in their place; with any, others are refused.
    pub labels: Vec<(String, String)>,
    /// How files are read.
    pub table: TableOptions,
}

/// `split.json`.
#[derive(Debug, Serialize, Deserialize)]
pub struct SplitRecord {
    /// Files that parts were taken from.
    pub input: Vec<String>,
    /// The seed.
    pub seed: u64,
    /// The parts that there are.
    pub parts: Vec<PartRecord>,
    /// Rows of the input that no part wanted.
    pub left: usize,
    /// Rows with nothing in them.
    pub blank: u64,
    /// Bad rows that were left out.
    pub skipped: u64,
}

/// Writes the parts into the folder `output`, as `train.tsv` and so on with a header, and [`SPLIT`].
///
/// # Errors
/// Files that cannot be read or written, rows that cannot be used unless `watch` goes on, fewer rows than are wanted.
pub fn split(
    options: &SplitOptions,
    output: &Path,
    force: bool,
    watch: &mut dyn ReadWatch,
) -> Result<SplitRecord, Error> {
    check(options)?;
    let out = AtomicDir::create(output, force)?;
    let mut keys: Vec<u64> = Vec::new();
    for path in &options.input {
        pairs(path, options, watch, |source, _| {
            keys.push(key(options.seed, source));
            Ok(())
        })?;
    }
    let places = assign(options, &keys)?;
    let mut parts: [Option<Writing>; 3] = Default::default();
    for (i, part) in options.parts.iter().enumerate() {
        if part.is_some() {
            parts[i] = Some(Writing::new(&out.path().join(format!("{}.tsv", PARTS[i])))?);
        }
    }
    let mut seen: HashMap<u64, usize> = HashMap::new();
    let (mut blank, mut skipped, mut row, mut left) = (0, 0, 0, 0);
    let mut tally = |[b, s]: [u64; 2]| {
        blank += b;
        skipped += s;
    };
    for path in &options.input {
        let of = pairs(path, options, &mut Again(watch), |source, target| {
            let place = places.get(row).copied().flatten();
            row += 1;
            match place.and_then(|place| Some((place, parts[place].as_mut()?))) {
                Some((place, part)) => {
                    seen.entry(key(options.seed, source)).or_insert(place);
                    part.push(source, target, false)
                }
                None => {
                    left += 1;
                    Ok(())
                }
            }
        })?;
        tally(of);
    }
    for (i, part) in parts.iter_mut().enumerate() {
        let (Some(Part::Files(files)), Some(part)) = (&options.parts[i], part) else { continue };
        for path in files {
            let of = pairs(path, options, watch, |source, target| {
                let key = key(options.seed, source);
                let repeated = seen.get(&key).is_some_and(|place| *place != i);
                seen.entry(key).or_insert(i);
                part.push(source, target, repeated)
            })?;
            tally(of);
        }
    }
    let mut record = SplitRecord {
        input: options.input.iter().map(|path| path.display().to_string()).collect(),
        seed: options.seed,
        parts: Vec::new(),
        left,
        blank,
        skipped,
    };
    for (name, part) in PARTS.iter().zip(parts) {
        if let Some(part) = part {
            record.parts.push(part.finish(name)?);
        }
    }
    write_json(&out.path().join(SPLIT), &record)?;
    out.commit()?;
    Ok(record)
}

/// Watches a file that is read for the second time: all that there is to say of it was said.
struct Again<'a>(&'a mut dyn ReadWatch);

impl Watch for Again<'_> {
    fn progress(&mut self, at: Progress<'_>) -> ControlFlow<()> {
        self.0.progress(at)
    }
}

impl ReadWatch for Again<'_> {
    fn bad_row(&mut self, _error: &dyn std::fmt::Display) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// What is wrong with the wishes alone.
fn check(options: &SplitOptions) -> Result<(), Error> {
    let cut = options.parts.iter().flatten().any(Part::is_cut);
    let bad = |what: &str| Err(Error::Split(what.to_owned()));
    match (options.input.is_empty(), cut) {
        (true, true) => bad("there is no `input` to take rows from"),
        (false, false) => bad("`input` gives rows to nobody: each part has files of its own"),
        (true, false) if options.parts.iter().all(Option::is_none) => {
            bad("no part is wanted: give `train`, `valid` or `test`")
        }
        _ => Ok(()),
    }
}

/// The examples of a file, with labels in place of what they stand for.
fn pairs(
    path: &Path,
    options: &SplitOptions,
    watch: &mut dyn ReadWatch,
    mut each: impl FnMut(&str, &str) -> Result<(), Error>,
) -> Result<[u64; 2], Error> {
    let mut row = 0;
    each_pair(path, &options.columns, &options.table, watch, |source, target| {
        row += 1;
        if options.labels.is_empty() {
            return each(&source, &target);
        }
        match options.labels.iter().find(|(from, _)| *from == target.trim()) {
            Some((_, to)) => each(&source, to),
            None => {
                let known: Vec<&str> = options.labels.iter().map(|(from, _)| from.as_str()).collect();
                let short: String = target.chars().take(20).collect();
                Err(Error::Split(format!(
                    "{}, example {row}: the target {short:?} is none of `label`: {}",
                    path.display(),
                    known.join(", ")
                )))
            }
        }
    })
}

/// A source's number: by the seed and its text, so that the same source is always in the same part.
fn key(seed: u64, source: &str) -> u64 {
    let sum = Sha256::new().chain_update(seed.to_le_bytes()).chain_update(source.as_bytes()).finalize();
    u64::from_le_bytes(sum[..8].try_into().expect("it has 32 bytes"))
}

/// The part of each row of the input. Rows of the same source stay together; a source with more rows than a part still
/// wants goes to another.
fn assign(options: &SplitOptions, keys: &[u64]) -> Result<Vec<Option<usize>>, Error> {
    let all = keys.len();
    let mut groups: HashMap<u64, usize> = HashMap::new();
    keys.iter().for_each(|&key| *groups.entry(key).or_default() += 1);
    let mut order: Vec<(u64, usize)> = groups.into_iter().collect();
    order.sort_unstable();
    let wanted: Vec<(usize, usize)> = [2, 1, 0]
        .into_iter()
        .filter_map(|i| match options.parts[i].as_ref()? {
            Part::Rows(rows) => Some((i, *rows)),
            Part::Share(share) => Some((i, ((share * all as f64).round() as usize).max(1))),
            Part::Files(_) | Part::Rest => None,
        })
        .collect();
    let rest = (0..3).find(|&i| options.parts[i] == Some(Part::Rest));
    let (sum, least) = (wanted.iter().map(|(_, rows)| rows).sum::<usize>(), usize::from(rest.is_some()));
    let files = || options.input.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
    let short = |why: &str| {
        let each: Vec<String> =
            wanted.iter().rev().map(|(i, rows)| format!("{rows} for `{}`", PARTS[*i])).collect();
        let rest = if rest.is_some() { ", and some are to be left for `train`" } else { "" };
        Err(Error::Split(format!(
            "{}: has {all} examples, and {} are wanted{rest}{why}: lower them or give shares such as 0.1",
            files(),
            each.join(", ")
        )))
    };
    if sum + least > all {
        return short("");
    }
    let mut place: HashMap<u64, usize> = HashMap::new();
    for (i, rows) in wanted.iter().copied() {
        let mut open = rows;
        for &(key, count) in &order {
            if open == 0 {
                break;
            }
            if count <= open && !place.contains_key(&key) {
                place.insert(key, i);
                open -= count;
            }
        }
        let asked_in_rows = matches!(options.parts[i], Some(Part::Rows(_)));
        if open == rows || asked_in_rows && open > 0 {
            return short("; too many of them have the same source, and those stay together");
        }
    }
    let places: Vec<Option<usize>> = keys.iter().map(|key| place.get(key).copied().or(rest)).collect();
    if rest.is_some_and(|rest| !places.contains(&Some(rest))) {
        return short("; too many of them have the same source, and those stay together");
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn options(folder: &Path, text: &str, parts: [Option<Part>; 3]) -> SplitOptions {
        let input = folder.join("all.tsv");
        std::fs::write(&input, text).unwrap();
        SplitOptions {
            input: vec![input],
            parts,
            seed: 7,
            columns: PairColumns::default(),
            labels: Vec::new(),
            table: TableOptions::default(),
        }
    }

    /// Every source three times, of thirty.
    fn thrice() -> String {
        (0..90).map(|i| format!("s{}\tt{i}\n", i % 30)).collect()
    }

    fn rows(folder: &Path, part: &str) -> Vec<(String, String)> {
        let text = std::fs::read_to_string(folder.join(format!("out/{part}.tsv"))).unwrap();
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("source\ttarget"));
        lines.map(|line| line.split_once('\t').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap()).collect()
    }

    #[test]
    fn parts_are_as_large_as_asked_share_no_source_and_follow_the_seed() {
        let folder = tempfile::tempdir().unwrap();
        let parts = [Some(Part::Rest), Some(Part::Share(0.1)), Some(Part::Rows(12))];
        let mut options = options(folder.path(), &thrice(), parts);
        let out = folder.path().join("out");
        let mut first = Vec::new();
        for seed in [7, 7, 8] {
            options.seed = seed;
            let record = split(&options, &out, true, &mut ()).unwrap();
            assert_eq!(record.parts.iter().map(|part| part.rows).collect::<Vec<_>>(), [69, 9, 12]);
            let parts = PARTS.map(|part| rows(folder.path(), part));
            let sources: Vec<HashSet<&String>> =
                parts.iter().map(|rows| rows.iter().map(|row| &row.0).collect()).collect();
            assert_eq!(sources.iter().map(HashSet::len).sum::<usize>(), 30);
            // The order of the file.
            let number = |row: &(String, String)| row.1[1..].parse::<usize>().unwrap();
            assert!(parts.iter().all(|rows| rows.is_sorted_by_key(number)));
            first.push(parts);
        }
        assert!(first[0] == first[1] && first[0] != first[2]);
    }

    #[test]
    fn too_few_rows_are_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let said = |parts| {
            let options = options(folder.path(), &thrice(), parts);
            split(&options, &out, false, &mut ()).unwrap_err().to_string()
        };
        let error = said([Some(Part::Rows(80)), Some(Part::Rows(10)), Some(Part::Rows(10))]);
        assert!(
            error.contains("has 90 examples, and 80 for `train`, 10 for `valid`, 10 for `test` are wanted"),
            "{error}"
        );
        assert!(said([Some(Part::Rest), None, Some(Part::Rows(90))]).contains("left for `train`"));
        // Three of a kind do not make ten.
        assert!(said([Some(Part::Rest), None, Some(Part::Rows(10))]).contains("the same source"));
        assert!(!out.exists());
    }

    #[test]
    fn files_of_their_own_labels_prefix_and_quotes() {
        let folder = tempfile::tempdir().unwrap();
        let mut options = options(folder.path(), "甲\t1\n\"乙\"\"丙\"\t0\n", [None, None, None]);
        let test = folder.path().join("test.tsv");
        std::fs::write(&test, "甲\t0\n丁\t1\n").unwrap();
        options.parts = [Some(Part::Files(options.input.clone())), None, Some(Part::Files(vec![test]))];
        options.input.clear();
        options.labels = [("1", "正面"), ("0", "负面")].map(|(a, b)| (a.to_owned(), b.to_owned())).to_vec();
        let out = folder.path().join("out");
        let record = split(&options, &out, false, &mut ()).unwrap();
        assert_eq!(record.parts[1].repeated, 1);
        assert_eq!(rows(folder.path(), "train")[0], ("甲".into(), "正面".into()));
        assert_eq!(rows(folder.path(), "test")[1].1, "正面");
        options.labels.pop();
        options.labels.push(("2".into(), "中".into()));
        let error = split(&options, &out, true, &mut ()).unwrap_err().to_string();
        assert!(error.contains("example 2: the target \"0\" is none of `label`: 1, 2"), "{error}");
    }
}
