//! The machine that a recipe runs on, and who works in a folder of it.

use anyhow::{Result, bail};
use std::fs::{File, TryLockError};
use std::path::Path;
use t5kit_tensor::Pool;

use crate::say::bytes;

/// The machine in a line: processor, threads, instruction set, memory, system.
pub fn described() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| processor(&text));
    let memory = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    });
    let mut parts = vec![cpu.unwrap_or_else(|| std::env::consts::ARCH.to_owned())];
    parts.push(format!("{} threads", Pool::default_threads()));
    parts.push(t5kit_tensor::isa().name().to_owned());
    parts.extend(memory.map(|kilobytes| bytes(1024 * kilobytes)));
    parts.push(std::env::consts::OS.to_owned());
    parts.join(", ")
}

/// The processor's name in `/proc/cpuinfo`; on ARM, which has none there, the numbers of its maker and its core.
fn processor(cpuinfo: &str) -> Option<String> {
    let value = |key: &str| {
        let of_key = |line: &str| {
            let (name, value) = line.split_once(':')?;
            (name.trim() == key).then(|| value.trim().to_owned())
        };
        cpuinfo.lines().find_map(of_key)
    };
    value("model name").or_else(|| {
        let (maker, part) = (value("CPU implementer")?, value("CPU part")?);
        Some(format!("{} {maker}/{part}", std::env::consts::ARCH))
    })
}

/// Holds the output folder for this run as long as the result lives; two runs in one folder would undo each other.
pub fn lock(folder: &Path) -> Result<Option<File>> {
    // Not every system opens folders.
    let Ok(file) = File::open(folder) else { return Ok(None) };
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            bail!(
                "{}: another `t5kit run` is at work there; end it first or set another output",
                folder.display()
            )
        }
        _ => Ok(Some(file)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_of_both_kinds_are_named() {
        let intel = "processor\t: 0\nmodel name\t: Some(R) CPU: 2 GHz\nflags\t\t: fpu\n";
        assert_eq!(processor(intel).unwrap(), "Some(R) CPU: 2 GHz");
        let arm = "processor\t: 0\nCPU implementer\t: 0x41\nCPU variant\t: 0x1\nCPU part\t: 0xd40\n";
        assert!(processor(arm).unwrap().ends_with(" 0x41/0xd40"));
        assert_eq!(processor("processor\t: 0\n"), None);
    }
}
