//! What becomes of a checkpoint: which tensor is which parameter, and what is wrong with the rest.
//!
//! A [`Plan`] is made from names and shapes alone (and from the bytes of second names of the embedding). Loading,
//! converting and inspecting all begin with one.

use std::collections::BTreeSet;
use std::path::Path;

use t5kit_formats::checkpoint::Checkpoint;
use t5kit_formats::keep_tokens;
use t5kit_formats::peft::LoraFile;
use t5kit_tensor::{DType, SHARE};

use crate::architecture::{Architecture, Slot, VocabularyNames};
use crate::lora::{check_saved, open_adapter};
use crate::problems::{Kind, Problem, Problems, sentences};
use crate::reader::{KeptRows, Reader};
use crate::{Config, Error, LoadOptions};

/// One parameter and where it comes from.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The parameter, after rows were cut.
    pub slot: Slot,
    /// The checkpoint's tensor and its type there; `None`: it begins anew.
    pub tensor: Option<(String, DType)>,
}

impl Entry {
    /// The storage type it is held in, where `asked` is what the user wants matrices to be.
    pub fn held_as(&self, asked: Option<DType>) -> DType {
        if !self.slot.kind.is_matrix() {
            return DType::F32;
        }
        self.slot.stored_in(asked.or(self.stored_as()).unwrap_or(DType::F32))
    }

    /// Bytes that it takes in a storage type, scales of int8 among them.
    pub(crate) fn bytes_as(&self, dtype: DType) -> u64 {
        let rows = self.slot.shape.first().map_or(1, |&rows| rows as u64);
        let cols = self.elements() / rows.max(1);
        match dtype {
            DType::I8 => self.elements() + 4 * rows,
            DType::I4 => rows * (cols.div_ceil(2) + 4 * cols.div_ceil(SHARE as u64)),
            _ => self.elements() * dtype.size() as u64,
        }
    }

    /// The storage type of its tensor in the file, doubles as singles; `None`: it begins anew.
    pub(crate) fn stored_as(&self) -> Option<DType> {
        self.tensor.as_ref().and_then(|(_, dtype)| dtype.of_weight())
    }

    /// Number of elements.
    pub fn elements(&self) -> u64 {
        self.slot.elements()
    }
}

/// What becomes of a checkpoint, for a model of one kind.
#[derive(Debug)]
pub struct Plan<A = Config> {
    /// The configuration, as far as the file decided it too: whether the softmax is the embedding, how many rows are
    /// left.
    pub config: A,
    /// Its parameters, in the order of [`Architecture::layout`].
    pub entries: Vec<Entry>,
    /// What was let pass, a sentence each.
    pub notes: Vec<String>,
    /// The rows that are kept, if rows are cut.
    pub keep: Option<Vec<u32>>,
    /// Rows of the embedding in the file.
    pub file_rows: usize,
    /// What is added to the weights when they are read.
    pub(crate) adapter: Option<LoraFile>,
    pub(crate) reader: Reader,
    pub(crate) options: LoadOptions,
}

impl Plan {
    /// The plan for a checkpoint of any kind of model: [`Plan::of`].
    ///
    /// # Errors
    /// As [`Plan::of`].
    pub fn new(path: &Path, options: &LoadOptions) -> Result<Self, Error> {
        Self::of(path, options)
    }
}

