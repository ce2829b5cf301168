//! How the processor does the operations of [`ops`](crate::ops): one file each, functions on tensors that share their
//! work out over the threads and run the kernels. What an operation is — shapes, tape, the rule of its way back — is
//! said in `ops` alone, so that another device can stand beside this one: the calls of this module there are the places
//! where one would be chosen.

pub(crate) mod activation;
pub(crate) mod adafactor;
pub(crate) mod adapter;
pub(crate) mod attention;
pub(crate) mod bias_table;
pub(crate) mod cache;
pub(crate) mod choose;
pub(crate) mod convert;
pub(crate) mod cross_entropy;
pub(crate) mod dropout;
pub(crate) mod elementwise;
pub(crate) mod embedding;
mod gemm;
pub(crate) mod heads;
pub(crate) mod int8;
pub(crate) mod linear;
pub(crate) mod logits_row;
pub(crate) mod matmul;
pub(crate) mod norm;
pub(crate) mod parts;
pub(crate) mod rotary;
pub(crate) mod rows;
pub(crate) mod squares;
pub(crate) mod sums;
pub(crate) mod update;
