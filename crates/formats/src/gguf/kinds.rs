//! The types of tensors that GGUF knows, and what weights are made of those that are read.
//!
//! A quantised row is cut into blocks of 32 elements; a block is a scale d (f16), in some types an offset m (f16), and
//! whole numbers q: an element is d·q, or d·q + m. Layouts are those of ggml (`block_q8_0` and its kin in
//! `ggml-common.h`); the values equal those of the `gguf` package's `dequantize` to the last bit.

use half::f16;

use crate::DType;

/// Elements in a block of the types that are read.
const BLOCK: usize = 32;

/// How a tensor is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Elements one by one.
    Plain(DType),
    /// Blocks of 32 elements.
    Blocks(Blocks),
}

/// A quantised type that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blocks {
    /// d, then 16 bytes of two elements: q is 4 bits less 8.
    Q4_0,
    /// d, m, then 16 bytes of two elements.
    Q4_1,
    /// d, the fifth bits, 16 bytes of two elements: q is 5 bits less 16.
    Q5_0,
    /// d, m, the fifth bits, 16 bytes of two elements.
    Q5_1,
    /// d, then 32 signed bytes.
    Q8_0,
}

/// Names of all types by their numbers in a file; empty where a number was given up.
const NAMES: [&str; 42] = [
    "F32",
    "F16",
    "Q4_0",
    "Q4_1",
    "Q4_2",
    "Q4_3",
    "Q5_0",
    "Q5_1",
    "Q8_0",
    "Q8_1",
    "Q2_K",
    "Q3_K",
    "Q4_K",
    "Q5_K",
    "Q6_K",
    "Q8_K",
    "IQ2_XXS",
    "IQ2_XS",
    "IQ3_XXS",
    "IQ1_S",
    "IQ4_NL",
    "IQ3_S",
    "IQ2_S",
    "IQ4_XS",
    "I8",
    "I16",
    "I32",
    "I64",
    "F64",
    "IQ1_M",
    "BF16",
    "Q4_0_4_4",
    "Q4_0_4_8",
    "Q4_0_8_8",
    "TQ1_0",
    "TQ2_0",
    "IQ4_NL_4_4",
    "IQ4_NL_4_8",
    "IQ4_NL_8_8",
    "MXFP4",
    "NVFP4",
    "Q1_0",
];

impl Kind {
    /// The type of that number; else what it is called.
    pub fn of(number: u32) -> Result<Self, String> {
        let name = NAMES.get(number as usize).copied();
        Ok(match name.unwrap_or_default() {
            "F32" => Self::Plain(DType::F32),
            "F16" => Self::Plain(DType::F16),
            "BF16" => Self::Plain(DType::Bf16),
            "F64" => Self::Plain(DType::F64),
            "Q4_0" => Self::Blocks(Blocks::Q4_0),
            "Q4_1" => Self::Blocks(Blocks::Q4_1),
            "Q5_0" => Self::Blocks(Blocks::Q5_0),
            "Q5_1" => Self::Blocks(Blocks::Q5_1),
            "Q8_0" => Self::Blocks(Blocks::Q8_0),
            "" => return Err(format!("type {number}")),
            other => return Err(other.to_owned()),
        })
    }

    /// What its elements become.
    pub fn dtype(self) -> DType {
        match self {
            Self::Plain(dtype) => dtype,
            Self::Blocks(_) => DType::F32,
        }
    }

    /// Its name where it is quantised.
    pub fn blocks(self) -> Option<&'static str> {
        match self {
            Self::Plain(_) => None,
            Self::Blocks(blocks) => Some(blocks.name()),
        }
    }

    /// Bytes of a row of so many elements; `None` where they are no whole blocks, or more than a `usize` holds.
    pub fn row_bytes(self, elements: usize) -> Option<usize> {
        match self {
            Self::Plain(dtype) => elements.checked_mul(dtype.size()),
            Self::Blocks(blocks) => {
                elements.is_multiple_of(BLOCK).then_some(elements / BLOCK)?.checked_mul(blocks.size())
            }
        }
    }
}

impl Blocks {
    /// Its name in ggml.
    pub fn name(self) -> &'static str {
        match self {
            Self::Q4_0 => "Q4_0",
            Self::Q4_1 => "Q4_1",
            Self::Q5_0 => "Q5_0",
            Self::Q5_1 => "Q5_1",
            Self::Q8_0 => "Q8_0",
        }
    }

    /// Bytes of a block.
    fn size(self) -> usize {
        match self {
            Self::Q4_0 => 18,
            Self::Q4_1 => 20,
            Self::Q5_0 => 22,
            Self::Q5_1 => 24,
            Self::Q8_0 => 34,
        }
    }

    /// The elements of whole blocks, as bytes of f32.
    pub fn singles(self, blocks: &[u8]) -> Vec<u8> {
        let count = blocks.len() / self.size();
        let mut out = Vec::with_capacity(count * BLOCK * 4);
        for block in blocks.chunks_exact(self.size()) {
            let half = |at: usize| f16::from_le_bytes([block[at], block[at + 1]]).to_f32();
            let d = half(0);
            let values: [f32; BLOCK] = match self {
                Self::Q8_0 => std::array::from_fn(|i| f32::from(block[2 + i] as i8) * d),
                Self::Q4_0 => std::array::from_fn(|i| d * (f32::from(nibble(&block[2..], i)) - 8.0)),
                Self::Q4_1 => std::array::from_fn(|i| d * f32::from(nibble(&block[4..], i)) + half(2)),
                Self::Q5_0 => std::array::from_fn(|i| {
                    d * (f32::from(nibble(&block[6..], i) | fifth(&block[2..], i)) - 16.0)
                }),
                Self::Q5_1 => std::array::from_fn(|i| {
                    d * f32::from(nibble(&block[8..], i) | fifth(&block[4..], i)) + half(2)
                }),
            };
            out.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        }
        out
    }
}

/// The lower four bits of element `i`: the first half of a block is in the lower halves of bytes, the rest in the upper.
fn nibble(bytes: &[u8], i: usize) -> u8 {
    if i < BLOCK / 2 { bytes[i] & 15 } else { bytes[i - BLOCK / 2] >> 4 }
}

/// The fifth bit of element `i`, in its place.
fn fifth(bits: &[u8], i: usize) -> u8 {
    (bits[i / 8] >> (i % 8) & 1) << 4
}
