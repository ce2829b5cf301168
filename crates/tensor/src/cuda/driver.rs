//! What a card's memory and kernels are reached by: the system's driver, or the emulation on the host.

use super::Memory;
use crate::{DType, Tensor};

/// Why a device cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// No driver is installed.
    #[error("no NVIDIA driver is found on this machine; install one, or set `device` to cpu")]
    NoDriver,
    /// The driver cannot do what is asked of it.
    #[error(
        "the NVIDIA driver is too old: it is for CUDA {}.{}, and CUDA 11.2 is the least; install a newer one, or set `device` to cpu",
        .0 / 1000, .0 % 1000 / 10
    )]
    OldDriver(i32),
    /// Fewer devices than that.
    #[error("there is no GPU number {number}: this machine has {count}, numbered from 0")]
    NoDevice {
        /// The number asked for.
        number: usize,
        /// How many there are.
        count: usize,
    },
    /// A number given twice.
    #[error("GPU number {0} is named twice")]
    Twice(usize),
    /// More than one where one alone is used.
    #[error("several GPUs are for training; name one of them")]
    Several,
    /// A library of CUDA is missing.
    #[error(
        "{0} is not found; install the CUDA toolkit, or put the folder of the pip package that has it into LD_LIBRARY_PATH"
    )]
    NoLibrary(&'static str),
    /// Not enough memory.
    #[error(
        "the GPU has no memory left: {asked} more MiB asked for, {free} of {total} MiB free; take smaller batches"
    )]
    Memory {
        /// MiB that were asked for.
        asked: usize,
        /// MiB that are free.
        free: usize,
        /// MiB there are.
        total: usize,
    },
    /// A storage type that a device does not take.
    #[error("a GPU takes weights in f32, bf16, f16 or int8, not in {0}; convert the model first")]
    Type(&'static str),
    /// Something of a model that there are no kernels for.
    #[error("a GPU has no kernels for {0}; set `device` to cpu")]
    Lacks(String),
    /// Anything else that CUDA says.
    #[error("{what} failed on the GPU: {why}")]
    Call {
        /// What was tried.
        what: String,
        /// What CUDA said.
        why: String,
    },
}

/// An argument of a kernel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Argument {
    /// An address in the device's memory, 0 for null.
    Pointer(u64),
    U32(u32),
    U64(u64),
    F32(f32),
}

impl Argument {
    /// Its bits, in the lower half of a word where they are half of one.
    pub(crate) fn word(self) -> u64 {
        match self {
            Argument::Pointer(at) => at,
            Argument::U32(x) => u64::from(x),
            Argument::U64(x) => x,
            Argument::F32(x) => u64::from(x.to_bits()),
        }
    }
}

/// A kernel and what it is given.
pub(crate) struct Launch<'a> {
    pub(crate) kernel: &'static str,
    /// Blocks in each dimension.
    pub(crate) grid: [u32; 3],
    /// Threads of a block.
    pub(crate) block: u32,
    /// Bytes of shared memory beside what the kernel declares.
    pub(crate) shared: u32,
    pub(crate) arguments: &'a [Argument],
}

/// A matrix in the device's memory, or as many as there are batches.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix {
    /// Where its first element is.
    pub(crate) at: u64,
    /// f32, bf16 or f16.
    pub(crate) dtype: DType,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    /// Elements from row to row, from column to column (one of both is 1) and from batch to batch.
    pub(crate) row_stride: usize,
    pub(crate) col_stride: usize,
    pub(crate) batch_stride: usize,
}

/// `c = (accumulate ? c : 0) + a·b` for every batch. `a`: [m, k], `b`: [k, n], of one type; `c`: [m, n] in f32, its columns
/// beside one another.
pub(crate) struct Product {
    pub(crate) c: Matrix,
    pub(crate) a: Matrix,
    pub(crate) b: Matrix,
    pub(crate) batches: usize,
    pub(crate) accumulate: bool,
    /// Whether factors in f32 may be rounded to TF32.
    pub(crate) tf32: bool,
}

/// What a device can do. Everything happens in the order in which it is asked for; only [`Driver::download`] waits.
pub(crate) trait Driver: Send + Sync {
    /// The card's name.
    fn name(&self) -> String;
    /// Bytes of memory that are free, and all.
    fn memory(&self) -> (usize, usize);
    /// Whether the card multiplies bf16, and f32 rounded to TF32.
    fn has_bf16(&self) -> bool;
    /// Memory of so many bytes, at least one.
    fn allocate(&self, bytes: usize) -> Result<u64, DeviceError>;
    fn free(&self, at: u64);
    fn upload(&self, to: u64, bytes: &[u8]) -> Result<(), DeviceError>;
    fn download(&self, bytes: &mut [u8], from: u64) -> Result<(), DeviceError>;
    fn copy(&self, to: u64, from: u64, bytes: usize) -> Result<(), DeviceError>;
    fn zero(&self, at: u64, bytes: usize) -> Result<(), DeviceError>;
    fn launch(&self, launch: &Launch<'_>) -> Result<(), DeviceError>;
    /// Whether it has done a product; else the plain kernel is to.
    fn multiply(&self, product: &Product) -> Result<bool, DeviceError>;
}

/// As many f32 numbers on each of several devices.
pub(crate) struct Shared {
    /// Where they are, by device.
    pub(crate) at: Vec<u64>,
    pub(crate) count: usize,
}

/// What adds up over several devices.
pub(crate) trait Sums: Send + Sync {
    /// Every list becomes the sum over all devices, the same to the bit on each, in the order of what each is asked to do.
    fn sum(&self, devices: &[&dyn Driver], lists: &[Shared]) -> Result<(), DeviceError>;
}

impl From<u32> for Argument {
    fn from(x: u32) -> Self {
        Argument::U32(x)
    }
}

impl From<u64> for Argument {
    fn from(x: u64) -> Self {
        Argument::U64(x)
    }
}

impl From<f32> for Argument {
    fn from(x: f32) -> Self {
        Argument::F32(x)
    }
}

impl From<&Tensor> for Argument {
    fn from(tensor: &Tensor) -> Self {
        Argument::Pointer(tensor.address())
    }
}

/// To be written: nobody else may hold it.
impl From<&mut Tensor> for Argument {
    fn from(tensor: &mut Tensor) -> Self {
        Argument::Pointer(tensor.address_mut())
    }
}

impl From<&Memory> for Argument {
    fn from(memory: &Memory) -> Self {
        Argument::Pointer(memory.at())
    }
}
