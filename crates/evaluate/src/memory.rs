//! The most memory that this process has held, by the system's own count.

/// Forgets the peak so far: what [`peak_bytes`] tells begins with what is held now. `false` where the system cannot.
pub fn begin_peak() -> bool {
    // Linux: proc(5), /proc/pid/clear_refs, value 5.
    std::fs::write("/proc/self/clear_refs", "5").is_ok()
}

/// The most bytes that this process has held since [`begin_peak`], mapped files included as far as they were read;
/// `None` where the system does not tell.
pub fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_peak_begins_anew() {
        let big = vec![1u8; 64 << 20];
        let with = peak_bytes().unwrap();
        assert!(with >= 64 << 20, "{with}");
        assert_eq!(big.iter().map(|&b| u64::from(b)).sum::<u64>(), 64 << 20);
        drop(big);
        if begin_peak() {
            assert!(peak_bytes().unwrap() < with);
        }
    }
}
