//! A door for this crate's own timing examples (`examples/`), which time kernels by themselves. Nothing else may use it:
//! to everybody else kernels are private, and what they do is an operation.

pub use crate::kernels::*;
pub use crate::view::{MatMut, MatRef};
