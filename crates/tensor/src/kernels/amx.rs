//! AMX: whether this process may use its tiles, and a thread's configured tiles.

use std::arch::asm;
use std::arch::x86_64::{__cpuid, __cpuid_count};

/// What the tiles multiply: bits of `cpuid`'s leaf 7, register edx.
pub(super) const INT8: u32 = 25;
pub(super) const BF16: u32 = 22;
const TILE: u32 = 24;

/// Whether the processor has AMX with products of this kind and the kernel lets this process use its registers.
pub(super) fn allowed(products: u32) -> bool {
    let has_leaf_7 = __cpuid(0).eax >= 7;
    let edx = if has_leaf_7 { __cpuid_count(7, 0).edx } else { 0 };
    [products, TILE].iter().all(|bit| edx >> bit & 1 == 1) && tile_data_permitted()
}

/// Asks Linux for the tile registers, which a process does not get unasked.
#[cfg(target_os = "linux")]
fn tile_data_permitted() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
    const XFEATURE_XTILEDATA: libc::c_long = 18;
    // SAFETY: a system call that takes two numbers and touches no memory of ours.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 }
}

/// Other systems have their own ways, which could not be tried.
#[cfg(not(target_os = "linux"))]
fn tile_data_permitted() -> bool {
    false
}

/// A thread's configured tile registers, released on drop so that context switches need not save them.
#[must_use]
pub(super) struct Configured(());

impl Configured {
    /// Eight tiles of 16 rows of 64 bytes.
    ///
    /// # Safety
    /// AMX is [`allowed`], and the thread's tiles belong to no one else.
    pub(super) unsafe fn new() -> Configured {
        /// The 64 bytes that `ldtilecfg` reads: palette, then bytes a row and rows of each tile.
        #[repr(C, align(64))]
        struct Config {
            palette: u8,
            start_row: u8,
            reserved: [u8; 14],
            row_bytes: [u16; 16],
            rows: [u8; 16],
        }
        let mut config =
            Config { palette: 1, start_row: 0, reserved: [0; 14], row_bytes: [0; 16], rows: [0; 16] };
        config.row_bytes[..8].fill(64);
        config.rows[..8].fill(16);
        // SAFETY: the caller's promise.
        unsafe {
            asm!("ldtilecfg [{}]", in(reg) &raw const config, options(nostack, readonly, preserves_flags));
        }
        Configured(())
    }
}

impl Drop for Configured {
    fn drop(&mut self) {
        // SAFETY: tiles were configured, so the instruction exists.
        unsafe {
            asm!("tilerelease", options(nomem, nostack, preserves_flags));
        }
    }
}
