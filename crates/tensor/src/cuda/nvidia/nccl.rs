//! Sums over several cards by NCCL.
//!
//! Its five functions are found here and not by cudarc, which does not know the name `libnccl.so.2` under which the package
//! has it.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::Mutex;

use cudarc::driver::result;
use cudarc::driver::sys;

use super::{Nvidia, failed};
use crate::cuda::driver::{DeviceError, Driver, Shared, Sums};

type Communicator = *mut c_void;
/// ncclSuccess
const SUCCESS: c_int = 0;
/// ncclFloat32 and ncclSum
const F32: c_int = 7;
const SUM: c_int = 0;

type InitAll = unsafe extern "C" fn(*mut Communicator, c_int, *const c_int) -> c_int;
type Group = unsafe extern "C" fn() -> c_int;
type AllReduce = unsafe extern "C" fn(
    *const c_void,
    *mut c_void,
    usize,
    c_int,
    c_int,
    Communicator,
    sys::CUstream,
) -> c_int;
type ErrorString = unsafe extern "C" fn(c_int) -> *const c_char;

/// The library with a communicator and a stream a card, which live as long as the process.
pub(super) struct Nccl {
    group_start: Group,
    group_end: Group,
    all_reduce: AllReduce,
    error_string: ErrorString,
    cards: Vec<(Communicator, sys::CUstream)>,
    /// One at a time.
    turn: Mutex<()>,
    _library: libloading::Library,
}

// SAFETY: communicators may be used by any thread; `sum` holds `turn` while it does.
unsafe impl Send for Nccl {}
// SAFETY: as above.
unsafe impl Sync for Nccl {}

impl Nccl {
    pub(super) fn open(cards: &[Nvidia]) -> Result<Self, DeviceError> {
        // SAFETY: NCCL is loaded as every program that links it loads it.
        let library = ["libnccl.so.2", "libnccl.so"]
            .into_iter()
            .find_map(|name| unsafe { libloading::Library::new(name) }.ok())
            .ok_or(DeviceError::NoLibrary("NCCL (libnccl.so.2), by which several GPUs add up,"))?;
        let missing = |error: libloading::Error| DeviceError::Call {
            what: "loading NCCL".into(),
            why: error.to_string(),
        };
        // SAFETY: the names have these types since NCCL 2.0 (nccl.h).
        unsafe {
            let init_all: InitAll = *library.get(b"ncclCommInitAll\0").map_err(missing)?;
            let nccl = Nccl {
                group_start: *library.get::<Group>(b"ncclGroupStart\0").map_err(missing)?,
                group_end: *library.get::<Group>(b"ncclGroupEnd\0").map_err(missing)?,
                all_reduce: *library.get::<AllReduce>(b"ncclAllReduce\0").map_err(missing)?,
                error_string: *library.get::<ErrorString>(b"ncclGetErrorString\0").map_err(missing)?,
                cards: Vec::new(),
                turn: Mutex::default(),
                _library: library,
            };
            let ordinals: Vec<c_int> = cards.iter().map(|card| card.ordinal).collect();
            let mut communicators: Vec<Communicator> = vec![std::ptr::null_mut(); cards.len()];
            let count = ordinals.len() as c_int;
            nccl.check("joining the GPUs", init_all(communicators.as_mut_ptr(), count, ordinals.as_ptr()))?;
            share_memory(&ordinals)?;
            let cards = communicators.into_iter().zip(cards.iter().map(|card| card.stream)).collect();
            Ok(Nccl { cards, ..nccl })
        }
    }

    fn check(&self, what: &str, code: c_int) -> Result<(), DeviceError> {
        if code == SUCCESS {
            return Ok(());
        }
        // SAFETY: the library's words for a code are a constant.
        let why = unsafe { CStr::from_ptr((self.error_string)(code)) }.to_string_lossy().into_owned();
        Err(DeviceError::Call { what: what.to_owned(), why })
    }
}

/// Lets every card read what the others have: NCCL reads another's numbers where they lie, and memory that is given out in
/// the order of a stream is, unlike other, its own card's alone until it is said to be the others' too.
fn share_memory(ordinals: &[c_int]) -> Result<(), DeviceError> {
    let what = "sharing memory between the GPUs";
    for &owner in ordinals {
        let device = result::device::get(owner).map_err(failed(what))?;
        // SAFETY: the device is one that was opened.
        let pool = unsafe { result::device::get_default_mem_pool(device) }.map_err(failed(what))?;
        for &reader in ordinals.iter().filter(|&&reader| reader != owner) {
            let mut can = 0;
            // SAFETY: writes an integer; both are devices that were opened.
            unsafe { sys::cuDeviceCanAccessPeer(&mut can, reader, device) }.result().map_err(failed(what))?;
            if can == 0 {
                // NCCL then goes by the host.
                continue;
            }
            // SAFETY: a description is plain numbers, of which zeros are valid.
            let mut access: sys::CUmemAccessDesc = unsafe { std::mem::zeroed() };
            access.location.type_ = sys::CUmemLocationType::CU_MEM_LOCATION_TYPE_DEVICE;
            access.location.__bindgen_anon_1.id = reader;
            access.flags = sys::CUmemAccess_flags::CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
            // SAFETY: the pool is its device's, and there is one description.
            unsafe { sys::cuMemPoolSetAccess(pool, &access, 1) }.result().map_err(failed(what))?;
        }
    }
    Ok(())
}

impl Sums for Nccl {
    fn sum(&self, _: &[&dyn Driver], lists: &[Shared]) -> Result<(), DeviceError> {
        let what = "adding up over the GPUs";
        let _turn = self.turn.lock().unwrap_or_else(|e| e.into_inner());
        // SAFETY: every address has as many numbers, and each card's are used in its stream alone.
        unsafe {
            self.check(what, (self.group_start)())?;
            for Shared { at, count } in lists {
                for (&at, &(communicator, stream)) in at.iter().zip(&self.cards) {
                    let numbers = at as *mut c_void;
                    let code = (self.all_reduce)(numbers, numbers, *count, F32, SUM, communicator, stream);
                    self.check(what, code)?;
                }
            }
            self.check(what, (self.group_end)())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_it_is_not_installed_that_is_said() {
        match Nccl::open(&[]).err().map(|error| error.to_string()) {
            Some(said) if said.starts_with("NCCL (libnccl.so.2)") => {
                assert!(said.contains("is not found; install"), "{said}");
            }
            other => println!("skipped: NCCL is installed, and says {other:?} of no cards"),
        }
    }
}
