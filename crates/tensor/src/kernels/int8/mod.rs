//! Products of weights in int8 with activations that are quantised as they come.
//!
//! A weight has a scale a row, an activation one for every [`GROUP`](quantize::GROUP) columns of a token: `y[i, j] = s[j] · Σ_g t[i, g] · Σ_l
//! x[i, l]·w[j, l]`, the inner sum over the columns of group g. A few channels that are fifty times as large as the others, as
//! trained T5s have them, so cost their own group its precision and no other.
//!
//! **The same bits everywhere.** Inner sums are whole numbers in i32, exact; what is done to them in f32 is a multiplication
//! and an addition of each group in turn, by every kernel alike. So an element depends on its token and its row of the
//! weights alone: not on the batch, the tile, the threads or the instruction set.
//!
//! - `pack`: weights as the kernels want them ([`Panels`]).
//! - `quantize`: activations ([`Activations`]).
//! - `product`: the loops, written once over [`dot::Dot`]; `dot` has the plain instance, `x86` and `neon` those
//!   by intrinsics.
//! - `amx`: loops of its own, over tiles.

#[cfg(target_arch = "x86_64")]
mod amx;
mod dot;
#[cfg(target_arch = "aarch64")]
mod neon;
mod pack;
mod product;
mod quantize;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::ops::Range;
use std::sync::OnceLock;

use super::isa::{Isa, IsaError, Kind, environment, isa};
use crate::MatMut;
#[cfg(all(test, target_arch = "x86_64"))]
pub(super) use amx::emulated::amx as amx_emulated;
pub use pack::{Bits, Panels};
pub use quantize::{Activations, GROUP, SHARE, quantize_row};

/// The environment variable that forces an int8 kernel: `portable`, `avx2`, `avx-vnni`, `avx512-vnni` or `amx`; on ARM
/// `portable`, `neon` or `neon-dotprod`.
pub const INT8_VARIABLE: &str = "T5KIT_INT8";

/// A way to multiply in int8. Values but `Portable` are only obtained from [`int8_kernels_for`], so holding one proves
/// that the processor has its instructions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Int8Kernel {
    /// Plain Rust.
    Portable,
    /// `vpmaddubsw` of magnitudes and signs given to the other side, whose sums of two stay below 2¹⁵.
    #[cfg(target_arch = "x86_64")]
    Avx2(Proof),
    /// `vpdpbusd` on 256 bits, the way processors without AVX-512 have it.
    #[cfg(target_arch = "x86_64")]
    AvxVnni(Proof),
    /// `vpdpbusd` on 512 bits.
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni(Proof),
    /// `tdpbssd`: 16×16 sums of 64 products. No processor that has it has run it yet: its loops are tried with the
    /// instructions written out.
    #[cfg(target_arch = "x86_64")]
    Amx(Proof),
    /// `smull`: products in 16 bits, as any NEON has them.
    #[cfg(target_arch = "aarch64")]
    Neon(Proof),
    /// `sdot`.
    #[cfg(target_arch = "aarch64")]
    NeonDotprod(Proof),
}

/// Cannot be made elsewhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Proof(());

impl Int8Kernel {
    /// The name as `T5KIT_INT8` spells it.
    pub fn name(self) -> &'static str {
        match self {
            Int8Kernel::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Int8Kernel::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Int8Kernel::AvxVnni(_) => "avx-vnni",
            #[cfg(target_arch = "x86_64")]
            Int8Kernel::Avx512Vnni(_) => "avx512-vnni",
            #[cfg(target_arch = "x86_64")]
            Int8Kernel::Amx(_) => "amx",
            #[cfg(target_arch = "aarch64")]
            Int8Kernel::Neon(_) => "neon",
            #[cfg(target_arch = "aarch64")]
            Int8Kernel::NeonDotprod(_) => "neon-dotprod",
        }
    }

    /// Whether its tests have passed on a processor that has it, so that it may be chosen unasked.
    fn proven(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Int8Kernel::Amx(_) => false,
            _ => true,
        }
    }
}

