//! Pairs of token sequences, kept compactly: all ids in one row, in memory or in a nameless file on the disk.

use std::collections::BTreeMap;
use std::path::PathBuf;

use t5kit_formats::scratch::{MappedNumbers, Scratch};

use crate::{Error, Task};

/// Sources and targets as ids, each ending in `</s>`.
#[derive(Debug)]
pub struct Examples {
    ids: Ids,
    /// Ends of source 0, target 0, source 1, target 1, …
    ends: Vec<usize>,
    /// What was seen while they were read.
    pub facts: Facts,
    /// The targets as they stand in the file, where they were asked for.
    pub references: Vec<String>,
    /// The tasks of a mixture, one after another; none where the examples are of one kind.
    pub tasks: Vec<Task>,
}

/// What was seen while examples were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Sources and targets that were cut.
    pub cut: [usize; 2],
    /// Of the others those that name a sentinel (`<extra_id_0>`) which has not become one.
    pub missed_sentinels: [usize; 2],
    /// Tokens of the longest source and target before cutting, `</s>` included.
    pub longest: [usize; 2],
    /// How many sources and targets have how many tokens before cutting.
    pub lengths: [LengthCounts; 2],
    /// Bad rows left out.
    pub skipped: usize,
    /// Rows with neither a source nor a target, which are none.
    pub blank: usize,
    /// Lone halves of surrogate pairs in JSON, which were replaced by U+FFFD.
    pub replaced: u64,
    /// Source and target of the first example, as the model reads them.
    pub first: Option<[String; 2]>,
    /// What the model is asked to do.
    pub prompts: Prompts,
}

impl Facts {
    /// What was seen of other examples too.
    fn add(&mut self, other: Facts) {
        for side in 0..2 {
            self.cut[side] += other.cut[side];
            self.missed_sentinels[side] += other.missed_sentinels[side];
            self.longest[side] = self.longest[side].max(other.longest[side]);
            for (&tokens, &count) in &other.lengths[side].0 {
                *self.lengths[side].0.entry(tokens).or_default() += count;
            }
        }
        self.skipped += other.skipped;
        self.blank += other.blank;
        self.replaced += other.replaced;
        self.first = self.first.take().or(other.first);
    }
}

/// The prompts before sources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Prompts {
    /// There are none.
    #[default]
    None,
    /// This one before every source.
    Same(String),
    /// Different ones.
    Several,
}

impl Prompts {
    /// One more source's.
    pub fn add(&mut self, prompt: Option<&str>) {
        let Some(prompt) = prompt else { return };
        match self {
            Prompts::None => *self = Prompts::Same(prompt.to_owned()),
            Prompts::Same(same) if same == prompt => {}
            _ => *self = Prompts::Several,
        }
    }
}

/// How many texts have how many tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LengthCounts(BTreeMap<usize, usize>);

impl LengthCounts {
    /// One more of so many tokens.
    pub fn add(&mut self, tokens: usize) {
        *self.0.entry(tokens).or_default() += 1;
    }

    /// How many texts there are.
    pub fn total(&self) -> usize {
        self.0.values().sum()
    }

    /// The tokens that at least this share of the texts fit in; 0 where there is none.
    pub fn fits(&self, share: f64) -> usize {
        let wanted = (share * self.total() as f64).ceil() as usize;
        let mut seen = 0;
        let longest = self.0.iter().find(|&(_, &count)| {
            seen += count;
            seen >= wanted
        });
        longest.map_or(0, |(&tokens, _)| tokens)
    }
}

/// Where ids are kept.
#[derive(Clone, Debug, Default)]
pub enum Placement {
    /// In memory.
    #[default]
    Memory,
    /// In memory up to so many bytes of ids, beyond that all in a nameless file in a folder.
    Disk {
        /// The folder: on a disk, not in memory as `/tmp` may be.
        folder: PathBuf,
        /// Bytes of ids that may be in memory.
        from: usize,
    },
}

#[derive(Debug)]
enum Ids {
    Memory(Vec<u32>),
    Disk(MappedNumbers),
}

/// Examples that are being added.
pub(crate) struct Building {
    memory: Vec<u32>,
    disk: Option<Scratch>,
    placement: Placement,
    pub examples: Examples,
}

impl Building {
    pub fn new(placement: Placement) -> Self {
        Building { memory: Vec::new(), disk: None, placement, examples: Examples::default() }
    }

    /// Adds pairs: their ids in a row, and the length of each source and target.
    pub fn push(&mut self, ids: &[u32], lengths: &[u32]) -> Result<(), Error> {
        let mut end = self.examples.ends.last().copied().unwrap_or(0);
        self.examples.ends.extend(lengths.iter().map(|&n| {
            end += n as usize;
            end
        }));
        if let Placement::Disk { folder, from } = &self.placement
            && self.disk.is_none()
            && size_of_val(ids) + size_of_val(&self.memory[..]) > *from
        {
            let mut disk = Scratch::create(folder)?;
            disk.push(&std::mem::take(&mut self.memory))?;
            self.disk = Some(disk);
        }
        match &mut self.disk {
            Some(disk) => disk.push(ids)?,
            None => self.memory.extend_from_slice(ids),
        }
        Ok(())
    }