impl<A: Architecture> Plan<A> {
    /// Makes the plan for the checkpoint at `path`: a Hugging Face directory, the folder of a training run (its
    /// `best`, else its `last`), the prefix of a TensorFlow checkpoint, or a file of weights.
    ///
    /// Whether the softmax is the embedding is decided by the configuration, unless the file holds a softmax matrix
    /// that differs (then it is not) or none in a model of T5 1.0's shape (then it is).
    ///
    /// # Errors
    /// [`Error::Tensors`] with every missing, unexpected, mis-shaped and aliased tensor that `options` do not allow;
    /// [`Error::Formats`] from reading.
    pub fn of(path: &Path, options: &LoadOptions) -> Result<Self, Error> {
        let path = crate::folder::of_run(path);
        let mut checkpoint = Checkpoint::open(&path)?;
        let mut config = A::read(&checkpoint, options.config.as_deref())?;
        config.settle_names(&mut checkpoint)?;
        if let Some(positions) = options.max_positions {
            config.raise_positions(positions)?;
        }
        let vocabulary = config.vocabulary();
        let mut found = Found::new(&checkpoint, vocabulary);
        let shared = found.shared(&config, options)?;
        found.softmax(&mut config, &shared)?;
        let bias = found.bias(options)?;
        let keep = match &options.keep_tokens {
            Some(list) => Some(keep_tokens::read(list, config.rows())?),
            None => None,
        };
        let mut entries = Vec::new();
        let layout = config.layout();
        let headless = found.headless(&config, &layout);
        for slot in layout {
            let name = match &slot.name {
                name if name == vocabulary.embedding => shared.clone(),
                name if vocabulary.bias == Some(name) => bias.to_owned(),
                name => name.clone(),
            };
            let tensor = match headless && config.in_head(&slot) {
                true => None,
                false => found.tensor(&name, &slot, options)?,
            };
            entries.push(Entry { slot, tensor });
        }
        found.rest(&config, options);
        let Found { problems, notes, .. } = found;
        if !problems.is_empty() {
            // A model of another kind lacks everything: what it is says more than the list.
            return Err(match checkpoint.other_kind() {
                Some(what) => Error::OtherKind { path: path.clone(), what },
                None => Error::Tensors { path: path.clone(), problems: Problems(problems) },
            });
        }
        let file_rows = config.rows();
        if let Some(keep) = &keep {
            config = config.with_rows(keep)?;
            for entry in &mut entries {
                if entry.slot.is_vocabulary {
                    entry.slot.shape[0] = keep.len();
                }
            }
        }
        let adapter = options.adapter.as_deref().map(|path| open_adapter(path, &config)).transpose()?;
        if let Some(adapter) = &adapter {
            check_saved(adapter, &entries, file_rows, &vocabulary)?;
        }
        let options = options.clone();
        let notes = checkpoint.notes().iter().cloned().chain(sentences(&notes)).collect();
        let reader = Reader::new(checkpoint);
        Ok(Plan { config, entries, notes, keep, file_rows, adapter, reader, options })
    }

    /// The folder that the weights lie in: the tokenizer's files are looked for there.
    pub fn folder(&self) -> &Path {
        self.reader.checkpoint().folder()
    }

    /// The folder that was named, where the weights lie in another below it: what is not beside them may be there.
    pub fn named_folder(&self) -> Option<&Path> {
        self.reader.checkpoint().named_folder()
    }

    /// What was opened: a folder, a file, or a prefix.
    pub fn path(&self) -> &Path {
        self.reader.checkpoint().path()
    }

    /// The format of the checkpoint by its name.
    pub fn format(&self) -> &'static str {
        self.reader.checkpoint().format()
    }

    /// Elements of all parameters.
    pub fn elements(&self) -> u64 {
        self.entries.iter().map(Entry::elements).sum()
    }

    /// Bytes of all parameters as a loaded model holds them.
    pub fn held_bytes(&self) -> u64 {
        self.entries.iter().map(|e| e.bytes_as(e.held_as(self.options.dtype))).sum()
    }

    /// The rows that are kept of a vocabulary's matrix, where rows are cut.
    pub(crate) fn kept_rows(&self) -> Option<KeptRows> {
        self.keep.as_deref().map(KeptRows::new)
    }
}

/// The name of the scales of a tensor in int8.
pub(crate) fn scales_of(name: &str) -> String {
    format!("{name}{SCALES}")
}

/// Their shape, beside a matrix of whole numbers.
pub(crate) fn scales_shape(shape: &[usize], stored: DType) -> Vec<usize> {
    match (shape, stored) {
        (&[rows, cols], DType::I4) => vec![rows, cols.div_ceil(SHARE)],
        _ => shape[..1].to_vec(),
    }
}

