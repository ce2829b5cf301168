//! A device, its memory, and how kernels are started.

use std::collections::HashMap;
use std::fmt;
use std::ops::{Deref, Range};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard};

use super::Devices;
use super::driver::{Argument, DeviceError, Driver, Launch, Matrix, Product};
use crate::DType;
use crate::ops::RelativeBias;

/// Threads of a block, where a kernel does not say otherwise.
pub(super) const THREADS: u32 = 256;

/// An NVIDIA GPU. Cloning shares it.
#[derive(Clone)]
pub struct Device {
    core: Arc<Core>,
    /// Buckets of relative positions as they lie on the device, by what decides them. Apart from the core, which their
    /// memory holds.
    buckets: Arc<Mutex<HashMap<BucketKey, Arc<Memory>>>>,
    /// Lists that a step of an optimizer needs, as they were in the last one, by what they are for; apart likewise.
    lists: Arc<Mutex<HashMap<&'static str, List>>>,
}

/// A list of numbers as it lies on a device.
struct List {
    numbers: Vec<u64>,
    memory: Arc<Memory>,
}

/// What memory of a device holds on to, and all that runs on it.
pub struct Core {
    driver: Box<dyn Driver>,
    used: Mutex<Used>,
}

#[derive(Default)]
struct Used {
    now: usize,
    peak: usize,
}

#[derive(PartialEq, Eq, Hash)]
struct BucketKey {
    num_buckets: usize,
    max_distance: usize,
    bidirectional: bool,
    before: usize,
    after: usize,
}

/// Lists of buckets kept at most: batches of ever new lengths do not fill the memory.
const BUCKET_LISTS: usize = 64;

impl Device {
    /// GPU number `number`, from 0 on, or the emulation of one where the environment asks for it
    /// ([`VARIABLE`](super::emulated::VARIABLE)).
    pub fn open(number: usize) -> Result<Device, DeviceError> {
        Ok(Devices::open(&[number])?.all()[0].clone())
    }

    pub(super) fn new(driver: Box<dyn Driver>) -> Device {
        Device {
            core: Arc::new(Core { driver, used: Mutex::default() }),
            buckets: Arc::default(),
            lists: Arc::default(),
        }
    }

    /// The card's name.
    pub fn name(&self) -> String {
        self.core.driver.name()
    }

    /// Bytes of its memory that are free, and all.
    pub fn memory(&self) -> (usize, usize) {
        self.core.driver.memory()
    }

    /// Whether it multiplies bf16, and f32 rounded to TF32: from Ampere (2020) on.
    pub fn has_bf16(&self) -> bool {
        self.core.driver.has_bf16()
    }

    /// Bytes that tensors and weights take now, and the most that they ever took.
    pub fn used(&self) -> (usize, usize) {
        let used = lock(&self.core.used);
        (used.now, used.peak)
    }

    /// The buckets of the relative positions from −before to after, as u32.
    pub(crate) fn buckets(&self, bias: &RelativeBias, before: usize, after: usize) -> Arc<Memory> {
        let RelativeBias { num_buckets, max_distance, bidirectional, .. } = *bias;
        let key = BucketKey { num_buckets, max_distance, bidirectional, before, after };
        let mut known = lock(&self.buckets);
        if let Some(list) = known.get(&key) {
            return list.clone();
        }
        if known.len() >= BUCKET_LISTS {
            known.clear();
        }
        let bucket = |i: usize| bias.bucket(i as isize - before as isize) as u32;
        let list: Vec<u32> = (0..before + 1 + after).map(bucket).collect();
        let memory = Arc::new(self.upload(&list));
        known.insert(key, memory.clone());
        memory
    }

    /// A list of numbers on the device, uploaded again only where it is not what it was when it was last asked for by
    /// that name.
    pub(crate) fn kept(&self, name: &'static str, numbers: Vec<u64>) -> Arc<Memory> {
        let mut lists = lock(&self.lists);
        if let Some(list) = lists.get(name).filter(|list| list.numbers == numbers) {
            return list.memory.clone();
        }
        let memory = Arc::new(self.upload(&numbers));
        lists.insert(name, List { numbers, memory: memory.clone() });
        memory
    }
}

impl Deref for Device {
    type Target = Arc<Core>;

    fn deref(&self) -> &Arc<Core> {
        &self.core
    }
}

impl Core {
    pub(super) fn driver(&self) -> &dyn Driver {
        &*self.driver
    }

    pub(crate) fn allocate(self: &Arc<Self>, bytes: usize) -> Memory {
        let at = match bytes {
            0 => 0,
            _ => unwrap(self.driver.allocate(bytes)),
        };
        let mut used = lock(&self.used);
        used.now += bytes;
        used.peak = used.peak.max(used.now);
        Memory { core: self.clone(), at, bytes }
    }

    /// A copy of some numbers on the device.
    pub(crate) fn upload<T: bytemuck::NoUninit>(self: &Arc<Self>, data: &[T]) -> Memory {
        let mut memory = self.allocate(size_of_val(data));
        memory.write(bytemuck::cast_slice(data));
        memory
    }

