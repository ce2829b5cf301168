//! Memory for activations, kept from one step to the next.
//!
//! A training step allocates the same few hundred large buffers each time. Giving them back to the system
//! would cost a page fault per 4 KiB on every step, more than many of the operations themselves; so buffers
//! return to a cache here. What is cached adds little to the peak: a request that nothing cached fits first makes
//! room, unless as much was once used as is held now with it, but for a spare 16 MiB, without which the few buffers of
//! an encoder's layer would take turns to be given back.
//!
//! Large buffers are mapped, ask for huge pages, and have more addresses than they need: memory comes with the first
//! touch, so that one grows by the difference when a longer batch comes.
//!
//! Several threads with passes of their own share the cache. Whoever holds its lock only moves entries: asking the system
//! for memory and giving it back, which takes long, is done outside.

use std::sync::Mutex;

use memmap2::{MmapMut, MmapOptions};

use crate::kernels::LINE;

/// Below this many elements the ordinary allocator is as good.
const CACHED_FROM: usize = 16 << 10;
/// From this many elements on, buffers are mapped (2 MiB, a huge page).
const MAPPED_FROM: usize = 512 << 10;
/// Elements that may be cached above what was once used.
const SPARE: usize = 4 << 20;

enum Store {
    /// The elements from `start` on, where a cache line begins.
    Heap { data: Vec<f32>, start: usize },
    Mapped {
        map: MmapMut,
        /// The most elements that anybody had: the rest has addresses, but no memory.
        touched: usize,
    },
}

/// `len` f32 with unspecified (but initialised) contents.
pub(crate) struct Buffer {
    store: Option<Store>,
    len: usize,
}

/// Buffers of at least [`CACHED_FROM`] elements.
struct Cache {
    /// Those that nobody uses, the longest unused first.
    stores: Vec<Store>,
    /// Elements of `stores`, as far as they have memory.
    elements: usize,
    /// Elements of those in use, as far as they have memory.
    used: usize,
    /// The most that was ever used at a time.
    peak: usize,
    /// Elements that may be cached above that.
    spare: usize,
}

static CACHE: Mutex<Cache> = Mutex::new(Cache::new(SPARE));

/// Gives the reserve back to the system.
pub fn release_cached() {
    let mut cache = lock();
    let stores = std::mem::take(&mut cache.stores);
    cache.elements = 0;
    drop(cache);
    drop(stores);
}

fn lock() -> std::sync::MutexGuard<'static, Cache> {
    CACHE.lock().unwrap_or_else(|e| e.into_inner())
}

impl Store {
    /// Elements that have addresses.
    fn capacity(&self) -> usize {
        match self {
            Store::Heap { .. } => self.size(),
            Store::Mapped { map, .. } => map.len() / size_of::<f32>(),
        }
    }

    /// Elements that have memory.
    fn size(&self) -> usize {
        match self {
            Store::Heap { data, start } => data.len() - start,
            Store::Mapped { touched, .. } => *touched,
        }
    }

    /// Somebody will touch the first `len` elements.
    fn touch(&mut self, len: usize) {
        if let Store::Mapped { touched, .. } = self {
            *touched = len.max(*touched);
        }
    }

    /// Fresh zeros. Aborts like any allocation when memory is exhausted.
    fn fresh(len: usize) -> Store {
        if len >= MAPPED_FROM
            && let Ok(map) = map(len + len / 2)
        {
            #[cfg(target_os = "linux")]
            let _ = map.advise(memmap2::Advice::HugePage); // a hint: refused on kernels without them
            return Store::Mapped { map, touched: len };
        }
        Store::aligned(len)
    }

    fn aligned(len: usize) -> Store {
        let mut data = vec![0.0; len + LINE / size_of::<f32>() - 1];
        let start = data.as_ptr().align_offset(LINE).min(data.len() - len);
        data.truncate(start + len);
        Store::Heap { data, start }
    }
}

/// Addresses of `len` elements, without a promise of memory for all of them.
fn map(len: usize) -> std::io::Result<MmapMut> {
    MmapOptions::new().len(len.next_multiple_of(MAPPED_FROM) * size_of::<f32>()).no_reserve_swap().map_anon()
}

impl Cache {
    const fn new(spare: usize) -> Cache {
        Cache { stores: Vec::new(), elements: 0, used: 0, peak: 0, spare }
    }

    /// The smallest store that has memory for `len` elements and no more than twice that, else the largest that can grow
    /// to so many; and what has to go for that.
    fn take(&mut self, len: usize) -> Option<(Store, Vec<Store>)> {
        let fits = |s: &Store| s.capacity() >= len && s.size() <= 2 * len;
        let (at, _) = self
            .stores
            .iter()
            .enumerate()
            .filter(|(_, s)| fits(s))
            .min_by_key(|(_, s)| (s.size() < len, s.size().abs_diff(len)))?;
        let mut store = self.stores.remove(at);
        self.elements -= store.size();
        let grows = len.saturating_sub(store.size());
        let gone = self.make_room(store.size() + grows);
        store.touch(len);
        self.given(store.size());
        Some((store, gone))
    }

    /// Takes out what has not been used for longest until `len` more elements fit below the peak and what is spare, or
    /// nothing is left.
    #[must_use = "dropping it takes long: not under the lock"]
    fn make_room(&mut self, len: usize) -> Vec<Store> {
        let mut drop = 0;
        while drop < self.stores.len() && self.used + self.elements + len > self.peak + self.spare {
            self.elements -= self.stores[drop].size();
            drop += 1;
        }
        self.stores.drain(..drop).collect()
    }

