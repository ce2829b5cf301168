//! A pool of threads for short work: a decoder step is a hundred operations of ten microseconds each.
//!
//! Workers spin for a moment after each piece of work, so that handing over the next one costs a cache line
//! or two, and sleep after that. The caller is worker 0. Work is split statically; the pool never nests.

use std::any::Any;
use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

/// How long a worker spins before it sleeps: longer than the gap between two operations of a decoder step,
/// shorter than anything a person or a battery would notice.
const SPIN: Duration = Duration::from_micros(300);

/// Turns of a spinning loop after which it lets others run between turns: some tens of microseconds. On an idle
/// machine that costs nothing; on a busy one it is what lets the other thread arrive.
const POLITE: u32 = 1000;

type Job = *const (dyn Fn(usize) + Sync);

/// Threads that run the same function side by side.
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<(Thread, Option<JoinHandle<()>>)>,
    /// One caller at a time; also the guard of `job`.
    turn: Mutex<()>,
}

#[repr(align(128))]
struct Padded<T>(T);

struct Shared {
    /// Counts jobs; a worker that sees it move takes the job.
    generation: Padded<AtomicUsize>,
    /// Workers still busy with the current job.
    busy: Padded<AtomicUsize>,
    asleep: Vec<Padded<AtomicBool>>,
    job: UnsafeCell<Option<Job>>,
    stop: AtomicBool,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

// SAFETY: `job` is written only by the caller that holds `turn` while no worker is busy, and read by workers
// only after they have seen `generation` move (release/acquire).
unsafe impl Sync for Shared {}
// SAFETY: the raw pointer in `job` is to a `Sync` function that outlives the job (see `Pool::run`).
unsafe impl Send for Shared {}

impl Pool {
    /// A pool of `threads` threads (at least one), the caller's included.
    pub fn new(threads: usize) -> Self {
        let others = threads.max(1) - 1;
        let shared = Arc::new(Shared {
            generation: Padded(AtomicUsize::new(0)),
            busy: Padded(AtomicUsize::new(0)),
            asleep: (0..others).map(|_| Padded(AtomicBool::new(false))).collect(),
            job: UnsafeCell::new(None),
            stop: AtomicBool::new(false),
            panic: Mutex::new(None),
        });
        let workers = (0..others)
            .map(|i| {
                let shared = shared.clone();
                let handle = std::thread::Builder::new()
                    .name(format!("t5kit-{}", i + 1))
                    .spawn(move || work(&shared, i))
                    .expect("the system refuses another thread");
                (handle.thread().clone(), Some(handle))
            })
            .collect();
        Pool { shared, workers, turn: Mutex::new(()) }
    }

    /// One thread for each processor that the system lets this process use.
    pub fn default_threads() -> usize {
        std::thread::available_parallelism().map_or(1, |n| n.get())
    }