/// What the names of scales end in.
pub(crate) const SCALES: &str = ".scale";

/// A checkpoint's tensors as they find their places.
struct Found<'c> {
    checkpoint: &'c Checkpoint,
    vocabulary: VocabularyNames,
    /// Names that have no place yet.
    names: BTreeSet<String>,
    problems: Vec<Problem>,
    notes: Vec<Problem>,
}

impl<'c> Found<'c> {
    fn new(checkpoint: &'c Checkpoint, vocabulary: VocabularyNames) -> Self {
        let names = checkpoint.names().map(String::from).collect();
        Found { checkpoint, vocabulary, names, problems: Vec::new(), notes: Vec::new() }
    }

    /// Files a disagreement under what stops the loading or what is only noted.
    fn report(&mut self, allowed: bool, kind: Kind, tensor: &str, what: String) {
        let list = if allowed { &mut self.notes } else { &mut self.problems };
        list.push(Problem { kind, tensor: tensor.to_owned(), what });
    }

    /// The name under which the embedding lies; takes its other names away.
    fn shared(&mut self, config: &impl Architecture, options: &LoadOptions) -> Result<String, Error> {
        let allowed = options.allow.aliased;
        let VocabularyNames { embedding, aliases, softmax, .. } = self.vocabulary;
        if self.names.contains(embedding) {
            for &alias in aliases {
                if self.names.remove(alias) && !self.same(alias, embedding)? {
                    let what = format!("differs from {embedding}, whose other name it is");
                    self.report(allowed, Kind::Aliased, alias, what);
                }
            }
            return Ok(embedding.to_owned());
        }
        // The softmax is the embedding's last name: beside another it is a matrix of its own where it differs.
        let tied = config.is_tied().then_some(softmax);
        let mut others: Vec<&str> = aliases.iter().copied().filter(|&n| self.names.contains(n)).collect();
        if others.is_empty() {
            others.extend(tied.filter(|&n| self.names.contains(n)));
        }
        let Some(&first) = others.first() else { return Ok(embedding.to_owned()) };
        // Nobody can mistake it, but where several say different things.
        self.report(true, Kind::Aliased, first, format!("stands in for {embedding}, which is missing"));
        for other in &others[1..] {
            self.names.remove(*other);
            if !self.same(other, first)? {
                self.report(allowed, Kind::Aliased, other, format!("differs from {first}"));
            }
        }
        Ok(first.to_owned())
    }

    /// Settles whether the softmax is the embedding.
    fn softmax(&mut self, config: &mut impl Architecture, shared: &str) -> Result<(), Error> {
        let softmax = self.vocabulary.softmax;
        let there = self.names.contains(softmax) && shared != softmax;
        if config.is_tied() && there {
            if self.same(softmax, shared)? {
                self.names.remove(softmax);
            } else {
                config.tie(false);
            }
        } else if !config.is_tied() && !there {
            // Where the kind of model does not say so, the matrix is missing.
            config.tie(config.is_always_tied());
        }
        Ok(())
    }

