//! What a card's memory and kernels are reached by: the system's driver, or the emulation on the host.

use super::Memory;
use super::activation::code;
use crate::ops::Activation;
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
    #[error("a GPU takes weights in f32, bf16, f16, int8 or int4, not in {0}; convert the model first")]
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

/// What a device is asked for, so that it can be asked for again.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Task {
    Launch {
        kernel: &'static str,
        grid: [u32; 3],
        block: u32,
        shared: u32,
        arguments: Vec<Argument>,
    },
    Multiply(Product),
    Copy {
        to: u64,
        from: u64,
        bytes: usize,
    },
    Zero {
        at: u64,
        bytes: usize,
    },
    /// From pinned memory of the host, as it is when the task is done.
    Upload {
        to: u64,
        from: u64,
        bytes: usize,
    },
}

impl Task {
    /// Asks for it.
    pub(crate) fn perform(&self, driver: &dyn Tasks) -> Result<(), DeviceError> {
        match self {
            Task::Launch { kernel, grid, block, shared, arguments } => {
                let (grid, block, shared) = (*grid, *block, *shared);
                driver.launch(&Launch { kernel, grid, block, shared, arguments })
            }
            Task::Multiply(product) => match driver.multiply(product)? {
                true => Ok(()),
                false => match product.apart() {
                    Some((bare, rest)) if driver.multiply(&bare)? => rest.perform(driver),
                    _ => product.plainly().perform(driver),
                },
            },
            Task::Copy { to, from, bytes } => driver.copy(*to, *from, *bytes),
            Task::Zero { at, bytes } => driver.zero(*at, *bytes),
            Task::Upload { to, from, bytes } => driver.upload(*to, *from, *bytes),
        }
    }

    /// A digest of it and of those before it.
    pub(crate) fn digest(&self, before: u64) -> u64 {
        let all = |words: &[u64]| words.iter().fold(before, |key, &word| crate::mix(key, word));
        match self {
            Task::Launch { kernel, grid, block, shared, arguments } => {
                let sizes = [kernel.as_ptr() as u64, grid[0].into(), grid[1].into(), (*block).into()];
                let key = crate::mix(all(&sizes), u64::from(grid[2]) << 32 | u64::from(*shared));
                arguments.iter().fold(key, |key, argument| crate::mix(key, argument.word()))
            }
            Task::Multiply(Product { c, a, b, batches, epilogue, .. }) => {
                let [rows, cols, inner] = [c.rows, c.cols, a.cols].map(|n| n as u64);
                all(&[c.at, a.at, b.at, rows, cols, inner, *batches as u64, epilogue.bias])
            }
            Task::Copy { to, from, bytes } | Task::Upload { to, from, bytes } => {
                all(&[*to, *from, *bytes as u64])
            }
            Task::Zero { at, bytes } => all(&[*at, *bytes as u64]),
        }
    }
}

/// A matrix in the device's memory, or as many as there are batches.
#[derive(Clone, Copy, Debug, PartialEq)]
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

/// What becomes of a product's elements when they have been summed, before they are written: `act(x + bias)`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Epilogue {
    /// Where a number for each column lies, in f32; 0 where there is none.
    pub(crate) bias: u64,
    pub(crate) activation: Option<Activation>,
}

/// `c = act((accumulate ? c : 0) + a·b + bias)` for every batch. `a`: [m, k], `b`: [k, n], of one type; `c`: [m, n] in f32,
/// its columns beside one another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Product {
    pub(crate) c: Matrix,
    pub(crate) a: Matrix,
    pub(crate) b: Matrix,
    pub(crate) batches: usize,
    pub(crate) accumulate: bool,
    /// Whether factors in f32 may be rounded to TF32.
    pub(crate) tf32: bool,
    /// Of a single batch, where it is any.
    pub(crate) epilogue: Epilogue,
}

impl Product {
    /// The same by the plain kernel.
    pub(crate) fn plainly(&self) -> Task {
        let Product { c, a, b, batches, accumulate, tf32, epilogue } = self;
        let stored =
            |m: &Matrix| if *tf32 && m.dtype == DType::F32 { STORED_TF32 } else { stored_as(m.dtype) };
        let sizes = |m: &Matrix| [m.row_stride as u64, m.col_stride as u64, m.batch_stride as u64];
        let ([a_row, a_col, a_batch], [b_row, b_col, b_batch]) = (sizes(a), sizes(b));
        let arguments = arguments![
            at c.at, c.row_stride as u64, c.batch_stride as u64, *accumulate as u32,
            at a.at, stored(a), a_row, a_col, a_batch,
            at b.at, stored(b), b_row, b_col, b_batch,
            c.rows as u32, c.cols as u32, a.cols as u32, at epilogue.bias, code(epilogue.activation),
        ];
        let grid = [c.cols.div_ceil(64), c.rows.div_ceil(64), *batches].map(blocks);
        Task::Launch { kernel: "matmul", grid, block: 256, shared: 0, arguments: arguments.to_vec() }
    }

