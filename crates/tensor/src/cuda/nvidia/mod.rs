//! A card, by NVIDIA's driver, NVRTC, cuBLASLt and NCCL, all of them loaded when a card is asked for. Nothing else knows cudarc.
//!
//! A call into a library that is not there panics in cudarc: each is looked for before its first call.

mod compile;
mod nccl;
mod products;

use std::collections::HashMap;
use std::ffi::{CString, c_void};
use std::sync::Mutex;

use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys;

use super::driver::{DeviceError, Driver, Launch, Product, Sums, Task, Tasks};
use super::several::Opened;
use products::Products;

/// CUDA 11.2: memory in the order of a stream.
const OLDEST_DRIVER: i32 = 11_020;
/// CUDA 11.4: graphs made with flags.
const OLDEST_WITH_GRAPHS: i32 = 11_040;
/// Shared memory that a kernel may use without having asked for it.
const SHARED_UNASKED: u32 = 48 << 10;

struct Nvidia {
    name: String,
    /// Its number.
    ordinal: i32,
    /// Compute capability: 8.9 is 89.
    capability: i32,
    /// Bytes of memory that the threads of a block may share, where the kernel asks for it.
    shared: usize,
    context: sys::CUcontext,
    stream: sys::CUstream,
    /// Where graphs are made, in which nothing ever runs; none where the driver is too old for them.
    aside: Option<Mutex<Aside>>,
    functions: Mutex<HashMap<&'static str, Function>>,
    /// None where cuBLASLt is not installed: the plain kernel multiplies then.
    products: Option<Products>,
}

#[derive(Clone, Copy)]
struct Function(sys::CUfunction);

/// A stream that is captured.
struct Aside(sys::CUstream);

// SAFETY: contexts, streams and functions of CUDA's driver may be used by any thread that has made the context current,
// which `current` does before every call.
unsafe impl Send for Nvidia {}
// SAFETY: as above; the driver locks for itself.
unsafe impl Sync for Nvidia {}
// SAFETY: as above.
unsafe impl Send for Function {}
// SAFETY: as above.
unsafe impl Send for Aside {}

/// Tasks in one of the card's streams.
struct In<'n> {
    card: &'n Nvidia,
    stream: sys::CUstream,
}

fn failed(what: &str) -> impl FnOnce(DriverError) -> DeviceError {
    let what = what.to_owned();
    move |error| {
        let words = error.error_string().map(|s| s.to_string_lossy().into_owned());
        DeviceError::Call { what, why: words.unwrap_or_else(|_| format!("{:?}", error.0)) }
    }
}

/// The cards of these numbers, and NCCL over them where they are several.
pub(super) fn open(numbers: &[usize]) -> Result<Opened, DeviceError> {
    let cards = numbers.iter().map(|&number| open_one(number)).collect::<Result<Vec<_>, _>>()?;
    let sums = match &cards[..] {
        [_] => None,
        cards => Some(Box::new(nccl::Nccl::open(cards)?) as Box<dyn Sums>),
    };
    Ok((cards.into_iter().map(|card| Box::new(card) as Box<dyn Driver>).collect(), sums))
}

/// Card number `number`.
fn open_one(number: usize) -> Result<Nvidia, DeviceError> {
    // SAFETY: only looks for the library.
    if !unsafe { sys::is_culib_present() } {
        return Err(DeviceError::NoDriver);
    }
    let mut version = 0;
    // SAFETY: writes an integer.
    unsafe { sys::cuDriverGetVersion(&mut version) }
        .result()
        .map_err(failed("asking for the driver's version"))?;
    if version < OLDEST_DRIVER {
        return Err(DeviceError::OldDriver(version));
    }
    let no_device = |count: i32| DeviceError::NoDevice { number, count: count.max(0) as usize };
    match result::init() {
        Err(DriverError(sys::CUresult::CUDA_ERROR_NO_DEVICE)) => return Err(no_device(0)),
        started => started.map_err(failed("starting the driver"))?,
    }
    let count = result::device::get_count().map_err(failed("counting the GPUs"))?;
    let ordinal = i32::try_from(number).ok().filter(|&n| n < count).ok_or_else(|| no_device(count))?;
    let device = result::device::get(ordinal).map_err(failed("opening the GPU"))?;
    let name = result::device::get_name(device).map_err(failed("asking for the GPU's name"))?;
    // SAFETY: the device is one that the driver has named; its context is kept for as long as the process runs, as is the
    // stream.
    unsafe {
        use sys::CUdevice_attribute::{
            CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR as MAJOR,
            CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR as MINOR,
            CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN as SHARED,
        };
        let attribute = |which| {
            result::device::get_attribute(device, which).map_err(failed("asking what the GPU can do"))
        };
        let capability = 10 * attribute(MAJOR)? + attribute(MINOR)?;
        let shared = attribute(SHARED)?.max(0) as usize;
        let context = result::primary_ctx::retain(device).map_err(failed("opening the GPU"))?;
        result::ctx::set_current(context).map_err(failed("opening the GPU"))?;
        let stream = result::stream::create(result::stream::StreamKind::NonBlocking)
            .map_err(failed("opening the GPU"))?;
        // Memory that was given back stays for the next that asks.
        let pool =
            result::device::get_default_mem_pool(device).map_err(failed("opening the GPU's memory"))?;
        let mut keep = u64::MAX;
        let threshold = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
        result::mem_pool::set_attribute(pool, threshold, (&raw mut keep).cast())
            .map_err(failed("opening the GPU's memory"))?;
        let aside = match version >= OLDEST_WITH_GRAPHS {
            true => {
                let aside = result::stream::create(result::stream::StreamKind::NonBlocking);
                Some(Mutex::new(Aside(aside.map_err(failed("opening the GPU"))?)))
            }
            false => None,
        };
        let products = Products::open(stream)?;
        let functions = Mutex::default();
        Ok(Nvidia { name, ordinal, capability, shared, context, stream, aside, functions, products })
    }
}

