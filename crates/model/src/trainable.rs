//! A model before training: which parameters are trained, and where their weights lie.

use t5kit_tensor::{DType, ParamId};

use crate::architecture::Architecture;
use crate::{Part, Seq2Seq};

/// What makes a model of any kind ready for training. Adapters: see [`Adapted`](crate::Adapted).
pub trait Trainable: Seq2Seq {
    /// Trains these parts alone; the others keep their weights.
    fn train_only(&mut self, parts: &[Part]) {
        for slot in self.config().layout().into_iter().filter(|slot| !parts.contains(&slot.part)) {
            if let Some(id) = self.params().id(&slot.name) {
                self.params_mut().freeze(id);
            }
        }
    }

    /// Makes every weight that is trained writable f32 of its own, and the others f32, wherever they are.
    fn make_trainable(&mut self) {
        let ids: Vec<ParamId> = self.params().iter().map(|(id, _, _)| id).collect();
        let params = self.params_mut();
        for id in ids {
            let weight = params.get(id);
            let left = !params.trains(id) && weight.dtype() == DType::F32;
            if !left && !weight.is_trainable() {
                *params.get_mut(id) = weight.to_dtype(DType::F32);
            }
        }
    }
}

impl<M: Seq2Seq + ?Sized> Trainable for M {}
