//! A device that is none: the kernels run on the host, compiled by a C++ compiler (`emulate/`). For tests, on machines
//! without a GPU; it is exact and slow.

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_void};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, OnceLock};

use super::driver::{Argument, DeviceError, Driver, Launch, Product, Shared, Sums, Task, Tasks};
use super::several::Opened;
use super::sources::SOURCES;
use super::{Device, Devices};

/// Names the library that [`build`] makes: it then takes the place of every GPU.
pub const VARIABLE: &str = "T5KIT_CUDA_EMULATION";
/// Further options of the compiler, by which tests are run under a sanitizer.
const OPTIONS: &str = "T5KIT_EMULATION_OPTIONS";

const HEADER: &str = include_str!("emulate/cuda_host.h");
const RUNTIME: &str = include_str!("emulate/emulate.cpp");

type LaunchFn =
    unsafe extern "C" fn(*const c_char, *const u32, u32, *mut *mut c_void, *const c_char) -> *const c_char;

struct Emulated {
    library: libloading::Library,
    /// Bytes it has, and those that a block's threads share.
    memory: usize,
    shared: usize,
    held: Mutex<HashMap<u64, Block>>,
    /// Graphs are the tasks that they are made of, as they were then.
    graphs: Mutex<HashMap<u64, Vec<Task>>>,
    host: Mutex<Host>,
}

/// Memory of the host that uploads come from. A card copies it some time later, so what was there when it was asked for has
/// to be there when the host next waits, and is looked for then.
#[derive(Default)]
struct Host {
    pinned: Vec<Vec<u64>>,
    /// What is still to be copied, as far as the host knows: where, and the bytes.
    uploads: Vec<(u64, Vec<u8>)>,
    /// Marks: how many of these lie before each.
    marks: Vec<usize>,
}

impl Host {
    /// The host has waited for the first `count` uploads.
    fn arrived(&mut self, count: usize) {
        let mut same = true;
        for (from, bytes) in self.uploads.drain(..count) {
            // SAFETY: it lies in `pinned`, of which nothing is given back; `upload` has looked that it does.
            same &= bytes == unsafe { std::slice::from_raw_parts(from as *const u8, bytes.len()) };
        }
        self.marks.iter_mut().for_each(|before| *before = before.saturating_sub(count));
        assert!(same, "bytes of pinned memory were overwritten before they were copied");
    }
}

/// Memory with guards around it: [`GUARD`] numbers, what was asked for, and as many again.
struct Block {
    words: Vec<u64>,
    bytes: usize,
}

/// Bytes that a device says it has, where it is not [`MEMORY`].
pub const MEMORY_VARIABLE: &str = "T5KIT_EMULATION_MEMORY";
/// Bytes that it says it has.
const MEMORY: usize = 16 << 30;
/// Bytes that a block's threads may share: compute capability 8.6 and 8.9.
const SHARED: usize = 99 << 10;
const GUARD: usize = 8;
const GUARDED: u64 = 0x7ff4_dead_7ff4_beef;

/// Kernels of all devices run one at a time: shared memory is the library's.
static RUNNING: Mutex<()> = Mutex::new(());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

fn failed(what: &str, why: impl ToString) -> DeviceError {
    DeviceError::Call { what: what.to_owned(), why: why.to_string() }
}

/// Devices that there are.
const COUNT: usize = 2;

/// The emulation in a library, once for every number.
pub(super) fn open(library: &Path, numbers: &[usize]) -> Result<Opened, DeviceError> {
    let one = |&number: &usize| open_one(library, number).map(|one| Box::new(one) as Box<dyn Driver>);
    let drivers = numbers.iter().map(one).collect::<Result<Vec<_>, _>>()?;
    let sums = (numbers.len() > 1).then(|| Box::new(OnHost) as Box<dyn Sums>);
    Ok((drivers, sums))
}

