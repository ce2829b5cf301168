//! Memory for activations, kept from one step to the next.
//!
//! A training step allocates the same few hundred large buffers each time. Giving them back to the system
//! would cost a page fault per 4 KiB on every step, more than many of the operations themselves; so buffers
//! return to a cache here. What is cached never adds to the peak: a request that nothing cached fits makes
//! room first. Large buffers are mapped and ask for huge pages.

use std::sync::Mutex;

use memmap2::MmapMut;

/// Below this many elements the ordinary allocator is as good.
const CACHED_FROM: usize = 16 << 10;
/// From this many elements on, buffers are mapped (2 MiB, a huge page).
const MAPPED_FROM: usize = 512 << 10;

enum Store {
    Heap(Vec<f32>),
    Mapped(MmapMut),
}

/// `len` f32 with unspecified (but initialised) contents.
pub(crate) struct Buffer {
    store: Option<Store>,
    len: usize,
}

struct Cache {
    stores: Vec<Store>,
    elements: usize,
}

static CACHE: Mutex<Cache> = Mutex::new(Cache { stores: Vec::new(), elements: 0 });

/// Bytes held in reserve for the next buffers.
pub fn cached_bytes() -> usize {
    lock().elements * size_of::<f32>()
}

/// Gives the reserve back to the system.
pub fn release_cached() {
    let mut cache = lock();
    cache.stores.clear();
    cache.elements = 0;
}

fn lock() -> std::sync::MutexGuard<'static, Cache> {
    CACHE.lock().unwrap_or_else(|e| e.into_inner())
}

impl Store {
    fn capacity(&self) -> usize {
        match self {
            Store::Heap(v) => v.len(),
            Store::Mapped(m) => m.len() / size_of::<f32>(),
        }
    }

    /// Fresh zeros. Aborts like any allocation when memory is exhausted.
    fn fresh(len: usize) -> Store {
        if len >= MAPPED_FROM {
            let page = MAPPED_FROM;
            let capacity = len.div_ceil(page) * page;
            if let Ok(map) = MmapMut::map_anon(capacity * size_of::<f32>()) {
                #[cfg(target_os = "linux")]
                let _ = map.advise(memmap2::Advice::HugePage); // a hint: refused on kernels without them
                return Store::Mapped(map);
            }
        }
        Store::Heap(vec![0.0; len])
    }
}

impl Cache {
    /// The smallest store of `len..=2 * len` elements.
    fn take(&mut self, len: usize) -> Option<Store> {
        let fits = |s: &Store| (len..=2 * len).contains(&s.capacity());
        let (at, _) =
            self.stores.iter().enumerate().filter(|(_, s)| fits(s)).min_by_key(|(_, s)| s.capacity())?;
        let store = self.stores.swap_remove(at);
        self.elements -= store.capacity();
        Some(store)
    }

    /// Drops stores until `len` elements are free or nothing is left, the largest first.
    fn make_room(&mut self, len: usize) {
        let mut freed = 0;
        self.stores.sort_by_key(Store::capacity);
        while freed < len {
            let Some(store) = self.stores.pop() else { break };
            freed += store.capacity();
            self.elements -= store.capacity();
        }
    }
}

impl Buffer {
    pub(crate) fn zeros(len: usize) -> Buffer {
        let mut buffer = Self::any(len, true);
        if buffer.1 {
            buffer.0.as_mut_slice().fill(0.0);
        }
        buffer.0
    }

    /// Contents unspecified: whatever an earlier user left.
    pub(crate) fn unspecified(len: usize) -> Buffer {
        Self::any(len, false).0
    }

    /// The buffer, and whether its contents are somebody's leavings.
    fn any(len: usize, zeroed: bool) -> (Buffer, bool) {
        let mut used = true;
        let store = if len < CACHED_FROM {
            used = false;
            Store::Heap(vec![0.0; len])
        } else {
            let mut cache = lock();
            cache.take(len).unwrap_or_else(|| {
                cache.make_room(len);
                used = false;
                Store::fresh(len)
            })
        };
        (Buffer { store: Some(store), len }, used && zeroed)
    }

    pub(crate) fn as_slice(&self) -> &[f32] {
        match self.store.as_ref() {
            Some(Store::Heap(v)) => &v[..self.len],
            Some(Store::Mapped(m)) => &bytemuck::cast_slice(m)[..self.len],
            None => &[],
        }
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [f32] {
        match self.store.as_mut() {
            Some(Store::Heap(v)) => &mut v[..self.len],
            Some(Store::Mapped(m)) => &mut bytemuck::cast_slice_mut(m)[..self.len],
            None => &mut [],
        }
    }
}

impl From<Vec<f32>> for Buffer {
    fn from(v: Vec<f32>) -> Buffer {
        let len = v.len();
        Buffer { store: Some(Store::Heap(v)), len }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(store) = self.store.take()
            && store.capacity() >= CACHED_FROM
        {
            let mut cache = lock();
            cache.elements += store.capacity();
            cache.stores.push(store);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_zeros_even_when_reused() {
        for len in [0, 1, CACHED_FROM, MAPPED_FROM, MAPPED_FROM + 1] {
            let mut a = Buffer::unspecified(len);
            a.as_mut_slice().fill(3.0);
            drop(a);
            let b = Buffer::zeros(len);
            assert_eq!(b.as_slice().len(), len);
            assert!(b.as_slice().iter().all(|&x| x == 0.0));
        }
    }

    #[test]
    fn a_cache_takes_the_smallest_that_fits_and_makes_room() {
        let heap = |n| Store::Heap(vec![0.0; n]);
        let mut cache = Cache { stores: vec![heap(100), heap(60), heap(300)], elements: 460 };
        assert!(cache.take(10).is_none(), "far too large ones are left for others");
        assert_eq!(cache.take(55).map(|s| s.capacity()), Some(60));
        assert!(cache.take(101).is_none());
        cache.make_room(200);
        assert_eq!(cache.elements, 100);
        cache.make_room(1000);
        assert_eq!(cache.elements, 0);
    }
}
