//! A part of a split: where it comes from, its file as it is written, what is recorded of it.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use t5kit_formats::table::{Format, TableWriter};

use crate::Error;
use crate::recipe::is_size;

/// Examples that the record shows.
const SHOWN: usize = 3;

/// Where a part comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// So many rows of the input.
    Rows(usize),
    /// This share of its rows.
    Share(f64),
    /// Files of its own.
    Files(Vec<PathBuf>),
    /// What of the input no other part takes.
    Rest,
}

impl Part {
    /// Of what was given: a number of rows, a share of them with a point, or files.
    ///
    /// # Errors
    /// A number that is neither, a number beside files; in words.
    pub fn parse(values: &[String]) -> Result<Self, String> {
        match values {
            [one] if is_size(one) => {
                if let Ok(rows) = one.parse::<usize>() {
                    return match rows {
                        0 => Err("must be at least 1".into()),
                        rows => Ok(Part::Rows(rows)),
                    };
                }
                match one.parse::<f64>() {
                    Ok(share) if 0.0 < share && share < 1.0 => Ok(Part::Share(share)),
                    _ => {
                        Err("must be a number of rows, a share between 0 and 1 such as 0.05, or a file"
                            .into())
                    }
                }
            }
            files if files.iter().any(|file| is_size(file)) => {
                Err("is either one number or files of its own, not both".into())
            }
            files => Ok(Part::Files(files.iter().map(PathBuf::from).collect())),
        }
    }

    pub(super) fn is_cut(&self) -> bool {
        !matches!(self, Part::Files(_))
    }
}

/// A part in [`SplitRecord`].
#[derive(Debug, Serialize, Deserialize)]
pub struct PartRecord {
    /// `train`, `valid` or `test`.
    pub name: String,
    /// Its rows.
    pub rows: usize,
    /// Characters of its sources.
    pub source: Characters,
    /// Characters of its targets.
    pub target: Characters,
    /// Rows whose source is in an earlier part too: of files of their own, which stay as they are.
    pub repeated: usize,
    /// Its first examples.
    pub first: Vec<[String; 2]>,
}

/// How long texts are, in characters.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Characters {
    /// On average.
    pub mean: f64,
    /// 95 % are not longer.
    pub p95: usize,
    /// The longest.
    pub longest: usize,
}

/// What is known of a part while it is written.
pub(super) struct Writing {
    out: TableWriter<BufWriter<File>>,
    path: PathBuf,
    lengths: [Vec<u32>; 2],
    repeated: usize,
    first: Vec<[String; 2]>,
}

impl Writing {
    pub fn new(path: &Path) -> Result<Self, Error> {
        let file = File::create(path).map_err(Error::io(path, "be written"))?;
        let names = ["source", "target"].map(String::from);
        let out = TableWriter::new(Format::Tsv, BufWriter::new(file), &names, true, false)
            .map_err(Error::io(path, "be written"))?;
        Ok(Writing {
            out,
            path: path.to_path_buf(),
            lengths: Default::default(),
            repeated: 0,
            first: Vec::new(),
        })
    }

    pub fn push(&mut self, source: &str, target: &str, repeated: bool) -> Result<(), Error> {
        for (lengths, text) in self.lengths.iter_mut().zip([source, target]) {
            lengths.push(u32::try_from(text.chars().count()).unwrap_or(u32::MAX));
        }
        if self.first.len() < SHOWN {
            self.first.push([source.to_owned(), target.to_owned()]);
        }
        self.repeated += usize::from(repeated);
        let cells = [source, target].map(|text| Value::String(text.to_owned()));
        self.out.row(&cells).map_err(Error::io(&self.path, "be written"))
    }

    pub fn finish(self, name: &str) -> Result<PartRecord, Error> {
        let rows = self.lengths[0].len();
        if rows == 0 {
            return Err(Error::Split(format!("`{name}` has no examples")));
        }
        self.out.finish().map_err(Error::io(&self.path, "be written"))?;
        let [source, target] = self.lengths.map(characters);
        let (repeated, first) = (self.repeated, self.first);
        Ok(PartRecord { name: name.to_owned(), rows, source, target, repeated, first })
    }
}

fn characters(mut lengths: Vec<u32>) -> Characters {
    lengths.sort_unstable();
    let n = lengths.len();
    let at = |share: f64| {
        lengths.get(((n as f64 * share).ceil() as usize).saturating_sub(1)).copied().unwrap_or(0)
    };
    let mean = lengths.iter().map(|&n| f64::from(n)).sum::<f64>() / n.max(1) as f64;
    Characters { mean, p95: at(0.95) as usize, longest: at(1.0) as usize }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_part_may_be() {
        let of = |values: &[&str]| Part::parse(&values.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&["800"]), Ok(Part::Rows(800)));
        assert_eq!(of(&["0.1"]), Ok(Part::Share(0.1)));
        assert_eq!(of(&["a.tsv", "b.tsv"]), Ok(Part::Files(vec!["a.tsv".into(), "b.tsv".into()])));
        for bad in [&["0"][..], &["1.5"], &["-3"], &["a.tsv", "3"]] {
            assert!(of(bad).is_err(), "{bad:?}");
        }
    }
}
