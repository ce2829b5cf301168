//! Tensors, the fused operations of the T5 and BERT families with their backward passes, the tape that
//! runs them backwards, and the thread pool they share.
//!
//! The layers, from the bottom: `kernels` (inner loops, one thread, any instruction set; private), [`Pool`] (pieces of
//! work claimed by threads), [`Tensor`] and [`Weight`] (storage), `cpu` (how the processor does each operation; private),
//! `cuda` (how a GPU does, a [`Device`]; where the parameters are decides),
//! [`Graph`] (what one forward pass needs: the parameters, the pool and, in training, the tape), and [`ops`] (what each
//! operation is, one file each). Models are written with `ops` alone and never touch a raw slice.

/// Calls the function of `cpu` or that of the same name and arguments of `cuda`, as the context says: `on!(context =>
/// norm::rms(…))`.
macro_rules! on {
    ($context:expr => $module:ident $(:: $name:ident)+ ($($argument:expr),* $(,)?)) => {
        match $context.device {
            None => crate::cpu::$module$(::$name)+($($argument),*),
            Some(_) => crate::cuda::$module$(::$name)+($($argument),*),
        }
    };
}

pub mod ops;

#[doc(hidden)]
pub mod bench;

mod batch;
mod buffer;
mod cpu;
mod cuda;
mod graph;
mod kernels;
mod params;
mod pool;
mod rates;
mod rng;
mod row_gradient;
mod rows;
mod tensor;
mod view;
mod weight;

pub use batch::{Packed, PackedError};
pub use buffer::release_cached;
#[doc(hidden)]
pub use cuda::emulated;
pub use cuda::{Counts, Device, DeviceChoice, DeviceError, Devices, Opened, WIDEST_HEAD, failures};
pub(crate) use graph::Backward;
pub use graph::{Context, Dropout, Gradients, Graph, Precision, Regime, Var};
pub use kernels::{Isa, IsaError, SHARE, bf16_products, init, isa};
pub use params::{Adapter, ParamId, Params};
pub use pool::Pool;
pub use rates::{Instructions, instructions, product_rate, rates, read_rate};
pub use rng::{Rng, mix};
pub use row_gradient::{Gradient, RowGradient};
pub use rows::{Beyond, Rows};
pub use t5kit_dtype::DType;
pub use tensor::Tensor;
pub(crate) use view::{MatMut, MatRef};
pub use weight::{Bytes, Readable, Weight, WeightError};
