//! The int8 product by AMX: tiles of sixteen rows by sixteen outputs, 64 columns an instruction.
//!
//! Nothing is packed for it. Sixteen lines of a panel, of which each has four columns of sixteen outputs side by side, are a
//! tile of B, and rows of activations as they lie are tiles of A. What does not fill tiles (the last rows, the last columns)
//! goes by way of copies with zeros.

use std::arch::asm;
use std::ops::Range;

use super::pack::{Bits, PANEL, Panels};
use super::quantize::{Activations, GROUP};
use crate::MatMut;
use crate::kernels::amx::Configured;

/// Rows of a block: two tiles.
const ROWS: usize = 32;
/// Outputs of a block: two panels, each a tile wide.
const OUTPUTS: usize = 2 * PANEL;
/// Bytes of a tile's row: columns of an instruction.
const DEPTH: usize = 64;
/// Bytes of a tile.
const TILE: usize = 16 * DEPTH;
/// Tiles that a group of columns takes.
const STEPS: usize = GROUP / DEPTH;
/// Rows from which on tiles are worth it.
const FEW: usize = 8;

/// What a block of rows by outputs sums up to.
#[repr(align(64))]
struct Sums([[i32; OUTPUTS]; ROWS]);

/// Two by two tiles.
trait Unit: Copy {
    /// Sums of products, from zero: `steps` times 64 columns.
    ///
    /// # Safety
    /// `steps` times 64 bytes can be read of each of 32 rows that lie `stride` bytes apart from `a` on, and as many tiles of
    /// 1,024 bytes from each of `b` on.
    unsafe fn block(self, sums: &mut Sums, a: *const i8, stride: usize, b: [*const i8; 2], steps: usize);
}

/// The instructions. Whoever has one has configured tiles.
#[derive(Clone, Copy)]
struct Amx<'a>(#[allow(dead_code)] &'a Configured);