    pub fn finish(self) -> Result<Examples, Error> {
        let ids = match self.disk {
            Some(disk) => Ids::Disk(disk.finish()?),
            None => Ids::Memory(self.memory),
        };
        Ok(Examples { ids, ..self.examples })
    }
}

impl Default for Examples {
    fn default() -> Self {
        Examples {
            ids: Ids::Memory(Vec::new()),
            ends: Vec::new(),
            facts: Facts::default(),
            references: Vec::new(),
            tasks: Vec::new(),
        }
    }
}

impl Examples {
    /// Examples of pairs of ids, each ending in `</s>`.
    pub fn from_ids<'a>(pairs: impl IntoIterator<Item = (&'a [u32], &'a [u32])>) -> Self {
        let (mut ids, mut ends) = (Vec::new(), Vec::new());
        for (source, target) in pairs {
            for text in [source, target] {
                ids.extend_from_slice(text);
                ends.push(ids.len());
            }
        }
        Examples { ids: Ids::Memory(ids), ends, ..Examples::default() }
    }

    /// The examples of several tasks, one after another.
    ///
    /// # Errors
    /// Those of keeping ids on the disk.
    pub fn join(parts: Vec<(Task, Examples)>, placement: &Placement) -> Result<Self, Error> {
        let mut building = Building::new(placement.clone());
        for (task, part) in parts {
            let start = building.examples.len();
            for i in 0..part.len() {
                let (source, target) = (part.source(i), part.target(i));
                building.push(&[source, target].concat(), &[source.len() as u32, target.len() as u32])?;
            }
            building.examples.facts.add(part.facts);
            building.examples.references.extend(part.references);
            building.examples.tasks.push(Task { examples: start..start + part.ends.len() / 2, ..task });
        }
        building.finish()
    }

    /// Whether the ids are in a file.
    pub fn on_disk(&self) -> bool {
        matches!(self.ids, Ids::Disk(_))
    }

    fn ids(&self) -> &[u32] {
        match &self.ids {
            Ids::Memory(ids) => ids,
            Ids::Disk(ids) => ids,
        }
    }

    fn text(&self, at: usize) -> &[u32] {
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.ids()[start..self.ends[at]]
    }

    /// The source of an example.
    pub fn source(&self, example: usize) -> &[u32] {
        self.text(2 * example)
    }

    /// The target of an example.
    pub fn target(&self, example: usize) -> &[u32] {
        self.text(2 * example + 1)
    }

    /// The task of an example, where there are tasks.
    pub fn task_of(&self, example: usize) -> Option<usize> {
        self.tasks.iter().position(|task| task.examples.contains(&example))
    }

    /// Number of examples.
    pub fn len(&self) -> usize {
        self.ends.len() / 2
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Tokens of all sources and targets.
    pub fn tokens(&self) -> usize {
        self.ids().len()
    }

    /// How many different ids there are.
    pub fn pieces(&self) -> usize {
        let mut met = vec![false; self.ids().iter().max().map_or(0, |&most| most as usize + 1)];
        self.ids().iter().for_each(|&id| met[id as usize] = true);
        met.into_iter().filter(|&met| met).count()
    }

    /// An error when an id has no row in a model.
    pub fn check_ids(&self, pieces: usize, rows: usize) -> Result<(), Error> {
        match self.ids().iter().any(|&id| id as usize >= rows) {
            true => Err(Error::Vocabulary { pieces, rows }),
            false => Ok(()),
        }
    }

    /// A number that changes with any id: to recognise the examples of a resumed run.
    pub fn fingerprint(&self) -> u64 {
        let ids = self.ids().iter().fold(0, |hash, &id| t5kit_tensor::mix(hash, u64::from(id)));
        let rates = self.tasks.iter().map(|task| task.rate.to_bits());
        let ids = rates.fold(ids, t5kit_tensor::mix);
        self.ends.iter().fold(ids, |hash, &end| t5kit_tensor::mix(hash, end as u64))
    }

    /// Tokens of the `batch_size` longest sources and, separately, targets: what the largest batch may hold.
    pub(crate) fn largest_batch(&self, batch_size: usize) -> (usize, usize) {
        let longest = |first: usize| {
            let mut lengths: Vec<usize> =
                (first..self.ends.len()).step_by(2).map(|i| self.text(i).len()).collect();
            lengths.sort_unstable_by(|a, b| b.cmp(a));
            lengths.iter().take(batch_size).sum()
        };
        (longest(0), longest(1))
    }
}

#[cfg(test)]
mod tests {
    use super::LengthCounts;

    #[test]
    fn lengths_that_a_share_fits_in() {
        let mut lengths = LengthCounts::default();
        assert_eq!((lengths.fits(0.95), lengths.total()), (0, 0));
        (1..=100).for_each(|tokens| lengths.add(tokens));
        assert_eq!((lengths.fits(0.95), lengths.fits(0.99), lengths.fits(1.0)), (95, 99, 100));
        lengths.add(1);
        assert_eq!((lengths.fits(0.95), lengths.total()), (95, 101));
    }
}