impl Nvidia {
    /// Tasks in the stream in which everything runs.
    fn own(&self) -> In<'_> {
        In { card: self, stream: self.stream }
    }

    /// Makes the context this thread's.
    fn current(&self) -> Result<(), DeviceError> {
        // SAFETY: the context lives as long as the process.
        unsafe { result::ctx::set_current(self.context) }.map_err(failed("taking up the GPU"))
    }

    fn function(&self, kernel: &'static str) -> Result<sys::CUfunction, DeviceError> {
        let mut functions = self.functions.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(function) = functions.get(kernel) {
            return Ok(function.0);
        }
        let source = super::sources::Source::of(kernel);
        let image = compile::compiled(source, self.capability)?;
        // SAFETY: the image is what NVRTC has made, whole, and the module is never unloaded.
        unsafe {
            let module =
                result::module::load_data(image.as_ptr().cast()).map_err(failed("loading the kernels"))?;
            for name in source.kernels() {
                let c_name = CString::new(name).expect("a name");
                let function =
                    result::module::get_function(module, c_name).map_err(failed("loading the kernels"))?;
                functions.insert(name, Function(function));
            }
        }
        Ok(functions[kernel].0)
    }
}

impl Driver for Nvidia {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn memory(&self) -> (usize, usize) {
        match self.current() {
            Ok(()) => result::mem_get_info().unwrap_or((0, 0)),
            Err(_) => (0, 0),
        }
    }

    fn has_bf16(&self) -> bool {
        self.capability >= 80
    }

    fn shared_memory(&self) -> usize {
        self.shared
    }

    fn allocate(&self, bytes: usize) -> Result<u64, DeviceError> {
        self.current()?;
        // SAFETY: all use of the memory is in this stream.
        match unsafe { result::malloc_async(self.stream, bytes) } {
            Err(DriverError(sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY)) => {
                let (free, total) = self.memory();
                let [asked, free, total] = [bytes, free, total].map(|bytes| bytes >> 20);
                Err(DeviceError::Memory { asked, free, total })
            }
            result => result.map_err(failed("taking memory")),
        }
    }

    fn free(&self, at: u64) {
        // What cannot be given back is given back when the process ends.
        if self.current().is_ok() {
            // SAFETY: `at` was given out by `allocate` and is given back once.
            let _ = unsafe { result::free_async(at, self.stream) };
        }
    }

    fn pinned(&self, bytes: usize) -> Result<u64, DeviceError> {
        self.current()?;
        // SAFETY: it is never given back, as the context is not; zeros are bytes that may be read.
        unsafe {
            let at = result::malloc_host(bytes, 0).map_err(failed("pinning memory for the GPU"))?;
            std::ptr::write_bytes(at.cast::<u8>(), 0, bytes);
            Ok(at as u64)
        }
    }

    fn new_mark(&self) -> Result<u64, DeviceError> {
        self.current()?;
        let flags = sys::CUevent_flags::CU_EVENT_DISABLE_TIMING;
        result::event::create(flags).map(|event| event as u64).map_err(failed("waiting for the GPU"))
    }

    fn mark(&self, mark: u64) -> Result<(), DeviceError> {
        self.current()?;
        // SAFETY: the event is one that `new_mark` has made, which is kept for as long as the process runs.
        unsafe { result::event::record(mark as sys::CUevent, self.stream) }
            .map_err(failed("waiting for the GPU"))
    }

    fn wait(&self, mark: u64) -> Result<(), DeviceError> {
        self.current()?;
        // SAFETY: as above. An event that was never recorded is not waited for.
        unsafe { result::event::synchronize(mark as sys::CUevent) }.map_err(failed("waiting for the GPU"))
    }

    fn download(&self, bytes: &mut [u8], from: u64) -> Result<(), DeviceError> {
        self.current()?;
        // SAFETY: the source has as many bytes, and they have come when the stream has been waited for.
        unsafe {
            result::memcpy_dtoh_async(bytes, from, self.stream).map_err(failed("copying from the GPU"))?;
            result::stream::synchronize(self.stream).map_err(failed("waiting for the GPU"))
        }
    }