impl Unit for Amx<'_> {
    #[inline(always)]
    unsafe fn block(self, sums: &mut Sums, a: *const i8, stride: usize, b: [*const i8; 2], steps: usize) {
        let c = sums.0.as_mut_ptr();
        // SAFETY: the caller's promise; the sums are 32 rows of 128 bytes.
        unsafe {
            asm!(
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "2:",
                "tileloadd tmm4, [{a} + {stride}]",
                "tileloadd tmm6, [{left} + {line}]",
                "tileloadd tmm7, [{right} + {line}]",
                "tdpbssd tmm0, tmm4, tmm6",
                "tileloadd tmm5, [{low} + {stride}]",
                "tdpbssd tmm1, tmm4, tmm7",
                "tdpbssd tmm2, tmm5, tmm6",
                "tdpbssd tmm3, tmm5, tmm7",
                "add {a}, 64",
                "add {low}, 64",
                "add {left}, 1024",
                "add {right}, 1024",
                "dec {steps}",
                "jnz 2b",
                "tilestored [{c} + {row}], tmm0",
                "tilestored [{c} + {row} + 64], tmm1",
                "tilestored [{below} + {row}], tmm2",
                "tilestored [{below} + {row} + 64], tmm3",
                a = inout(reg) a => _,
                low = inout(reg) a.wrapping_add(16 * stride) => _,
                left = inout(reg) b[0] => _,
                right = inout(reg) b[1] => _,
                steps = inout(reg) steps => _,
                stride = in(reg) stride,
                line = in(reg) DEPTH,
                row = in(reg) OUTPUTS * size_of::<i32>(),
                c = in(reg) c,
                below = in(reg) c.add(16),
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }
}

/// # Safety
/// The processor has AMX with int8 and lets this process use it, AVX-512 F, BW, DQ, VL and VNNI, AVX2, FMA and F16C.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
pub(super) unsafe fn amx(y: MatMut<'_>, x: Activations<'_>, w: &Panels, outputs: Range<usize>) {
    if w.bits() == Bits::Four || x.rows() < FEW {
        // SAFETY: the caller's promise.
        return unsafe { super::x86::avx512_vnni(y, x, w, outputs) };
    }
    // SAFETY: as above; nothing else here uses tiles meanwhile.
    let tiles = unsafe { Configured::new() };
    product(Amx(&tiles), y, x, w, outputs);
}

/// Blocks of 32 rows by two panels, a group of columns at a time.
#[inline(always)]
fn product<U: Unit>(unit: U, mut y: MatMut<'_>, x: Activations<'_>, w: &Panels, outputs: Range<usize>) {
    let (first, bytes) = w.first();
    let end = outputs.end.div_ceil(PANEL);
    let mut sums = Sums([[0; OUTPUTS]; ROWS]);
    let mut totals = [[0f32; OUTPUTS]; ROWS];
    let mut of_rows = [0i8; ROWS * GROUP];
    let mut of_panels = [[0i8; STEPS * TILE]; 2];
    for panel in (outputs.start / PANEL..end).step_by(2) {
        // Where there is but one panel left, it is multiplied twice.
        let panels = [panel, (panel + 1).min(end - 1)];
        let here = outputs.start.max(panel * PANEL)..outputs.end.min((panel + 2) * PANEL);
        for top in (0..x.rows()).step_by(ROWS) {
            let count = ROWS.min(x.rows() - top);
            for group in 0..x.cols().div_ceil(GROUP) {
                let from = group * GROUP / 4;
                let lines = (w.lines() - from).min(GROUP / 4);
                let steps = (4 * lines).div_ceil(DEPTH);
                let whole = 4 * lines == steps * DEPTH;
                // Both are padded to whole lines.
                let row = |i: usize| x.row(top + i).0.wrapping_add(group * GROUP);
                let (a, stride) = if whole && count == ROWS {
                    (row(0), (row(1) as usize).wrapping_sub(row(0) as usize))
                } else {
                    of_rows.fill(0);
                    for i in 0..count {
                        // SAFETY: the row has so many numbers from there on.
                        unsafe { row(i).copy_to(of_rows[i * GROUP..].as_mut_ptr(), 4 * lines) };
                    }
                    (of_rows.as_ptr(), GROUP)
                };
                let mut b = panels.map(|panel| first.wrapping_add(panel * bytes + from * 4 * PANEL));
                if !whole {
                    for (b, copy) in b.iter_mut().zip(&mut of_panels) {
                        copy.fill(0);
                        // SAFETY: the panel has so many lines from there on.
                        unsafe { b.copy_to(copy.as_mut_ptr(), lines * 4 * PANEL) };
                        *b = copy.as_ptr();
                    }
                }
                // SAFETY: the rows and the panels, or the copies of them, are as long as the tiles.
                unsafe { unit.block(&mut sums, a, stride, b, steps) };
                for (i, (totals, sums)) in totals.iter_mut().zip(&sums.0).enumerate().take(count) {
                    // SAFETY: a row has a factor for each of its groups.
                    let factor = unsafe { *x.row(top + i).1.add(group) };
                    for (total, &sum) in totals.iter_mut().zip(sums) {
                        // A multiplication and an addition, as the plain kernel has them.
                        let term = sum as f32 * factor;
                        *total = if group == 0 { term } else { *total + term };
                    }
                }
            }
            for (i, totals) in totals.iter().enumerate().take(count) {
                let totals = &totals[here.start - panel * PANEL..here.end - panel * PANEL];
                let y = &mut y.row_mut(top + i)[here.start - outputs.start..here.end - outputs.start];
                for ((y, total), scale) in y.iter_mut().zip(totals).zip(w.scales_of(here.clone())) {
                    *y = total * scale;
                }
            }
        }
    }
}

/// What the instructions do, as Intel's manual has it ("Intel 64 and IA-32 Architectures Software Developer's Manual", volume 2,
/// TILELOADD, TDPBSSD, TILESTORED), so that what the loops hand them is tried where there are none.
#[cfg(test)]
pub(in crate::kernels) mod emulated {
    use super::*;

    /// Sixteen rows of 64 bytes.
    type Register = [[u8; DEPTH]; 16];

    #[derive(Clone, Copy)]
    struct Emulated;

    /// `tileloadd`: a row from each `stride` bytes.
    unsafe fn load(p: *const i8, stride: usize) -> Register {
        // SAFETY: the caller's promise.
        std::array::from_fn(|row| unsafe {
            p.wrapping_add(row * stride).cast::<[u8; DEPTH]>().read_unaligned()
        })
    }

    /// `tdpbssd c, a, b`: for each row m of c, each double word k of a's row, each double word n of c's row, the four products
    /// of bytes of a's double word (m, k) and b's (k, n).
    fn multiply_add(c: &mut Register, a: &Register, b: &Register) {
        for m in 0..16 {
            for k in 0..DEPTH / 4 {
                for n in 0..DEPTH / 4 {
                    let mut sum = i32::from_le_bytes(c[m][4 * n..4 * n + 4].try_into().unwrap());
                    for byte in 0..4 {
                        sum += i32::from(a[m][4 * k + byte] as i8) * i32::from(b[k][4 * n + byte] as i8);
                    }
                    c[m][4 * n..4 * n + 4].copy_from_slice(&sum.to_le_bytes());
                }
            }
        }
    }

    impl Unit for Emulated {
        /// The instructions of [`Amx::block`], one by one.
        unsafe fn block(self, sums: &mut Sums, a: *const i8, stride: usize, b: [*const i8; 2], steps: usize) {
            let mut c = [[[0; DEPTH]; 16]; 4];
            for step in 0..steps {
                // SAFETY: the caller's promise.
                let (a, b) = unsafe {
                    (
                        [0, 16].map(|row| load(a.wrapping_add(step * DEPTH + row * stride), stride)),
                        b.map(|b| load(b.wrapping_add(step * TILE), DEPTH)),
                    )
                };
                for (i, c) in c.iter_mut().enumerate() {
                    multiply_add(c, &a[i / 2], &b[i % 2]);
                }
            }
            for (i, c) in c.iter().enumerate() {
                for (row, bytes) in c.iter().enumerate() {
                    let (words, _) = bytes.as_chunks();
                    for (n, &word) in words.iter().enumerate() {
                        sums.0[i / 2 * 16 + row][i % 2 * 16 + n] = i32::from_le_bytes(word);
                    }
                }
            }
        }
    }

    /// [`amx`] by the instructions written out.
    pub(in crate::kernels) fn amx(y: MatMut<'_>, x: Activations<'_>, w: &Panels, outputs: Range<usize>) {
        product(Emulated, y, x, w, outputs);
    }
}
