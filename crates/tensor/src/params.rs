//! The parameters of a model, by name.

use std::collections::{HashMap, HashSet};

use crate::{DType, Device, DeviceError, Weight};

/// Which parameter: an index into [`Params`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ParamId(pub(crate) usize);

impl ParamId {
    /// Its place in [`Params::iter`].
    pub fn index(self) -> usize {
        self.0
    }
}

/// A low-rank addition to a linear layer's weight (LoRA, Hu et al. 2021, section 4.1): the layer computes
/// `x·Wᵀ + scale·(x·Aᵀ)·Bᵀ`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adapter {
    /// A: [rank, in].
    pub a: ParamId,
    /// B: [out, rank].
    pub b: ParamId,
    /// The factor; lora_alpha / rank.
    pub scale: f32,
}

/// All parameters of a model, under the names that checkpoints use. A matrix that two layers share (tied
/// embeddings) is one parameter.
#[derive(Default)]
pub struct Params {
    entries: Vec<(String, Weight)>,
    by_name: HashMap<String, usize>,
    /// By the weight that has one.
    adapters: HashMap<usize, Adapter>,
    /// Those that training leaves as they are.
    frozen: HashSet<usize>,
    /// Where the weights are, if not in the processor's memory.
    device: Option<Device>,
}

impl Params {
    /// Adds a parameter; panics when the name is taken.
    pub fn add(&mut self, name: impl Into<String>, weight: Weight) -> ParamId {
        let name = name.into();
        let id = self.entries.len();
        assert!(self.by_name.insert(name.clone(), id).is_none(), "two parameters named {name}");
        self.entries.push((name, weight));
        ParamId(id)
    }

    /// The parameter of that name.
    pub fn id(&self, name: &str) -> Option<ParamId> {
        self.by_name.get(name).copied().map(ParamId)
    }

    /// A parameter's weight.
    pub fn get(&self, id: ParamId) -> &Weight {
        &self.entries[id.0].1
    }

    /// A parameter's weight, to write.
    pub fn get_mut(&mut self, id: ParamId) -> &mut Weight {
        &mut self.entries[id.0].1
    }

    /// All weights, to write.
    pub(crate) fn weights_mut(&mut self) -> impl Iterator<Item = (ParamId, &mut Weight)> {
        self.entries.iter_mut().enumerate().map(|(i, (_, weight))| (ParamId(i), weight))
    }

    /// Gives the weight of a linear layer an adapter, in the place of one that it has. Panics when the shapes do not
    /// fit.
    pub fn adapt(&mut self, weight: ParamId, adapter: Adapter) {
        let (w, a, b) = (self.get(weight), self.get(adapter.a), self.get(adapter.b));
        assert_eq!((b.rows(), a.rows(), a.cols()), (w.rows(), b.cols(), w.cols()), "{}", self.name(weight));
        self.adapters.insert(weight.0, adapter);
    }

    /// The adapter of a weight.
    pub fn adapter(&self, weight: ParamId) -> Option<Adapter> {
        self.adapters.get(&weight.0).copied()
    }

    /// Training leaves this parameter as it is: it gets no gradient.
    pub fn freeze(&mut self, id: ParamId) {
        self.frozen.insert(id.0);
    }

    /// Whether training changes a parameter.
    pub fn trains(&self, id: ParamId) -> bool {
        !self.frozen.contains(&id.0)
    }

    /// Whether training changes a parameter or its adapter: a gradient has to come this far.
    pub fn learns(&self, id: ParamId) -> bool {
        self.trains(id)
            || self.adapter(id).is_some_and(|adapter| self.trains(adapter.a) || self.trains(adapter.b))
    }

    /// A parameter's name.
    pub fn name(&self, id: ParamId) -> &str {
        &self.entries[id.0].0
    }

    /// A vector parameter (a norm's weight) in f32.
    ///
    /// Panics when it is stored in another type: models keep their vectors in f32.
    pub(crate) fn vector(&self, id: ParamId) -> &[f32] {
        self.get(id).as_f32().unwrap_or_else(|| panic!("{} is not stored as f32", self.name(id)))
    }

    /// Where a vector parameter of so many elements is on a device.
    ///
    /// Panics when it is stored in another type than f32, or has others.
    pub(crate) fn vector_at(&self, id: ParamId, len: usize) -> u64 {
        let (weight, placed) = (self.get(id), self.get(id).placed());
        assert!(placed.dtype == DType::F32 && weight.len() == len, "{} is no vector of {len}", self.name(id));
        placed.at
    }

    /// Moves all weights to a device, which then runs every operation with them.
    ///
    /// # Errors
    /// A storage type that a device does not take, before anything is moved.
    pub fn move_to(&mut self, device: &Device) -> Result<(), DeviceError> {
        for (_, weight) in &self.entries {
            weight.check_for_device()?;
        }
        // One after the other: what has been copied leaves the processor's memory.
        for (_, weight) in &mut self.entries {
            *weight = weight.to_device(device);
        }
        self.device = Some(device.clone());
        Ok(())
    }

    /// The same parameters with copies of all weights on a device.
    ///
    /// # Errors
    /// As [`Params::move_to`].
    pub fn copied_to(&self, device: &Device) -> Result<Params, DeviceError> {
        for (_, weight) in &self.entries {
            weight.check_for_device()?;
        }
        Ok(Params {
            entries: self.entries.iter().map(|(name, w)| (name.clone(), w.to_device(device))).collect(),
            by_name: self.by_name.clone(),
            adapters: self.adapters.clone(),
            frozen: self.frozen.clone(),
            device: Some(device.clone()),
        })
    }

    /// Where the weights are, if not in the processor's memory.
    pub fn device(&self) -> Option<&Device> {
        self.device.as_ref()
    }

    /// Number of parameters (tensors).
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All parameters in the order they were added.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (ParamId, &str, &Weight)> + DoubleEndedIterator {
        self.entries.iter().enumerate().map(|(i, (name, weight))| (ParamId(i), name.as_str(), weight))
    }

    /// Number of elements of all parameters together.
    pub fn elements(&self) -> usize {
        self.entries.iter().map(|(_, w)| w.len()).sum()
    }

    /// Keeps matrices in another storage type; vectors stay f32, whose rounding would cost more than it saves.
    pub fn store_matrices_as(&mut self, dtype: DType) {
        for (_, weight) in &mut self.entries {
            if weight.shape().len() == 2 && weight.dtype() != dtype {
                *weight = weight.to_dtype(dtype);
            }
        }
    }
}
