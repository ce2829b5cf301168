//! A device, its memory, and how kernels are started.

use std::collections::HashMap;
use std::fmt;
use std::ops::{Deref, Range};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use super::Devices;
use super::driver::{Argument, DeviceError, Driver, Epilogue, Product, Task, blocks, blocks_of};
pub(super) use super::driver::{THREADS, stored_as};
use super::pinned::Ring;
use super::steps::{self, Arena, Steps};
use crate::DType;
use crate::ops::RelativeBias;

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
    counts: Mutex<Counts>,
    /// What steps keep, while nobody is in one.
    steps: Mutex<Option<Steps>>,
    arena: Mutex<Arena>,
    /// What uploads go through.
    ring: Mutex<Ring>,
    /// Lists in the steps' staging memory that somebody holds.
    staged: AtomicUsize,
}

/// What a device was asked for so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Times that the host waited for it.
    pub waits: u64,
    /// Bytes that came to the host.
    pub bytes: u64,
    /// Rows of logits that came as wholes to have a token chosen from.
    pub rows: u64,
    /// Uploads from the host.
    pub uploads: u64,
    /// Decoding steps, or parts of some, that ran as a graph.
    pub replayed: u64,
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
        let core = Core {
            driver,
            used: Mutex::default(),
            counts: Mutex::default(),
            steps: Mutex::new(Some(Steps::default())),
            arena: Mutex::default(),
            ring: Mutex::default(),
            staged: AtomicUsize::new(0),
        };
        Device { core: Arc::new(core), buckets: Arc::default(), lists: Arc::default() }
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

    /// What it was asked for so far.
    pub fn counts(&self) -> Counts {
        *lock(&self.core.counts)
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
        let memory = Arc::new(self.place(&list));
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
        let memory = Arc::new(self.place(&numbers));
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

    /// Bytes of memory that the threads of a block may share.
    pub(super) fn shared_memory(&self) -> usize {
        self.driver.shared_memory()
    }

    /// What steps keep, while nobody is in one.
    pub(super) fn steps(&self) -> MutexGuard<'_, Option<Steps>> {
        lock(&self.steps)
    }

    /// Lists in the steps' staging memory that somebody holds.
    pub(super) fn staged(&self) -> usize {
        self.staged.load(Ordering::Relaxed)
    }

    /// Counts something.
    pub(crate) fn count(&self, f: impl FnOnce(&mut Counts)) {
        f(&mut lock(&self.counts));
    }

    fn memory_at(self: &Arc<Self>, at: u64, bytes: usize, from: From) -> Memory {
        let mut used = lock(&self.used);
        used.now += bytes;
        used.peak = used.peak.max(used.now);
        Memory { core: self.clone(), at, bytes, from }
    }

    pub(crate) fn allocate(self: &Arc<Self>, bytes: usize) -> Memory {
        if bytes > 0 && steps::is_open(self) {
            let at = unwrap(lock(&self.arena).allocate(&*self.driver, bytes));
            return self.memory_at(at, bytes, From::Arena);
        }
        self.allocate_apart(bytes)
    }

    /// Memory that has nothing to do with steps.
    pub(super) fn allocate_apart(self: &Arc<Self>, bytes: usize) -> Memory {
        let at = match bytes {
            0 => 0,
            _ => match self.driver.allocate(bytes) {
                Err(DeviceError::Memory { .. }) if lock(&self.arena).release(&*self.driver) => {
                    unwrap(self.driver.allocate(bytes))
                }
                at => unwrap(at),
            },
        };
        self.memory_at(at, bytes, From::Driver)
    }

    /// A copy of some numbers on the device that nobody writes to. In a step it lies beside the other lists of the step.
    pub(crate) fn upload<T: bytemuck::NoUninit>(self: &Arc<Self>, data: &[T]) -> Memory {
        let bytes: &[u8] = bytemuck::cast_slice(data);
        match steps::stage(self, bytes).filter(|_| !bytes.is_empty()) {
            None => self.place(data),
            Some(at) => {
                self.staged.fetch_add(1, Ordering::Relaxed);
                self.memory_at(at, bytes.len(), From::Staging)
            }
        }
    }

    /// A copy of some numbers on the device, by itself.
    pub(crate) fn place<T: bytemuck::NoUninit>(self: &Arc<Self>, data: &[T]) -> Memory {
        let memory = self.allocate_apart(size_of_val(data));
        if memory.bytes > 0 {
            self.count(|counts| counts.uploads += 1);
            unwrap(lock(&self.ring).upload(&*self.driver, memory.at, bytemuck::cast_slice(data)));
        }
        memory
    }

    /// Does a task, in a step together with its others.
    pub(super) fn perform(&self, task: Task) {
        if let Some(task) = steps::put_off(self, task) {
            unwrap(task.perform(&*self.driver));
        }
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
        let shared = u32::try_from(4 * shared_floats).expect("shared memory of a block");
        let (grid, arguments) = (grid.map(blocks), arguments.to_vec());
        self.perform(Task::Launch { kernel, grid, block, shared, arguments });
    }

    /// Starts a kernel whose threads share `count` elements out among themselves.
    pub(crate) fn launch_each(&self, kernel: &'static str, count: usize, arguments: &[Argument]) {
        self.launch(kernel, blocks_of(count), THREADS, 0, arguments);
    }

    /// A product of matrices of one type; see [`Product`].
    pub(crate) fn multiply(&self, product: &Product) {
        let Product { c, a, b, batches, epilogue, .. } = product;
        assert!(*batches == 1 || *epilogue == Epilogue::default(), "an epilogue of a single product");
        assert_eq!((a.rows, b.cols, a.cols), (c.rows, c.cols, b.rows), "shapes of a product");
        assert!(a.dtype == b.dtype && c.dtype == DType::F32 && c.col_stride == 1, "types of a product");
        if c.rows * c.cols * batches > 0 {
            self.perform(Task::Multiply(*product));
        }
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Device {}", self.name())
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
    from: From,
}