    /// Number of threads, the caller's included.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs `f(0)` … `f(threads - 1)`, each on its own thread, and waits for all of them.
    ///
    /// A panic in any of them is raised again here. Must not be called from within `f`.
    pub fn run(&self, f: &(dyn Fn(usize) + Sync)) {
        if self.workers.is_empty() {
            return f(0);
        }
        let guard = self.turn.lock().unwrap_or_else(|e| e.into_inner());
        let shared = &*self.shared;
        // SAFETY: only the lifetime is erased; `run` returns after every worker has finished with `f`.
        let job: Job = unsafe { std::mem::transmute::<*const (dyn Fn(usize) + Sync + '_), Job>(f) };
        // SAFETY: we hold `turn` and no worker is busy (the previous `run` waited).
        unsafe { *shared.job.get() = Some(job) };
        shared.busy.0.store(self.workers.len(), Ordering::Relaxed);
        // SeqCst pairs with the worker's store to `asleep` and its second look at `generation`: either we
        // see it asleep and wake it, or it sees the new generation.
        shared.generation.0.fetch_add(1, Ordering::SeqCst);
        for (i, (thread, _)) in self.workers.iter().enumerate() {
            if shared.asleep[i].0.load(Ordering::SeqCst) {
                thread.unpark();
            }
        }
        let own = catch_unwind(AssertUnwindSafe(|| f(0)));
        let mut spins = 0u32;
        while shared.busy.0.load(Ordering::Acquire) != 0 {
            spins = spins.saturating_add(1);
            if spins > POLITE {
                std::thread::yield_now(); // another process may have our worker's processor
            } else {
                std::hint::spin_loop();
            }
        }
        drop(guard);
        let theirs = shared.panic.lock().unwrap_or_else(|e| e.into_inner()).take();
        if let Err(panic) = own {
            resume_unwind(panic);
        }
        if let Some(panic) = theirs {
            resume_unwind(panic);
        }
    }

    /// Gives part `i` to thread `i`; there may be fewer parts than threads, not more.
    pub fn run_parts<P: Send>(&self, parts: Vec<P>, f: impl Fn(P) + Sync) {
        assert!(parts.len() <= self.threads(), "{} parts for {} threads", parts.len(), self.threads());
        if parts.len() <= 1 {
            return parts.into_iter().for_each(f);
        }
        let parts: Vec<Mutex<Option<P>>> = parts.into_iter().map(|p| Mutex::new(Some(p))).collect();
        self.run(&|i| {
            if let Some(part) = parts.get(i).and_then(|p| p.lock().unwrap_or_else(|e| e.into_inner()).take())
            {
                f(part);
            }
        });
    }

    /// Cuts `0..len` into one range a thread, each a multiple of `grain` but the last, and runs `f` on them.
    pub fn run_ranges(&self, len: usize, grain: usize, f: impl Fn(std::ops::Range<usize>) + Sync) {
        self.run_parts(self.ranges(len, grain), f);
    }

    /// The ranges that [`Pool::run_ranges`] uses: at most one a thread, none empty.
    pub fn ranges(&self, len: usize, grain: usize) -> Vec<std::ops::Range<usize>> {
        let grains = len.div_ceil(grain.max(1));
        let parts = self.threads().min(grains);
        (0..parts)
            .map(|i| (grains * i / parts * grain).min(len)..(grains * (i + 1) / parts * grain).min(len))
            .collect()
    }

    /// Runs `f(item)` for every item below `len`, items handed out one by one as threads become free. For
    /// items of uneven cost whose results do not depend on who computes them.
    pub fn run_items(&self, len: usize, f: impl Fn(usize) + Sync) {
        if len <= 1 || self.workers.is_empty() {
            return (0..len).for_each(f);
        }
        let next = AtomicUsize::new(0);
        self.run(&|_| {
            loop {
                let item = next.fetch_add(1, Ordering::Relaxed);
                if item >= len {
                    break;
                }
                f(item);
            }
        });
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.generation.0.fetch_add(1, Ordering::SeqCst);
        for (thread, handle) in &mut self.workers {
            thread.unpark();
            if let Some(handle) = handle.take() {
                let _ = handle.join(); // a worker catches every panic of its job
            }
        }
    }
}

fn work(shared: &Shared, me: usize) {
    let mut seen = 0;
    loop {
        wait(shared, me, seen);
        seen = shared.generation.0.load(Ordering::Acquire);
        if shared.stop.load(Ordering::SeqCst) {
            return;
        }
        // SAFETY: the generation moved, so the caller has published a job, and it waits for `busy`.
        let job = unsafe { (*shared.job.get()).expect("a job was published") };
        // SAFETY: the function outlives the job: `run` does not return before `busy` is zero.
        let result = catch_unwind(AssertUnwindSafe(|| unsafe { (*job)(me + 1) }));
        if let Err(panic) = result {
            *shared.panic.lock().unwrap_or_else(|e| e.into_inner()) = Some(panic);
        }
        shared.busy.0.fetch_sub(1, Ordering::Release);
    }
}

/// Returns when the generation is no longer `seen`: spinning at first, then asleep.
fn wait(shared: &Shared, me: usize, seen: usize) {
    let moved = || shared.generation.0.load(Ordering::SeqCst) != seen;
    let start = Instant::now();
    let mut turns = 0;
    while start.elapsed() < SPIN {
        for _ in 0..64 {
            if moved() {
                return;
            }
            std::hint::spin_loop();
        }
        turns += 64;
        if turns > POLITE {
            std::thread::yield_now();
        }
    }
    shared.asleep[me].0.store(true, Ordering::SeqCst);
    while !moved() {
        std::thread::park();
    }
    shared.asleep[me].0.store(false, Ordering::SeqCst);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_thread_runs_once_a_job() {
        for threads in [1, 2, 3, 5] {
            let pool = Pool::new(threads);
            let counts: Vec<AtomicUsize> = (0..threads).map(|_| AtomicUsize::new(0)).collect();
            for round in 0..2000 {
                pool.run(&|i| {
                    counts[i].fetch_add(1, Ordering::Relaxed);
                });
                if round == 1000 {
                    std::thread::sleep(SPIN * 4); // let the workers fall asleep
                }
            }
            for c in &counts {
                assert_eq!(c.load(Ordering::Relaxed), 2000);
            }
        }
    }

    #[test]
    fn ranges_cover_everything_once() {
        let pool = Pool::new(3);
        for len in [0, 1, 2, 3, 7, 64, 65, 1000] {
            for grain in [1, 4, 64] {
                let ranges = pool.ranges(len, grain);
                let mut at = 0;
                for r in &ranges {
                    assert_eq!(r.start, at);
                    assert!(!r.is_empty());
                    at = r.end;
                }
                assert_eq!(at, len);
                let hit = AtomicUsize::new(0);
                pool.run_items(len, |_| {
                    hit.fetch_add(1, Ordering::Relaxed);
                });
                assert_eq!(hit.into_inner(), len);
            }
        }
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_lives_on() {
        let pool = Pool::new(2);
        for who in 0..2 {
            let caught = catch_unwind(AssertUnwindSafe(|| pool.run(&|i| assert_ne!(i, who, "stop here"))));
            assert!(caught.is_err());
            pool.run(&|_| {});
        }
    }

    #[test]
    fn callers_on_several_threads_take_turns() {
        let pool = Pool::new(2);
        let total = AtomicUsize::new(0);
        std::thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    for _ in 0..500 {
                        pool.run(&|_| {
                            total.fetch_add(1, Ordering::Relaxed);
                        });
                    }
                });
            }
        });
        assert_eq!(total.into_inner(), 4 * 500 * 2);
    }
}
