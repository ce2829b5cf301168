//! How an NVIDIA GPU does the operations of [`ops`](crate::ops), beside [`cpu`](crate::cpu): one file each, functions of
//! the same names and arguments, which start kernels on tensors in the device's memory. Where a model's parameters are
//! decides which of both an operation calls ([`on!`](crate::on)); nothing above this crate knows.
//!
//! - `kernels/*.cu`: the kernels, in CUDA C; `sources` embeds them.
//! - `driver`: what a device can do (memory, copies, starting a kernel, a product). `nvidia` does it by the system's
//!   driver, NVRTC and cuBLASLt, all loaded when a card is asked for, so that no CUDA is needed to build or to run without
//!   one; `emulated` by a C++ compiler and the host's processor, for tests.
//! - `device`: a device, memory that gives itself back, and how kernels are started.
//! - `pinned`: memory of the host that uploads go through, so that it need not wait for them.
//! - `steps`: a decoding step is put off until the host reads of it, and what was so before runs as a graph.
//!
//! Kernels run in the order in which they are started, so memory can be given back while they run; the host waits for
//! them only where it reads ([`Tensor::to_host`](crate::Tensor::to_host)). What the processor does in f32 is f32 here;
//! sums are in another order.

/// The arguments of a kernel: tensors and memory by their address (`at`: an address as a number), numbers as they are.
macro_rules! arguments {
    (@ [$($done:expr,)*]) => { [$($done),*] };
    (@ [$($done:expr,)*] at $at:expr, $($rest:tt)*) => {
        arguments!(@ [$($done,)* $crate::cuda::driver::Argument::Pointer($at),] $($rest)*)
    };
    (@ [$($done:expr,)*] at $at:expr) => { arguments!(@ [$($done,)* $crate::cuda::driver::Argument::Pointer($at),]) };
    (@ [$($done:expr,)*] $value:expr, $($rest:tt)*) => {
        arguments!(@ [$($done,)* $crate::cuda::driver::Argument::from($value),] $($rest)*)
    };
    (@ [$($done:expr,)*] $value:expr) => { arguments!(@ [$($done,)* $crate::cuda::driver::Argument::from($value),]) };
    ($($all:tt)*) => { arguments!(@ [] $($all)*) };
}

mod choice;
mod device;
mod driver;
#[doc(hidden)]
pub mod emulated;
mod nvidia;
mod pinned;
mod several;
mod sources;
mod steps;

pub(crate) mod activation;
pub(crate) mod adafactor;
/// What an adapter adds is a part of the linear layer's product.
pub(crate) mod adapter {
    pub(crate) use super::linear::down;
}
pub(crate) mod attention;
pub(crate) mod cross_entropy;
pub(crate) mod dropout;
pub(crate) mod elementwise;
pub(crate) mod embedding;
pub(crate) mod linear;
pub(crate) mod logits;
mod matrix;
pub(crate) mod norm;
mod rates;
pub(crate) mod rotary;
pub(crate) mod rows;
#[cfg(test)]
mod tests;
pub(crate) mod update;
/// The norm of a gradient is summed as an optimizer's step is.
pub(crate) mod squares {
    pub(crate) use super::update::sum_squares;
}

pub use attention::WIDEST as WIDEST_HEAD;
pub use choice::{DeviceChoice, Opened};
pub(crate) use device::{Core, Memory};
pub use device::{Counts, Device, failures};
pub use driver::DeviceError;
use driver::{Argument, Epilogue, Matrix, Product};
pub(crate) use matrix::factor;
pub use several::Devices;
pub(crate) use steps::Step;
