//! The kernels compiled by NVRTC for a card, and kept in a file for the next run.

use std::ffi::{CString, c_char};
use std::path::PathBuf;

use cudarc::nvrtc::{result, sys};

use crate::cuda::driver::DeviceError;
use crate::cuda::sources::Source;

/// Whether NVRTC is installed.
fn present() -> bool {
    // SAFETY: only looks for the library.
    unsafe { sys::is_culib_present() }
}

fn failed(what: &str) -> impl FnOnce(result::NvrtcError) -> DeviceError {
    let what = what.to_owned();
    move |error| DeviceError::Call { what, why: format!("{:?}", error.0) }
}

/// The image of a source for cards of a compute capability.
pub(super) fn compiled(source: &Source, capability: i32) -> Result<Vec<u8>, DeviceError> {
    let text = source.text();
    let kept = place(&text, capability);
    if let Some(image) = kept.as_ref().and_then(|path| std::fs::read(path).ok()) {
        return Ok(image);
    }
    if !present() {
        return Err(DeviceError::NoLibrary("NVRTC (libnvrtc)"));
    }
    let image = compile(source, &text, &format!("sm_{capability}"))?;
    if let Some(path) = kept {
        // What cannot be kept is compiled again.
        let beside = path.with_extension(std::process::id().to_string());
        let folder = path.parent().map(std::fs::create_dir_all);
        if folder.is_some_and(|made| made.is_ok()) && std::fs::write(&beside, &image).is_ok() {
            let _ = std::fs::rename(&beside, &path);
        }
    }
    Ok(image)
}

/// Where an image is kept: in the user's cache, by what it is made from. Drivers of another age take other images.
fn place(text: &str, capability: i32) -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    let mut driver = 0;
    // SAFETY: writes an integer; the driver is there, since a card was opened.
    let _ = unsafe { cudarc::driver::sys::cuDriverGetVersion(&mut driver) };
    let key = text.bytes().fold(driver as u64, |key, byte| crate::mix(key, u64::from(byte)));
    Some(cache.join("t5kit/kernels").join(format!("{key:016x}-sm_{capability}.cubin")))
}

/// Compiles for `sm_…` to a card's own code, for `compute_…` to PTX.
fn compile(source: &Source, text: &str, architecture: &str) -> Result<Vec<u8>, DeviceError> {
    let what = format!("compiling {}", source.name);
    let name = CString::new(source.name).expect("a name");
    let text = CString::new(text).expect("a text without NUL");
    let program = result::create_program(&text, Some(&name)).map_err(failed(&what))?;
    let options = [format!("--gpu-architecture={architecture}"), "--std=c++17".to_owned()];
    // SAFETY: the program lives until it is destroyed, and buffers are as large as NVRTC says.
    unsafe {
        let done = result::compile_program(program, &options);
        if let Err(error) = done {
            let log = result::get_program_log(program).unwrap_or_default();
            let log: Vec<u8> = log.iter().map(|&c| c as u8).filter(|&c| c != 0).collect();
            let _ = result::destroy_program(program);
            let why = format!("{:?}: {}", error.0, String::from_utf8_lossy(&log).trim().replace('\n', "; "));
            return Err(DeviceError::Call { what, why });
        }
        let mut size = 0;
        let own = architecture.starts_with("sm_");
        let sized = match own {
            true => sys::nvrtcGetCUBINSize(program, &mut size),
            false => sys::nvrtcGetPTXSize(program, &mut size),
        };
        sized.result().map_err(failed(&what))?;
        let mut image = vec![0u8; size];
        let at: *mut c_char = image.as_mut_ptr().cast();
        let read = if own { sys::nvrtcGetCUBIN(program, at) } else { sys::nvrtcGetPTX(program, at) };
        read.result().map_err(failed(&what))?;
        result::destroy_program(program).map_err(failed(&what))?;
        Ok(image)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cuda::sources::SOURCES;

    /// Every architecture that there may be a card of, to PTX, and for one to its own code, wherever NVRTC is installed (a folder
    /// of LD_LIBRARY_PATH will do); no card is needed.
    #[test]
    fn every_kernel_compiles_for_every_architecture() {
        if !present() {
            println!("skipped: NVRTC (libnvrtc) is not installed");
            return;
        }
        for architecture in [75, 80, 86, 89, 90, 100, 120] {
            for source in &SOURCES {
                let text = source.text();
                let ptx = compile(source, &text, &format!("compute_{architecture}")).unwrap();
                let ptx = String::from_utf8_lossy(&ptx);
                for kernel in source.kernels() {
                    assert!(ptx.contains(&format!(".entry {kernel}(")), "{kernel} for {architecture}");
                }
            }
            println!("compiled for compute_{architecture}");
        }
        for source in &SOURCES {
            assert!(!compile(source, &source.text(), "sm_90").unwrap().is_empty(), "{}", source.name);
        }
    }
}
