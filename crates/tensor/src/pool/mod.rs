//! A pool of threads for short work: a decoder step is a hundred operations of ten microseconds each.
//!
//! Work comes in pieces that are claimed one by one, so that a thread that comes late finds less left and nobody waits
//! for it ([`gate`]). The caller is worker 0. A thread begins with a share of its own, the same from one operation to
//! the next, which its caches may still hold, and goes on with what others have left. What the pieces are depends on
//! the length of the work and the number of threads alone; who does one never shows in the result.
//!
//! While somebody else has a processor, the pool goes on with fewer threads ([`pace`]). It never nests.

mod gate;
mod pace;

use std::cell::UnsafeCell;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use gate::Gate;
use pace::Pace;

/// Pieces for each thread, where cutting costs nothing: a thread that is late by half its share is made up for.
const PIECES: usize = 4;

/// Threads that work on the pieces of one job after another.
pub struct Pool {
    gate: Arc<Gate>,
    workers: Vec<JoinHandle<()>>,
    /// One caller at a time.
    turn: Mutex<Pace>,
}

impl Pool {
    /// A pool of `threads` threads (at least one), the caller's included. One of a single thread costs nothing.
    pub fn new(threads: usize) -> Self {
        let threads = threads.max(1);
        let gate = Arc::new(Gate::new(threads));
        let workers: Vec<JoinHandle<()>> = (1..threads)
            .map(|me| {
                let gate = gate.clone();
                let thread = std::thread::Builder::new().name(format!("t5kit-{me}"));
                thread.spawn(move || gate.work(me)).expect("the system refuses another thread")
            })
            .collect();
        // More threads than processors would only take turns.
        let useful = threads.min(Self::default_threads());
        Pool { gate, workers, turn: Mutex::new(Pace::new(useful)) }
    }

    /// One thread for each processor that the system lets this process use.
    pub fn default_threads() -> usize {
        std::thread::available_parallelism().map_or(1, |n| n.get())
    }

    /// Number of threads, the caller's included.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs `f(item)` once for every item below `len`, items claimed one by one, and waits for all of them.
    ///
    /// A panic in any of them is raised again here; the others may then not have run. Must not be called from within
    /// `f`.
    pub fn run_items(&self, len: usize, f: impl Fn(usize) + Sync) {
        if len <= 1 || self.workers.is_empty() {
            return (0..len).for_each(f);
        }
        let mut pace = self.turn.lock().unwrap_or_else(|e| e.into_inner());
        let active = pace.threads();
        if active == 1 {
            (0..len).for_each(f);
            return pace.worked_alone();
        }
        let wait = self.gate.run(&self.workers[..active - 1], len, &f);
        pace.worked(wait.late);
        drop(pace);
        if let Some(panic) = wait.panic {
            std::panic::resume_unwind(panic);
        }
    }

    /// Runs `f` once on each part, as [`Pool::run_items`] does.
    pub(crate) fn run_parts<P: Send>(&self, parts: Vec<P>, f: impl Fn(P) + Sync) {
        if parts.len() <= 1 || self.workers.is_empty() {
            return parts.into_iter().for_each(f);
        }
        let parts: Vec<Part<P>> = parts.into_iter().map(|part| Part(UnsafeCell::new(Some(part)))).collect();
        self.run_items(parts.len(), |i| {
            // SAFETY: `run_items` hands out every item once, so nobody else looks at this one.
            if let Some(part) = unsafe { parts[i].take() } {
                f(part);
            }
        });
    }

    /// Cuts `0..len` into ranges of about one length, none empty: as many for each thread, some if they are as long as
    /// `least` then. Cuts fall on multiples of `grain`.
    pub(crate) fn ranges(&self, len: usize, grain: usize, least: usize) -> Vec<Range<usize>> {
        let threads = self.threads();
        let each = if threads == 1 { 1 } else { (len / (threads * least.max(1))).clamp(1, PIECES) };
        cut(len, grain, each * threads)
    }

    /// The same with one range a thread at most, where every range costs something or sums are made of them.
    pub(crate) fn shares(&self, len: usize, grain: usize) -> Vec<Range<usize>> {
        cut(len, grain, self.threads())
    }
}

/// At most `parts` ranges of `0..len`, none empty, with cuts on multiples of `grain`.
fn cut(len: usize, grain: usize, parts: usize) -> Vec<Range<usize>> {
    let grains = len.div_ceil(grain.max(1));
    let parts = parts.min(grains);
    (0..parts)
        .map(|i| (grains * i / parts * grain).min(len)..(grains * (i + 1) / parts * grain).min(len))
        .collect()
}

/// A part that whoever claims it takes.
struct Part<P>(UnsafeCell<Option<P>>);

// SAFETY: a part is taken by one thread alone (see `take`), which may be another than the one that made it.
unsafe impl<P: Send> Sync for Part<P> {}

impl<P> Part<P> {
    /// # Safety
    /// Nobody else calls this at the same time.
    unsafe fn take(&self) -> Option<P> {
        // SAFETY: the caller's promise.
        unsafe { (*self.0.get()).take() }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.gate.stop(&self.workers);
        for worker in self.workers.drain(..) {
            let _ = worker.join(); // a worker catches every panic of its pieces
        }
    }
}

#[cfg(test)]
mod tests;