    /// The same in two, where it has an epilogue: the product alone, and that.
    pub(crate) fn apart(&self) -> Option<(Product, Task)> {
        let Product { c, epilogue, .. } = self;
        if *epilogue == Epilogue::default() {
            return None;
        }
        let count = c.rows * c.cols;
        let arguments = arguments![
            at c.at, c.row_stride as u32, at epilogue.bias, code(epilogue.activation), c.cols as u32, count as u64
        ];
        let grid = blocks_of(count).map(blocks);
        let rest =
            Task::Launch { kernel: "finish", grid, block: THREADS, shared: 0, arguments: arguments.to_vec() };
        Some((Product { epilogue: Epilogue::default(), ..*self }, rest))
    }
}

/// f32 whose elements are rounded to TF32 where they are read, as the plain product's kernel calls it.
const STORED_TF32: u32 = 5;

/// Threads of a block, where a kernel does not say otherwise.
pub(super) const THREADS: u32 = 256;

/// The grid of a kernel whose threads share `count` elements out among themselves.
pub(super) fn blocks_of(count: usize) -> [usize; 3] {
    // Enough for any card; each thread has more elements where there are more.
    [count.div_ceil(THREADS as usize).min(64 << 10), 1, 1]
}

/// A number of blocks as drivers take it.
pub(crate) fn blocks(count: usize) -> u32 {
    u32::try_from(count).expect("blocks of a grid")
}

/// How kernels call a storage type.
pub(crate) fn stored_as(dtype: DType) -> u32 {
    match dtype {
        DType::F32 => 0,
        DType::Bf16 => 1,
        DType::F16 => 2,
        DType::I8 => 3,
        DType::I4 => 4,
        other => panic!("no kernel reads {}", other.name()),
    }
}

/// What can be a part of a graph.
pub(crate) trait Tasks {
    fn copy(&self, to: u64, from: u64, bytes: usize) -> Result<(), DeviceError>;
    fn zero(&self, at: u64, bytes: usize) -> Result<(), DeviceError>;
    /// Copies from memory that [`Driver::pinned`] has given. It is read when the device comes to it, not before this returns.
    fn upload(&self, to: u64, from: u64, bytes: usize) -> Result<(), DeviceError>;
    fn launch(&self, launch: &Launch<'_>) -> Result<(), DeviceError>;
    /// Whether it has done a product; else the plain kernel is to.
    fn multiply(&self, product: &Product) -> Result<bool, DeviceError>;
}

/// What a device can do. Everything happens in the order in which it is asked for; only [`Driver::download`] and
/// [`Driver::wait`] wait.
pub(crate) trait Driver: Tasks + Send + Sync {
    /// The card's name.
    fn name(&self) -> String;
    /// Bytes of memory that are free, and all.
    fn memory(&self) -> (usize, usize);
    /// Whether the card multiplies bf16, and f32 rounded to TF32.
    fn has_bf16(&self) -> bool;
    /// Bytes of memory that the threads of a block may share.
    fn shared_memory(&self) -> usize;
    /// Memory of so many bytes, at least one.
    fn allocate(&self, bytes: usize) -> Result<u64, DeviceError>;
    fn free(&self, at: u64);
    /// Memory of the host that the device copies from by itself. It is there for as long as the device is.
    fn pinned(&self, bytes: usize) -> Result<u64, DeviceError>;
    /// A mark in the order of what the device is asked for, at its beginning.
    fn new_mark(&self) -> Result<u64, DeviceError>;
    /// Sets a mark behind all that the device was asked for so far.
    fn mark(&self, mark: u64) -> Result<(), DeviceError>;
    /// Waits until the device has come to a mark.
    fn wait(&self, mark: u64) -> Result<(), DeviceError>;
    fn download(&self, bytes: &mut [u8], from: u64) -> Result<(), DeviceError>;
    /// Whether tasks can be made a graph.
    fn has_graphs(&self) -> bool;
    /// Makes a graph of tasks, each of which has been performed before; they are not performed.
    fn capture(&self, tasks: &[Task]) -> Result<u64, DeviceError>;
    /// Performs the tasks of a graph.
    fn replay(&self, graph: u64) -> Result<(), DeviceError>;
    fn forget(&self, graph: u64);
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