fn open_one(library: &Path, number: usize) -> Result<Emulated, DeviceError> {
    if number >= COUNT {
        return Err(DeviceError::NoDevice { number, count: COUNT });
    }
    // SAFETY: the library is one that `build` has made; it has no initialisers but those that list its kernels.
    let library = unsafe { libloading::Library::new(library) };
    let library = library.map_err(|error| failed("opening the emulation", error))?;
    let memory = std::env::var(MEMORY_VARIABLE).ok().and_then(|text| text.parse().ok()).unwrap_or(MEMORY);
    let (held, graphs, host) = (Mutex::default(), Mutex::default(), Mutex::default());
    Ok(Emulated { library, memory, shared: SHARED, held, graphs, host })
}

/// Makes the library beside this program, once for every state of the sources; an error says why there is none.
pub fn build() -> Result<PathBuf, String> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BUILT.get_or_init(build_now).clone()
}

/// The emulation that [`build`] makes; none, which is said, where there is no C++ compiler.
pub fn device() -> Option<Device> {
    device_with(SHARED)
}

/// The same, a block's threads sharing so many bytes at most.
pub fn device_with(shared: usize) -> Option<Device> {
    match build() {
        Ok(library) => {
            let one = open_one(&library, 0).expect("the library that was built");
            Some(Device::new(Box::new(Emulated { shared, ..one })))
        }
        Err(why) => {
            println!("skipped: {why}");
            None
        }
    }
}

/// As many of them as [`Devices`](super::Devices).
pub fn devices(count: usize) -> Option<Devices> {
    device()?;
    let library = build().expect("the library that was built");
    Some(Devices::of(open(&library, &(0..count).collect::<Vec<_>>()).expect("so many devices")))
}

fn build_now() -> Result<PathBuf, String> {
    if cfg!(target_feature = "crt-static") {
        return Err("a program that is linked statically opens no library".into());
    }
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    let options = std::env::var(OPTIONS).unwrap_or_default();
    let texts: Vec<String> = SOURCES
        .iter()
        .map(|source| {
            let known: String = source.kernels().map(|name| format!("EMULATED_KERNEL({name})\n")).collect();
            format!("#include \"cuda_host.h\"\n{}\n{known}", source.text())
        })
        .collect();
    let mut key = 0u64;
    for byte in texts.iter().map(String::as_str).chain([HEADER, RUNTIME, &options]).flat_map(str::bytes) {
        key = crate::mix(key, u64::from(byte));
    }
    let own = std::env::current_exe().map_err(|e| e.to_string())?;
    let folder = own.parent().ok_or("a program without a folder")?;
    let library = folder.join(format!("cuda-emulation-{key:016x}.so"));
    if library.exists() {
        return Ok(library);
    }
    let work = folder.join(format!("cuda-emulation-{key:016x}.{}", std::process::id()));
    std::fs::create_dir_all(&work).map_err(|e| e.to_string())?;
    let built = compile(&compiler, &options, &texts, &work).and_then(|made| {
        // Another test may have been faster; either's is as good.
        std::fs::rename(made, &library).map_err(|e| e.to_string())
    });
    let _ = std::fs::remove_dir_all(&work);
    built.map(|()| library)
}

fn compile(compiler: &str, options: &str, texts: &[String], work: &Path) -> Result<PathBuf, String> {
    let write = |name: &str, text: &str| {
        let path = work.join(name);
        std::fs::write(&path, text).map_err(|e| e.to_string()).map(|()| path)
    };
    write("cuda_host.h", HEADER)?;
    let mut files = vec![write("emulate.cpp", RUNTIME)?];
    for (source, text) in SOURCES.iter().zip(texts) {
        files.push(write(&source.name.replace(".cu", ".cpp"), text)?);
    }
    let library = work.join("emulation.so");
    let output = Command::new(compiler)
        .args(["-std=c++17", "-O2", "-fPIC", "-shared", "-w", "-pthread", "-o"])
        .arg(&library)
        .args(options.split_whitespace())
        .args(&files)
        .output()
        .map_err(|e| format!("no C++ compiler ({compiler}): {e}"))?;
    match output.status.success() {
        true => Ok(library),
        // A compiler that is there and does not take the kernels is a mistake of ours.
        false => panic!("{compiler} does not take the kernels:\n{}", String::from_utf8_lossy(&output.stderr)),
    }
}

