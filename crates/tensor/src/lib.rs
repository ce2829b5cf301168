//! Tensors, fused operations with their backward passes, the tape and the thread pool.

pub mod kernels;
