//! Between f32 and the types that weights are stored in.

use crate::rows::Elements;
use crate::{DType, kernels};

/// Stored elements as f32.
pub(crate) fn widen(y: &mut [f32], x: Elements<'_>) {
    let isa = kernels::isa();
    match x {
        Elements::F32(x) => y.copy_from_slice(x),
        Elements::Bf16(x) => kernels::bf16_to_f32(isa, y, x),
        Elements::F16(x) => kernels::f16_to_f32(isa, y, x),
    }
}

/// f32 as bits of bf16 or f16, rounded to nearest even. Panics for other types.
pub(crate) fn narrow(x: &[f32], dtype: DType) -> Vec<u16> {
    let (isa, mut bits) = (kernels::isa(), vec![0u16; x.len()]);
    match dtype {
        DType::Bf16 => kernels::f32_to_bf16(isa, &mut bits, x),
        DType::F16 => kernels::f32_to_f16(isa, &mut bits, x),
        other => panic!("weights are kept in f32, bf16 or f16, not in {}", other.name()),
    }
    bits
}