impl Emulated {
    /// Memory within a block that was given out.
    fn within(&self, at: u64, bytes: usize) -> Result<*mut u8, DeviceError> {
        let inside =
            |(&from, block): (&u64, &Block)| from <= at && at + bytes as u64 <= from + block.bytes as u64;
        match lock(&self.held).iter().any(inside) {
            true => Ok(at as *mut u8),
            false => Err(failed("copying", "that is no memory of the device's")),
        }
    }

    fn check(block: &Block) {
        let (first, rest) = block.words.split_at(GUARD);
        let (inner, last) = rest.split_at(rest.len() - GUARD);
        assert!(first.iter().chain(last).all(|&word| word == GUARDED), "a kernel wrote beside its memory");
        let bytes: &[u8] = bytemuck::cast_slice(inner);
        assert!(bytes[block.bytes..].iter().all(|&byte| byte == 0xa5), "a kernel wrote behind its memory");
    }
}

impl Driver for Emulated {
    fn name(&self) -> String {
        "emulation on the host".to_owned()
    }

    fn memory(&self) -> (usize, usize) {
        let used: usize = lock(&self.held).values().map(|block| block.bytes).sum();
        (self.memory - used, self.memory)
    }

    fn has_bf16(&self) -> bool {
        true
    }

    fn shared_memory(&self) -> usize {
        self.shared
    }

    fn allocate(&self, bytes: usize) -> Result<u64, DeviceError> {
        let used: usize = lock(&self.held).values().map(|block| block.bytes).sum();
        if bytes > self.memory - used {
            let [asked, free, total] = [bytes, self.memory - used, self.memory].map(|bytes| bytes >> 20);
            return Err(DeviceError::Memory { asked, free, total });
        }
        // What nobody has written is not a number.
        let mut words = vec![u64::MAX; bytes.div_ceil(8) + 2 * GUARD];
        let end = words.len() - GUARD;
        words[..GUARD].fill(GUARDED);
        words[end..].fill(GUARDED);
        bytemuck::cast_slice_mut(&mut words[GUARD..end])[bytes..].fill(0xa5u8);
        let at = words[GUARD..].as_ptr() as u64;
        lock(&self.held).insert(at, Block { words, bytes });
        Ok(at)
    }

    fn free(&self, at: u64) {
        let block = lock(&self.held).remove(&at).expect("memory of the device's");
        if !std::thread::panicking() {
            Self::check(&block);
        }
    }

    fn pinned(&self, bytes: usize) -> Result<u64, DeviceError> {
        let block = vec![u64::MAX; bytes.div_ceil(8)];
        let at = block.as_ptr() as u64;
        lock(&self.host).pinned.push(block);
        Ok(at)
    }

    fn new_mark(&self) -> Result<u64, DeviceError> {
        let mut host = lock(&self.host);
        host.marks.push(0);
        Ok(host.marks.len() as u64 - 1)
    }

    fn mark(&self, mark: u64) -> Result<(), DeviceError> {
        let mut host = lock(&self.host);
        host.marks[mark as usize] = host.uploads.len();
        Ok(())
    }

    fn wait(&self, mark: u64) -> Result<(), DeviceError> {
        let mut host = lock(&self.host);
        let count = host.marks[mark as usize];
        host.arrived(count);
        Ok(())
    }

    fn download(&self, bytes: &mut [u8], from: u64) -> Result<(), DeviceError> {
        let mut host = lock(&self.host);
        let count = host.uploads.len();
        host.arrived(count);
        drop(host);
        let from = self.within(from, bytes.len())?;
        // SAFETY: the source lies within a block that is ours alone.
        unsafe { std::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), bytes.len()) };
        Ok(())
    }

    fn has_graphs(&self) -> bool {
        true
    }

    fn capture(&self, tasks: &[Task]) -> Result<u64, DeviceError> {
        let mut graphs = lock(&self.graphs);
        let number = graphs.keys().max().map_or(0, |last| last + 1);
        graphs.insert(number, tasks.to_vec());
        Ok(number)
    }

    fn replay(&self, graph: u64) -> Result<(), DeviceError> {
        let tasks = lock(&self.graphs)[&graph].clone();
        tasks.iter().try_for_each(|task| task.perform(self))
    }

    fn forget(&self, graph: u64) {
        lock(&self.graphs).remove(&graph);
    }
}

