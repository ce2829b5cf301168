//! What an optimizer's step works on: every parameter that has a gradient, beside what is remembered of it.

use crate::{Device, Gradient, Gradients, Params, Tensor, Weight};

/// A step's parameters, all of them at once: a device changes them in one go.
pub struct Learning<'a> {
    /// The parameters.
    pub params: &'a mut Params,
    /// Their gradients; those without one stay as they are.
    pub gradients: &'a Gradients,
    /// By parameter, what the optimizer remembers of it, in the order of its operation's arguments.
    pub state: &'a mut [Vec<Tensor>],
    /// Whether rows without a gradient, where it is kept by rows, are left alone, as `torch.optim.SparseAdam` does.
    pub lazy: bool,
}

/// One of them.
pub(crate) struct Learned<'a> {
    pub(crate) weight: &'a mut Weight,
    pub(crate) gradient: Gradient<'a>,
    pub(crate) state: &'a mut [Tensor],
}

impl<'a> Learning<'a> {
    /// Those with a gradient, and where they are, if not in the processor's memory.
    pub(crate) fn parts(self) -> (Option<Device>, Vec<Learned<'a>>) {
        let Learning { params, gradients, state, .. } = self;
        let device = params.device().cloned();
        let with = params.weights_mut().zip(state).filter_map(|((id, weight), state)| {
            gradients.get(id).map(|gradient| Learned { weight, gradient, state })
        });
        (device, with.collect())
    }
}
