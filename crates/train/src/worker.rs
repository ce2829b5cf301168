//! Devices beside the first: each has the whole model and its optimizer, does its share of a step's batches, and after
//! their gradients have been added up takes the same step, to the bit.

use std::panic::resume_unwind;
use std::thread;

use t5kit_model::{Model, Seq2Seq};
use t5kit_tensor::ops::Losses;
use t5kit_tensor::{Context, Device, DeviceError, Devices, Gradients, Pool};

use crate::pass::new_gradients;
use crate::{Optimizer, TrainOptions};

/// What such a device has.
pub(crate) struct Worker {
    model: Model,
    optimizer: Optimizer,
    gradients: Gradients,
    /// The thread that starts its kernels.
    pool: Pool,
}

impl Worker {
    /// A copy of a model and of what its optimizer remembers.
    pub(crate) fn new(
        model: &dyn Seq2Seq,
        optimizer: &Optimizer,
        device: &Device,
    ) -> Result<Self, DeviceError> {
        Ok(Worker {
            model: model.copied_to(device)?,
            optimizer: optimizer.clone(),
            gradients: new_gradients(model),
            pool: Pool::new(1),
        })
    }

    /// Takes the step that the first device takes.
    pub(crate) fn step(&mut self, options: &TrainOptions, lr: f64) {
        self.optimizer.step(self.model.params_mut(), &self.gradients, &self.pool, options, lr);
    }
}

/// A worker's share of a step: its number, from 1 on, the first device's being 0, its model, thread and gradients.
type Share<'a> = &'a (dyn Fn(usize, &dyn Seq2Seq, &Pool, &mut Gradients) -> Vec<Losses> + Sync);

/// The first device's share beside the others', each on a thread of its own; what they give, by device.
pub(crate) fn side_by_side(
    others: &mut [Worker],
    share: Share<'_>,
    first: impl FnOnce() -> Vec<Losses>,
) -> Vec<Vec<Losses>> {
    thread::scope(|scope| {
        let mut started = Vec::new();
        for (i, Worker { model, gradients, pool, .. }) in others.iter_mut().enumerate() {
            started.push(scope.spawn(move || share(i + 1, &**model, pool, gradients)));
        }
        let own = first();
        // What has failed there fails here.
        let found =
            started.into_iter().map(|other| other.join().unwrap_or_else(|failure| resume_unwind(failure)));
        std::iter::once(own).chain(found).collect()
    })
}

/// Adds up the gradients of the first device's model and of the others'.
pub(crate) fn add_up(
    devices: &Devices,
    model: &dyn Seq2Seq,
    pool: &Pool,
    gradients: &mut Gradients,
    others: &mut [Worker],
) {
    let mut contexts = vec![Context::new(model.params(), pool)];
    let mut all = vec![gradients];
    for Worker { model, gradients, pool, .. } in others {
        contexts.push(Context::new(model.params(), pool));
        all.push(gradients);
    }
    devices.add_up(&contexts, &mut all);
}
