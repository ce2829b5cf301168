//! Cache lines: asking for them, and scratch that begins at one.

/// Bytes of a cache line, and of the widest vector.
pub(crate) const LINE: usize = 64;

/// Asks for the cache line at `p`, which may be any address, in the second-level cache: the first has few places for
/// what is under way.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn prefetch(p: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
    // SAFETY: a hint; the processor ignores addresses that are not the process's.
    unsafe { _mm_prefetch::<_MM_HINT_T1>(p.cast()) }
}

#[cfg(target_arch = "aarch64")]
#[inline(always)]
pub(crate) fn prefetch(p: *const u8) {
    // SAFETY: a hint; the processor ignores addresses that are not the process's.
    unsafe {
        std::arch::asm!("prfm pldl2keep, [{}]", in(reg) p, options(nomem, nostack, preserves_flags));
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(crate) fn prefetch(_: *const u8) {}

/// Asks for the cache line at `p`, which may be any address, to write to it.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn prefetch_to_write(p: *const u8) {
    // SAFETY: a hint, which processors that do not know it pass over; they ignore addresses that are not the process's.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_ET0 }>(p.cast());
    }
}

#[cfg(target_arch = "aarch64")]
#[inline(always)]
pub(crate) fn prefetch_to_write(p: *const u8) {
    // SAFETY: a hint; the processor ignores addresses that are not the process's.
    unsafe {
        std::arch::asm!("prfm pstl1keep, [{}]", in(reg) p, options(nomem, nostack, preserves_flags));
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(crate) fn prefetch_to_write(_: *const u8) {}

/// `count` numbers from the start of a cache line on, zero at first.
pub(super) struct Lines<T> {
    /// A line more than asked for, since the allocator aligns to less.
    all: Vec<T>,
    start: usize,
    count: usize,
}

impl<T: Copy + Default> Lines<T> {
    /// Room for `count` numbers; nothing is allocated for none.
    pub(super) fn new(count: usize) -> Lines<T> {
        let spare = if count == 0 { 0 } else { LINE / size_of::<T>() };
        let all = vec![T::default(); count + spare];
        let start = all.as_ptr().align_offset(LINE).min(spare);
        Lines { all, start, count }
    }

    /// Makes room for at least `count` numbers; what was there is lost when it has to grow.
    pub(super) fn reserve(&mut self, count: usize) {
        if count > self.count {
            *self = Lines::new(count);
        }
    }

    /// The numbers.
    pub(super) fn get(&self) -> &[T] {
        &self.all[self.start..self.start + self.count]
    }

    /// The numbers, to be written.
    pub(super) fn slice(&mut self) -> &mut [T] {
        &mut self.all[self.start..self.start + self.count]
    }
}
