//! Tensors, the fused operations of the T5 and BERT families with their backward passes, the tape that
//! runs them backwards, and the thread pool they share.
//!
//! The layers, from the bottom: [`kernels`] (inner loops, one thread, any instruction set), [`Pool`] (static
//! splits over threads), [`Tensor`] and [`Weight`] (storage), [`Graph`] (what one forward pass needs: the
//! parameters, the pool and, in training, the tape), and [`ops`] (one file an operation). Models are written
//! with `ops` alone and never touch a raw slice.

pub mod kernels;
pub mod ops;

mod batch;
mod buffer;
mod gemm;
mod graph;
mod params;
mod pool;
mod rng;
mod row_gradient;
mod tensor;
mod view;
mod weight;

pub use batch::{Packed, PackedError};
pub use buffer::{cached_bytes, release_cached};
pub use graph::{Backward, Dropout, Gradients, Graph, Precision, Regime, Run, Var};
pub use params::{Adapter, ParamId, Params};
pub use pool::Pool;
pub use rng::{Rng, mix};
pub use row_gradient::{Gradient, RowGradient};
pub use tensor::Tensor;
pub use view::{MatMut, MatRef};
pub use weight::{Bytes, DType, Weight, WeightError};