    /// The name under which the bias of the logits lies; takes its other name away.
    fn bias(&mut self, options: &LoadOptions) -> Result<&'static str, Error> {
        let Some((alias, bias)) = self.vocabulary.bias_alias.zip(self.vocabulary.bias) else { return Ok("") };
        if !self.names.contains(alias) {
            return Ok(bias);
        }
        if !self.names.contains(bias) {
            self.report(true, Kind::Aliased, alias, format!("stands in for {bias}, which is missing"));
            return Ok(alias);
        }
        self.names.remove(alias);
        if !self.same(alias, bias)? {
            let what = format!("differs from {bias}, whose other name it is");
            self.report(options.allow.aliased, Kind::Aliased, alias, what);
        }
        Ok(bias)
    }

    /// Whether nothing is there of a head that may begin anew; says so.
    fn headless(&mut self, config: &impl Architecture, layout: &[Slot]) -> bool {
        let mut head = layout.iter().filter(|slot| config.in_head(slot)).peekable();
        let Some(first) = head.peek().map(|slot| slot.name.clone()) else { return false };
        if head.any(|slot| self.names.contains(&slot.name)) {
            return false;
        }
        let what = "and the rest of the head that words are told by are missing and begin anew: train before \
                    generating";
        self.report(true, Kind::Missing, &first, what.to_owned());
        true
    }

    /// The tensor that a parameter is made of.
    fn tensor(
        &mut self,
        name: &str,
        slot: &Slot,
        options: &LoadOptions,
    ) -> Result<Option<(String, DType)>, Error> {
        if !self.names.remove(name) {
            let what = match name == self.vocabulary.softmax {
                true => {
                    "is missing (where the softmax is the embedding, the configuration must say \
                            \"tie_word_embeddings\": true)"
                }
                false => "is missing",
            };
            self.report(options.allow.missing, Kind::Missing, name, what.to_owned());
            return Ok(None);
        }
        let (dtype, shape) = self.checkpoint.info(name)?;
        let [rows, cols] = slot.shape[..].try_into().unwrap_or([0, 0]);
        if dtype == DType::U8 && shape == [rows, cols.div_ceil(2)] && slot.stored_in(DType::I4) == DType::I4 {
            return match self.scales(name, slot, DType::I4)? {
                None => Ok(Some((name.to_owned(), DType::I4))),
                Some(what) => {
                    self.report(false, Kind::Unreadable, name, what);
                    Ok(None)
                }
            };
        }
        if shape != slot.shape {
            let what = format!("has shape {shape:?}, not {:?}", slot.shape);
            self.report(options.allow.mismatched, Kind::Mismatched, name, what);
            return Ok(None);
        }
        if dtype.of_weight().is_none() {
            let what = format!("is stored as {dtype}; f32, bf16, f16, f64 and int8 are read");
            self.report(false, Kind::Unreadable, name, what);
            return Ok(None);
        }
        if dtype == DType::I8
            && let Some(what) = self.scales(name, slot, dtype)?
        {
            self.report(false, Kind::Unreadable, name, what);
            return Ok(None);
        }
        Ok(Some((name.to_owned(), dtype)))
    }

    /// What is wrong with the scales of a tensor in int8, beside it in the file; takes their name away.
    fn scales(&mut self, name: &str, slot: &Slot, stored: DType) -> Result<Option<String>, Error> {
        if !slot.quantizes() {
            return Ok(Some(
                "is stored as I8, which is read for linear layers and the embedding alone".to_owned(),
            ));
        }
        let scales = scales_of(name);
        let called = if stored == DType::I4 { "4 bits" } else { "I8" };
        if !self.names.remove(&scales) {
            return Ok(Some(format!(
                "is stored as {called} and its scales, {scales}, are missing; convert the model to {} anew, which writes both",
                stored.name()
            )));
        }
        let (dtype, shape) = self.checkpoint.info(&scales)?;
        let wanted = scales_shape(&slot.shape, stored);
        Ok((dtype != DType::F32 || shape != wanted).then(|| {
            format!(
                "is stored as {called} and its scales, {scales}, are {dtype} {shape:?}, not F32 {wanted:?}"
            )
        }))
    }

    /// What has found no place.
    fn rest(&mut self, config: &impl Architecture, options: &LoadOptions) {
        for name in std::mem::take(&mut self.names) {
            if config.ignores(&name) {
                continue;
            }
            self.report(options.allow.unexpected, Kind::Unexpected, &name, "is unexpected".to_owned());
        }
    }

    /// Whether two tensors are the same to the last bit.
    fn same(&self, a: &str, b: &str) -> Result<bool, Error> {
        if self.checkpoint.info(a)? != self.checkpoint.info(b)? {
            return Ok(false);
        }
        let (a, b) = (self.checkpoint.bytes(a)?, self.checkpoint.bytes(b)?);
        // Two names of one storage need not be read.
        Ok(std::ptr::eq(&*a, &*b) || *a == *b)
    }
}