/// Whom memory goes back to.
#[derive(Clone, Copy, PartialEq)]
enum From {
    Driver,
    Arena,
    Staging,
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

    /// Waits for the device and reads all of it.
    pub(crate) fn read(&self, bytes: &mut [u8]) {
        assert_eq!(bytes.len(), self.bytes, "bytes of a device's memory");
        if !bytes.is_empty() {
            unwrap(steps::flush(&self.core));
            self.core.count(|counts| {
                counts.waits += 1;
                counts.bytes += bytes.len() as u64;
            });
            unwrap(self.core.driver.download(bytes, self.at));
        }
    }

    /// Overwrites all of it with what another holds from byte `first` on.
    pub(crate) fn copy_from(&mut self, from: &Memory, first: usize) {
        assert!(first + self.bytes <= from.bytes, "bytes of a device's memory");
        if self.bytes > 0 {
            let (to, from, bytes) = (self.at, from.at + first as u64, self.bytes);
            self.core.perform(Task::Copy { to, from, bytes });
        }
    }

    pub(crate) fn zero(&mut self) {
        self.zero_within(0..self.bytes);
    }

    /// Overwrites some of its bytes with zeros.
    pub(crate) fn zero_within(&mut self, bytes: Range<usize>) {
        assert!(bytes.end <= self.bytes, "bytes of a device's memory");
        if !bytes.is_empty() {
            self.core.perform(Task::Zero { at: self.at + bytes.start as u64, bytes: bytes.len() });
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        match self.from {
            From::Driver if steps::free_later(&self.core, self.at) => {}
            From::Driver => self.core.driver.free(self.at),
            From::Arena => lock(&self.core.arena).free(self.at, self.bytes),
            From::Staging => {
                self.core.staged.fetch_sub(1, Ordering::Relaxed);
            }
        }
        lock(&self.core.used).now -= self.bytes;
    }
}