    /// Starts a kernel, unless its grid is empty.
    pub(crate) fn launch(
        &self,
        kernel: &'static str,
        grid: [usize; 3],
        block: u32,
        shared_floats: usize,
        arguments: &[Argument],
    ) {
        if grid.contains(&0) {
            return;
        }
        let grid = grid.map(|n| u32::try_from(n).expect("blocks of a grid"));
        let shared = u32::try_from(4 * shared_floats).expect("shared memory of a block");
        unwrap(self.driver.launch(&Launch { kernel, grid, block, shared, arguments }));
    }

    /// Starts a kernel whose threads share `count` elements out among themselves.
    pub(crate) fn launch_each(&self, kernel: &'static str, count: usize, arguments: &[Argument]) {
        // Enough for any card; each thread has more elements where there are more.
        let blocks = count.div_ceil(THREADS as usize).min(64 << 10);
        self.launch(kernel, [blocks, 1, 1], THREADS, 0, arguments);
    }

    /// A product of matrices of one type; see [`Product`].
    pub(crate) fn multiply(&self, product: &Product) {
        let Product { c, a, b, batches, accumulate, tf32 } = product;
        assert_eq!((a.rows, b.cols, a.cols), (c.rows, c.cols, b.rows), "shapes of a product");
        assert!(a.dtype == b.dtype && c.dtype == DType::F32 && c.col_stride == 1, "types of a product");
        if c.rows * c.cols * batches == 0 || unwrap(self.driver.multiply(product)) {
            return;
        }
        let stored =
            |m: &Matrix| if *tf32 && m.dtype == DType::F32 { STORED_TF32 } else { stored_as(m.dtype) };
        let grid = [c.cols.div_ceil(64), c.rows.div_ceil(64), *batches];
        let sizes = |m: &Matrix| [m.row_stride as u64, m.col_stride as u64, m.batch_stride as u64];
        let ([a_row, a_col, a_batch], [b_row, b_col, b_batch]) = (sizes(a), sizes(b));
        let arguments = arguments![
            at c.at, c.row_stride as u64, c.batch_stride as u64, *accumulate as u32,
            at a.at, stored(a), a_row, a_col, a_batch,
            at b.at, stored(b), b_row, b_col, b_batch,
            c.rows as u32, c.cols as u32, a.cols as u32,
        ];
        self.launch("matmul", grid, 256, 0, &arguments);
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Device {}", self.name())
    }
}

/// f32 whose elements are rounded to TF32 where they are read, as the plain product's kernel calls it.
const STORED_TF32: u32 = 4;

/// How kernels call a storage type.
pub(super) fn stored_as(dtype: DType) -> u32 {
    match dtype {
        DType::F32 => 0,
        DType::Bf16 => 1,
        DType::F16 => 2,
        DType::I8 => 3,
        other => panic!("no kernel reads {}", other.name()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

/// Operations fail by what nobody in the middle of them can go on from, such as memory that is used up: the error unwinds
/// to whoever asked for the work ([`failures`]), without a panic's message.
pub(super) fn unwrap<T>(result: Result<T, DeviceError>) -> T {
    result.unwrap_or_else(|error| std::panic::resume_unwind(Box::new(error)))
}

/// Runs work whose operations a device may run, and gives what made one of them fail there.
///
/// # Errors
/// That.
pub fn failures<T>(work: impl FnOnce() -> T) -> Result<T, DeviceError> {
    // The work is over, whatever it has left half done.
    match std::panic::catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => Ok(done),
        Err(payload) => match payload.downcast::<DeviceError>() {
            Ok(error) => Err(*error),
            Err(panic) => std::panic::resume_unwind(panic),
        },
    }
}

/// Memory of a device, given back when dropped.
pub(crate) struct Memory {
    core: Arc<Core>,
    at: u64,
    bytes: usize,
}

impl Memory {
    /// What it is a part of.
    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Overwrites all of it.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        assert_eq!(bytes.len(), self.bytes, "bytes of a device's memory");
        if !bytes.is_empty() {
            unwrap(self.core.driver.upload(self.at, bytes));
        }
    }

    /// Waits for the device and reads all of it.
    pub(crate) fn read(&self, bytes: &mut [u8]) {
        assert_eq!(bytes.len(), self.bytes, "bytes of a device's memory");
        if !bytes.is_empty() {
            unwrap(self.core.driver.download(bytes, self.at));
        }
    }

    /// Overwrites all of it with what another holds from byte `first` on.
    pub(crate) fn copy_from(&mut self, from: &Memory, first: usize) {
        assert!(first + self.bytes <= from.bytes, "bytes of a device's memory");
        if self.bytes > 0 {
            unwrap(self.core.driver.copy(self.at, from.at + first as u64, self.bytes));
        }
    }

    pub(crate) fn zero(&mut self) {
        self.zero_within(0..self.bytes);
    }

    /// Overwrites some of its bytes with zeros.
    pub(crate) fn zero_within(&mut self, bytes: Range<usize>) {
        assert!(bytes.end <= self.bytes, "bytes of a device's memory");
        if !bytes.is_empty() {
            unwrap(self.core.driver.zero(self.at + bytes.start as u64, bytes.len()));
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.core.driver.free(self.at);
            lock(&self.core.used).now -= self.bytes;
        }
    }
}
