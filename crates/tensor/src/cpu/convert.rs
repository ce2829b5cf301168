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
        Elements::Int8(x, scales) => {
            let cols = (x.len() / scales.len().max(1)).max(1);
            for ((y, x), scale) in y.chunks_exact_mut(cols).zip(x.chunks_exact(cols)).zip(scales) {
                y.iter_mut().zip(x).for_each(|(y, &x)| *y = f32::from(x) * scale);
            }
        }
        Elements::Panels(panels, first, rows) => {
            assert_eq!(y.len(), rows * panels.cols(), "a conversion's two sides");
            for (row, y) in (first..).zip(y.chunks_exact_mut(panels.cols().max(1))) {
                panels.widen(row, y);
            }
        }
    }
}

/// A row of f32 in int8: its scale, the largest magnitude / 127 (1 where all is zero), and the nearest multiples of it. The
/// first value that is not finite, where there is one.
pub(crate) fn to_int8(x: &[f32], q: &mut Vec<i8>) -> Result<f32, f32> {
    if let Some(&x) = x.iter().find(|x| !x.is_finite()) {
        return Err(x);
    }
    let most = x.iter().fold(0f32, |most, x| most.max(x.abs()));
    let scale = if most >= 128.0 * f32::MIN_POSITIVE { most / 127.0 } else { 1.0 };
    q.extend(x.iter().map(|x| (x / scale).round_ties_even() as i8));
    Ok(scale)
}

/// A row of f32 in 4 bits: for every [`SHARE`](kernels::SHARE) columns a scale, and the nearest multiples of it, 8 more than
/// they are, two columns a byte. Of some scales below the one that reaches the largest magnitude that with the least
/// squares of what is off. The first value that is not finite, where there is one.
pub(crate) fn to_int4(x: &[f32], bytes: &mut Vec<u8>, scales: &mut Vec<f32>) -> Result<(), f32> {
    if let Some(&x) = x.iter().find(|x| !x.is_finite()) {
        return Err(x);
    }
    let first = bytes.len();
    bytes.resize(first + x.len().div_ceil(2), 0x88);
    for (share, x) in x.chunks(kernels::SHARE).enumerate() {
        // The end with the larger magnitude is −8, of which there is one more than of 7.
        let most = x.iter().fold(0f32, |most, &x| if x.abs() > most.abs() { x } else { most });
        let rounded = |scale: f32, x: f32| (x / scale).round_ties_even().clamp(-8.0, 7.0);
        let off = |scale: f32| x.iter().map(|&x| (rounded(scale, x) * scale - x).powi(2)).sum::<f32>();
        let tried = (0..=12).map(|step| most / -8.0 * (1.0 - 0.025 * step as f32));
        let best = tried.map(|scale| (off(scale), scale)).min_by(|a, b| a.0.total_cmp(&b.0));
        let scale = best.map_or(1.0, |(_, scale)| scale);
        let scale = if scale.abs() >= f32::MIN_POSITIVE { scale } else { 1.0 };
        scales.push(scale);
        for (col, &x) in (share * kernels::SHARE..).zip(x) {
            let (byte, shift) = (&mut bytes[first + col / 2], col % 2 * 4);
            *byte = *byte & !(15 << shift) | ((rounded(scale, x) + 8.0) as u8) << shift;
        }
    }
    Ok(())
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