/// The kernels that may run when `isa` is the instruction set, the best last.
pub fn int8_kernels_for(isa: Isa) -> Vec<Int8Kernel> {
    #[allow(unused_mut)] // where there is but the baseline
    let mut found = vec![Int8Kernel::Portable];
    #[cfg(target_arch = "x86_64")]
    {
        if isa.kind() != Kind::Portable {
            found.push(Int8Kernel::Avx2(Proof(())));
            if is_x86_feature_detected!("avxvnni") {
                found.push(Int8Kernel::AvxVnni(Proof(())));
            }
        }
        if isa.kind() == Kind::Avx512 && is_x86_feature_detected!("avx512vnni") {
            found.push(Int8Kernel::Avx512Vnni(Proof(())));
            if super::amx::allowed(super::amx::INT8) {
                found.push(Int8Kernel::Amx(Proof(())));
            }
        }
    }
    #[cfg(target_arch = "aarch64")]
    if isa.kind() == Kind::Neon {
        found.push(Int8Kernel::Neon(Proof(())));
        if std::arch::is_aarch64_feature_detected!("dotprod") {
            found.push(Int8Kernel::NeonDotprod(Proof(())));
        }
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = (isa, Kind::Portable);
    found
}

/// The kernel that products use, chosen once.
///
/// # Panics
/// When `T5KIT_INT8` is impossible and the program did not ask [`init`](super::init) first.
pub fn best_int8_kernel() -> Int8Kernel {
    static BEST: OnceLock<Int8Kernel> = OnceLock::new();
    *BEST.get_or_init(|| from_environment(isa()).unwrap_or_else(|error| panic!("{error}")))
}

/// The kernel that `T5KIT_INT8` names, else the best that has been tried.
pub(super) fn from_environment(isa: Isa) -> Result<Int8Kernel, IsaError> {
    choose(isa, environment(INT8_VARIABLE).as_deref())
}

fn choose(isa: Isa, wanted: Option<&str>) -> Result<Int8Kernel, IsaError> {
    let found = int8_kernels_for(isa);
    match wanted {
        None => Ok(found.into_iter().rev().find(|kernel| kernel.proven()).unwrap_or(Int8Kernel::Portable)),
        Some(name) => found.iter().copied().find(|kernel| kernel.name() == name).ok_or_else(|| IsaError {
            variable: INT8_VARIABLE,
            wanted: name.escape_debug().to_string(),
            available: found.iter().map(|kernel| kernel.name()).collect(),
        }),
    }
}

/// `y[i, j] = x[i]·w[outputs.start + j]ᵀ` for y of [m, outputs]; one thread.
///
/// Panics where the sizes do not fit.
pub fn matmul_int8(y: MatMut<'_>, x: Activations<'_>, w: &Panels, outputs: Range<usize>) {
    matmul_int8_with(best_int8_kernel(), y, x, w, outputs);
}

/// [`matmul_int8`] by a kernel of [`int8_kernels_for`], for tests and comparisons.
pub fn matmul_int8_with(
    kernel: Int8Kernel,
    mut y: MatMut<'_>,
    x: Activations<'_>,
    w: &Panels,
    outputs: Range<usize>,
) {
    assert!(x.cols() == w.cols(), "tokens of {} by weights of {}", x.cols(), w.cols());
    assert!(y.rows == x.rows() && y.cols == outputs.len() && outputs.end <= w.rows(), "outputs {outputs:?}");
    if y.rows == 0 || y.cols == 0 {
        return;
    }
    if x.cols() == 0 {
        return (0..y.rows).for_each(|row| y.row_mut(row).fill(0.0));
    }
    match kernel {
        Int8Kernel::Portable => product::product(dot::Plain, y, x, w, outputs),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the kernel's existence proves the instruction set.
        Int8Kernel::Avx2(_) => unsafe { x86::avx2(y, x, w, outputs) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Int8Kernel::AvxVnni(_) => unsafe { x86::avx_vnni(y, x, w, outputs) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Int8Kernel::Avx512Vnni(_) => unsafe { x86::avx512_vnni(y, x, w, outputs) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Int8Kernel::Amx(_) => unsafe { amx::amx(y, x, w, outputs) },
        #[cfg(target_arch = "aarch64")]
        // SAFETY: as above.
        Int8Kernel::Neon(_) => unsafe { neon::neon(y, x, w, outputs) },
        #[cfg(target_arch = "aarch64")]
        // SAFETY: as above.
        Int8Kernel::NeonDotprod(_) => unsafe { neon::neon_dotprod(y, x, w, outputs) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_chooses_among_what_there_is() {
        for isa in crate::kernels::available() {
            let found = int8_kernels_for(isa);
            for &kernel in &found {
                assert_eq!(choose(isa, Some(kernel.name())), Ok(kernel));
            }
            assert_eq!(choose(isa, None).ok(), found.iter().rev().copied().find(|kernel| kernel.proven()));
            let error = choose(isa, Some("mmx")).unwrap_err().to_string();
            assert!(error.starts_with("T5KIT_INT8=mmx: ") && error.contains("portable"), "{error}");
        }
    }
}