impl Tasks for Emulated {
    fn copy(&self, to: u64, from: u64, bytes: usize) -> Result<(), DeviceError> {
        let (to, from) = (self.within(to, bytes)?, self.within(from, bytes)?);
        // SAFETY: both lie within blocks that are ours alone; they may overlap.
        unsafe { std::ptr::copy(from, to, bytes) };
        Ok(())
    }

    fn zero(&self, at: u64, bytes: usize) -> Result<(), DeviceError> {
        let at = self.within(at, bytes)?;
        // SAFETY: it lies within a block that is ours alone.
        unsafe { std::ptr::write_bytes(at, 0, bytes) };
        Ok(())
    }

    fn upload(&self, to: u64, from: u64, bytes: usize) -> Result<(), DeviceError> {
        let to = self.within(to, bytes)?;
        let mut host = lock(&self.host);
        let inside = |block: &Vec<u64>| {
            let first = block.as_ptr() as u64;
            first <= from && from + bytes as u64 <= first + 8 * block.len() as u64
        };
        assert!(host.pinned.iter().any(inside), "an upload from memory that is not pinned");
        // SAFETY: the source is pinned memory, the destination lies within a block that is ours alone.
        let copied = unsafe {
            std::ptr::copy_nonoverlapping(from as *const u8, to, bytes);
            std::slice::from_raw_parts(from as *const u8, bytes).to_vec()
        };
        host.uploads.push((from, copied));
        Ok(())
    }

    fn launch(&self, launch: &Launch<'_>) -> Result<(), DeviceError> {
        assert!(launch.shared as usize <= self.shared, "{}: {} bytes shared", launch.kernel, launch.shared);
        let _running = lock(&RUNNING);
        let mut values: Vec<u64> = launch.arguments.iter().map(|argument| argument.word()).collect();
        let kinds = launch.arguments.iter().map(|argument| match argument {
            Argument::Pointer(_) => b'p',
            Argument::U32(_) => b'u',
            Argument::U64(_) => b'U',
            Argument::F32(_) => b'f',
        });
        let kinds = CString::new(kinds.collect::<Vec<u8>>()).expect("letters");
        let name = CString::new(launch.kernel).expect("a name");
        let mut arguments: Vec<*mut c_void> =
            values.iter_mut().map(|value| std::ptr::from_mut(value).cast()).collect();
        let [x, y, z] = launch.grid;
        let sizes = [x, y, z, launch.block, 1, 1];
        // SAFETY: the library's function takes these; it checks that the kernel takes arguments of these kinds. Pointers
        // are to memory of ours, which the kernel is trusted with, as on a card.
        let wrong = unsafe {
            let run: libloading::Symbol<'_, LaunchFn> =
                self.library.get(b"emulated_launch\0").map_err(|e| failed("opening the emulation", e))?;
            let wrong =
                run(name.as_ptr(), sizes.as_ptr(), launch.shared, arguments.as_mut_ptr(), kinds.as_ptr());
            (!wrong.is_null()).then(|| CStr::from_ptr(wrong).to_string_lossy().into_owned())
        };
        // A mistake of ours, not of anybody's input.
        assert!(wrong.is_none(), "{}", wrong.unwrap_or_default());
        Ok(())
    }

    fn multiply(&self, _: &Product) -> Result<bool, DeviceError> {
        Ok(false)
    }
}

/// Sums on the host, in the order of the devices.
struct OnHost;

impl Sums for OnHost {
    fn sum(&self, devices: &[&dyn Driver], lists: &[Shared]) -> Result<(), DeviceError> {
        for Shared { at, count } in lists {
            let (mut sum, mut part) = (vec![0f32; *count], vec![0f32; *count]);
            for (device, &at) in devices.iter().zip(at) {
                device.download(bytemuck::cast_slice_mut(&mut part), at)?;
                sum.iter_mut().zip(&part).for_each(|(sum, part)| *sum += part);
            }
            for &at in at {
                // SAFETY: these devices' memory is the host's, and as many bytes were read from there.
                unsafe { std::ptr::copy_nonoverlapping(sum.as_ptr(), at as *mut f32, *count) };
            }
        }
        Ok(())
    }
}