    fn has_graphs(&self) -> bool {
        self.aside.is_some()
    }

    fn capture(&self, tasks: &[Task]) -> Result<u64, DeviceError> {
        let aside = self.aside.as_ref().expect("a driver with graphs");
        let aside = aside.lock().unwrap_or_else(|e| e.into_inner());
        self.current()?;
        let stream = In { card: self, stream: aside.0 };
        let failed = || failed("making a graph of a step");
        // SAFETY: the stream is ours alone and nothing runs in it; what is captured are tasks that have been performed, whose
        // functions and plans are there.
        unsafe {
            let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
            result::stream::begin_capture(aside.0, mode).map_err(failed())?;
            let put = tasks.iter().try_for_each(|task| task.perform(&stream));
            // A capture is ended whatever became of it.
            let graph = result::stream::end_capture(aside.0).map_err(failed());
            put?;
            let graph = graph?;
            let made = result::graph::instantiate(graph, sys::CUgraphInstantiate_flags(0));
            result::graph::destroy(graph).map_err(failed())?;
            Ok(made.map_err(failed())? as u64)
        }
    }

    fn replay(&self, graph: u64) -> Result<(), DeviceError> {
        self.current()?;
        // SAFETY: the number is a graph's that `capture` has made and nobody has forgotten.
        unsafe { result::graph::launch(graph as sys::CUgraphExec, self.stream) }
            .map_err(failed("starting a graph"))
    }

    fn forget(&self, graph: u64) {
        if self.current().is_ok() {
            // SAFETY: as above; one that still runs goes when it has.
            let _ = unsafe { result::graph::exec_destroy(graph as sys::CUgraphExec) };
        }
    }
}

impl Tasks for Nvidia {
    fn copy(&self, to: u64, from: u64, bytes: usize) -> Result<(), DeviceError> {
        self.own().copy(to, from, bytes)
    }

    fn zero(&self, at: u64, bytes: usize) -> Result<(), DeviceError> {
        self.own().zero(at, bytes)
    }

    fn upload(&self, to: u64, from: u64, bytes: usize) -> Result<(), DeviceError> {
        self.own().upload(to, from, bytes)
    }

    fn launch(&self, launch: &Launch<'_>) -> Result<(), DeviceError> {
        self.own().launch(launch)
    }

    fn multiply(&self, product: &Product) -> Result<bool, DeviceError> {
        self.own().multiply(product)
    }
}

impl Tasks for In<'_> {
    fn copy(&self, to: u64, from: u64, bytes: usize) -> Result<(), DeviceError> {
        self.card.current()?;
        // SAFETY: both have as many bytes.
        unsafe { result::memcpy_dtod_async(to, from, bytes, self.stream) }
            .map_err(failed("copying on the GPU"))
    }

    fn zero(&self, at: u64, bytes: usize) -> Result<(), DeviceError> {
        self.card.current()?;
        // SAFETY: there are as many bytes.
        unsafe { result::memset_d8_async(at, 0, bytes, self.stream) }
            .map_err(failed("writing zeros on the GPU"))
    }

    fn upload(&self, to: u64, from: u64, bytes: usize) -> Result<(), DeviceError> {
        self.card.current()?;
        // SAFETY: both have as many bytes, and the source is pinned memory, which stays; whoever writes to it again waits for
        // a mark behind this.
        unsafe {
            let from = std::slice::from_raw_parts(from as *const u8, bytes);
            result::memcpy_htod_async(to, from, self.stream).map_err(failed("copying to the GPU"))
        }
    }

    fn launch(&self, launch: &Launch<'_>) -> Result<(), DeviceError> {
        self.card.current()?;
        let function = self.card.function(launch.kernel)?;
        let mut values: Vec<u64> = launch.arguments.iter().map(|argument| argument.word()).collect();
        let mut arguments: Vec<*mut c_void> =
            values.iter_mut().map(|value| std::ptr::from_mut(value).cast()).collect();
        let [x, y, z] = launch.grid;
        // SAFETY: the arguments are of the kernel's number and kinds, which the emulation checks in the tests, and lie in
        // the machine's order, the lower half of a word first, as on every machine with such a card.
        unsafe {
            if launch.shared > SHARED_UNASKED {
                let most = sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
                result::function::set_function_attribute(function, most, launch.shared as i32)
                    .map_err(failed(launch.kernel))?;
            }
            let block = (launch.block, 1, 1);
            result::launch_kernel(function, (x, y, z), block, launch.shared, self.stream, &mut arguments)
                .map_err(failed(launch.kernel))
        }
    }

    fn multiply(&self, product: &Product) -> Result<bool, DeviceError> {
        let Some(products) = &self.card.products else { return Ok(false) };
        self.card.current()?;
        products.multiply(product, self.stream)
    }
}