    /// Somebody uses a store of so many elements from now on.
    fn given(&mut self, size: usize) {
        self.used += size;
        self.peak = self.peak.max(self.used);
    }

    /// Nobody does any more.
    fn put(&mut self, store: Store) {
        self.used -= store.size();
        self.elements += store.size();
        self.stores.push(store);
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

    /// Zeros that take memory page by page, as they are written to.
    pub(crate) fn untouched(len: usize) -> Buffer {
        if len >= MAPPED_FROM
            && let Ok(map) = map(len)
        {
            #[cfg(target_os = "linux")]
            let _ = map.advise(memmap2::Advice::NoHugePage); // a hint: such kernels have small pages alone
            let gone = {
                let mut cache = lock();
                let gone = cache.make_room(len);
                cache.given(len);
                gone
            };
            drop(gone);
            return Buffer { store: Some(Store::Mapped { map, touched: len }), len };
        }
        Self::zeros(len)
    }

    /// Contents unspecified: whatever an earlier user left.
    pub(crate) fn unspecified(len: usize) -> Buffer {
        Self::any(len, false).0
    }

    /// The buffer, and whether its contents are somebody's leavings.
    fn any(len: usize, zeroed: bool) -> (Buffer, bool) {
        if len < CACHED_FROM {
            let store = Store::Heap { data: vec![0.0; len], start: 0 };
            return (Buffer { store: Some(store), len }, false);
        }
        let mut cache = lock();
        if let Some((store, gone)) = cache.take(len) {
            drop(cache);
            drop(gone);
            return (Buffer { store: Some(store), len }, zeroed);
        }
        // A fresh store has as many elements as were asked for, whether or not it is mapped.
        let gone = cache.make_room(len);
        cache.given(len);
        drop(cache);
        drop(gone);
        (Buffer { store: Some(Store::fresh(len)), len }, false)
    }

    pub(crate) fn as_slice(&self) -> &[f32] {
        match self.store.as_ref() {
            Some(Store::Heap { data, start }) => &data[*start..][..self.len],
            Some(Store::Mapped { map, .. }) => &bytemuck::cast_slice(map)[..self.len],
            None => &[],
        }
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [f32] {
        match self.store.as_mut() {
            Some(Store::Heap { data, start }) => &mut data[*start..][..self.len],
            Some(Store::Mapped { map, .. }) => &mut bytemuck::cast_slice_mut(map)[..self.len],
            None => &mut [],
        }
    }
}

impl From<Vec<f32>> for Buffer {
    fn from(v: Vec<f32>) -> Buffer {
        let len = v.len();
        let store = Store::Heap { data: v, start: 0 };
        if len >= CACHED_FROM {
            lock().given(store.size());
        }
        Buffer { store: Some(store), len }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(store) = self.store.take()
            && store.size() >= CACHED_FROM
        {
            lock().put(store);
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
    fn a_cache_takes_the_smallest_that_fits_and_makes_room_below_the_peak() {
        let mut cache = Cache::new(0);
        let stores = [100, 60, 300].map(Store::aligned);
        stores.iter().for_each(|store| cache.given(store.size()));
        stores.into_iter().for_each(|store| cache.put(store));
        assert_eq!((cache.elements, cache.used, cache.peak), (460, 0, 460));
        assert!(cache.take(10).is_none(), "far too large ones are left for others");
        let (sixty, gone) = cache.take(55).unwrap();
        assert!(gone.is_empty());
        assert_eq!((sixty.capacity(), cache.elements, cache.used), (60, 400, 60));
        assert!(cache.take(101).is_none());
        assert!(cache.make_room(0).is_empty());
        assert_eq!(cache.elements, 400, "nothing need go");
        assert_eq!(cache.make_room(90).len(), 1);
        assert_eq!(cache.elements, 300, "the one unused for longest goes, and it is enough");
        cache.put(sixty);
        assert_eq!(cache.make_room(1000).len(), 2);
        assert_eq!((cache.elements, cache.stores.len()), (0, 0));
    }

    #[test]
    fn what_is_spare_is_cached_above_the_peak() {
        let mut cache = Cache::new(50);
        cache.given(100);
        cache.put(Store::aligned(100));
        // One more of another size at a time: the peak is what was used, not what is cached.
        for kept in [true, true, false] {
            let gone = cache.make_room(25);
            assert_eq!(gone.is_empty(), kept);
            cache.given(25);
            cache.put(Store::aligned(25));
            assert_eq!(cache.peak, 100);
        }
        assert_eq!((cache.elements, cache.used), (75, 0));
    }

    #[test]
    fn mapped_ones_grow_by_what_is_missing() {
        let mut cache = Cache::new(0);
        let (small, large) = (MAPPED_FROM, 4 * MAPPED_FROM);
        let stores = [small, large].map(Store::fresh);
        for (store, len) in stores.iter().zip([small, large]) {
            assert!(matches!(store, Store::Mapped { .. }) && store.capacity() >= len + len / 2);
            cache.given(store.size());
        }
        stores.into_iter().for_each(|store| cache.put(store));
        let (grown, gone) = cache.take(small + 1000).unwrap();
        assert_eq!(gone.len(), 1);
        assert_eq!(grown.size(), small + 1000, "the small one has addresses left");
        assert_eq!(
            (cache.elements, cache.used),
            (0, small + 1000),
            "what was not used made room for the rest"
        );
        assert_eq!(cache.peak, small + large);
        cache.put(grown);
        assert!(cache.take(3 * small).is_none());
        assert_eq!(cache.take(small).unwrap().0.size(), small + 1000);
    }
}
