//! What the int8 product is written over: vectors of i32 sums, four products a lane at a time.

use crate::kernels::vector::{Portable, Simd};

/// An instruction set's sums of products of int8.
pub(super) trait Dot: Copy {
    /// Outputs in a vector: 8 or 16.
    const LANES: usize;
    /// Rows of activations in a tile, at most 4.
    const ROWS: usize;
    /// Vectors of outputs in a tile, at most 4 times 16 numbers.
    const VECTORS: usize;
    /// What is done in f32, as many lanes.
    type Float: Simd;
    /// i32 sums, one an output.
    type Sums: Copy;
    /// Four columns of each output's weights.
    type Weights: Copy;
    /// Four columns of a token, in every lane.
    type Token: Copy;

    /// The same set's f32 operations.
    fn float(self) -> Self::Float;
    /// Sums before the first product: zeros, or what takes back what [`Dot::dot`] adds too much, where the weights it is
    /// given are `more` than they are: `sum` is that of the token's numbers.
    fn begin(self, sum: i32, more: i32) -> Self::Sums;
    /// # Safety
    /// `4·LANES` bytes can be read at `p`.
    unsafe fn weights(self, p: *const i8) -> Self::Weights;
    /// Four columns of each output's weights, and the next four, of 4 bits each with 8 added: those of the lower halves of
    /// `4·LANES` bytes, and those of the upper ones.
    ///
    /// # Safety
    /// `4·LANES` bytes can be read at `p`.
    unsafe fn halves(self, p: *const i8) -> [Self::Weights; 2];
    /// # Safety
    /// Four bytes can be read at `p`.
    unsafe fn token(self, p: *const i8) -> Self::Token;
    /// Adds four products to every sum.
    fn dot(self, sums: Self::Sums, weights: Self::Weights, token: Self::Token) -> Self::Sums;
    /// The sums in f32.
    fn widen(self, sums: Self::Sums) -> <Self::Float as Simd>::F;
}

/// The baseline, vectorised by the compiler.
#[derive(Clone, Copy)]
pub(super) struct Plain;

impl Dot for Plain {
    const LANES: usize = Portable::LANES;
    const ROWS: usize = 2;
    const VECTORS: usize = 16 / Portable::LANES;
    type Float = Portable;
    type Sums = [i32; Portable::LANES];
    type Weights = [[i8; 4]; Portable::LANES];
    type Token = [i8; 4];

    fn float(self) -> Portable {
        Portable
    }
    #[inline(always)]
    fn begin(self, _: i32, _: i32) -> Self::Sums {
        [0; Portable::LANES]
    }
    #[inline(always)]
    unsafe fn weights(self, p: *const i8) -> Self::Weights {
        // SAFETY: the caller's promise.
        unsafe { p.cast::<Self::Weights>().read() }
    }
    #[inline(always)]
    unsafe fn halves(self, p: *const i8) -> [Self::Weights; 2] {
        // SAFETY: the caller's promise.
        let bytes = unsafe { self.weights(p) };
        [0, 4].map(|shift| bytes.map(|four| four.map(|byte| ((byte as u8 >> shift) & 15) as i8 - 8)))
    }
    #[inline(always)]
    unsafe fn token(self, p: *const i8) -> [i8; 4] {
        // SAFETY: the caller's promise.
        unsafe { p.cast::<[i8; 4]>().read() }
    }
    #[inline(always)]
    fn dot(self, mut sums: Self::Sums, weights: Self::Weights, token: [i8; 4]) -> Self::Sums {
        for (sum, weights) in sums.iter_mut().zip(weights) {
            for l in 0..4 {
                *sum += i32::from(weights[l]) * i32::from(token[l]);
            }
        }
        sums
    }
    #[inline(always)]
    fn widen(self, sums: Self::Sums) -> [f32; Portable::LANES] {
        sums.map(|sum| sum as f32)
    }
}
