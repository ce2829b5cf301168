//! Instruction-set code: every inner loop of the crate, one thread each.
//!
//! - `isa`: which instruction sets there are and which is used ([`init`], [`isa()`], [`available`]).
//! - `vector`: the small trait the kernels are written in, its portable instance, and the `dispatch!` macro that
//!   compiles a kernel once per instruction set; `avx2`, `avx512` and `neon` are the instances by
//!   intrinsics.
//! - `math`: exp and its relatives on vectors; then one file a family of kernels.
//! - `int8`: products of int8 weights with activations quantised as they come ([`matmul_int8`]).
//! - `bf16`: matrix products of any size in bf16, by AMX or AVX-512 BF16 ([`gemm_bf16`]).
//! - `oracle` (tests only): every kernel as one would write it on paper, f64 inside. `tests` compares every
//!   variant that the machine has with it.
//!
//! The functions are safe: they assert their sizes (a wrong size is a programming error, not an input error) and
//! take an [`Isa`], which only exists where the processor has the instructions. They do not allocate, but for
//! [`gemm_bf16`], which packs.

mod activation;
mod adafactor;
mod adamw;
#[cfg(target_arch = "x86_64")]
mod amx;
mod attention;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod bf16;
mod columns;
mod convert;
mod dropout;
mod elementwise;
mod int8;
mod isa;
mod lines;
mod lion;
mod math;
#[cfg(target_arch = "aarch64")]
mod neon;
mod norm;
#[cfg(test)]
mod oracle;
mod relative;
mod rotary;
mod rows;
mod softmax;
#[cfg(test)]
mod tests;
mod top;
mod vector;

pub use activation::{
    activate, activate_backward, activate_biased, activate_biased_backward, gated, gated_backward,
};
pub use adafactor::{adafactor_apply, adafactor_squares, adafactor_update_squares, adafactor_vector};
pub use adamw::adamw;
pub use attention::{Cached, Kept, Look, Part, ScoreBias, attend};
pub use bf16::{
    BF16_VARIABLE, Bf16Kernel, KeyStrips, best_kernel, bf16_products, gemm_bf16, gemm_bf16_with, kernels_for,
    strips_kernel,
};
pub use columns::matmul_columns;
pub use convert::{bf16_to_f32, f16_to_f32, f32_to_bf16, f32_to_f16};
pub use dropout::{dropout, dropout_add, dropout_in_place};
pub use elementwise::{add, argmax, axpy, dot, first_non_finite, scale, sum, sum_squares};
pub use int8::{
    Activations, Bits, GROUP, INT8_VARIABLE, Int8Kernel, Panels, SHARE, best_int8_kernel, int8_kernels_for,
    matmul_int8, matmul_int8_with, quantize_row,
};
pub use isa::{ISA_VARIABLE, Isa, IsaError, available, init, isa};
pub(crate) use lines::{LINE, prefetch};
pub use lion::lion;
pub use norm::{layer_norm, layer_norm_backward, rms_norm, rms_norm_backward};
pub use relative::{add_by_distance, sum_by_distance};
pub use rotary::rotate;
pub use rows::{Bf16, bf16_rows, matmul_rows, matmul_rows_bf16};
pub use softmax::{exp_sub_scale, logsumexp, softmax, softmax_again, softmax_backward};
pub use top::top;
