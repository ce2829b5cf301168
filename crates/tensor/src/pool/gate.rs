//! How a job is handed to workers that may or may not come.
//!
//! The caller opens the gate for a job, works on pieces itself until none is left to claim, shuts the gate, and waits
//! for those workers alone that are inside. A worker enters before it looks at the job and leaves when it finds nothing
//! to claim; one that comes when the gate is shut has missed the job, and nobody has missed it. Number of the job, gate
//! and those inside are one atomic word, so that no worker can slip in between.
//!
//! Workers spin for a moment after each job, so that handing over the next one costs a cache line or two, and sleep
//! after that.

use std::any::Any;
use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::pace::switches;

/// How long a worker spins before it sleeps: longer than the gap between two operations of a decoder step,
/// shorter than anything a person or a battery would notice.
const SPIN: Duration = Duration::from_micros(300);

/// Turns of a spinning loop after which it lets others run between turns: some tens of microseconds. On an idle
/// machine that costs nothing; on a busy one it is what lets the other thread arrive.
const POLITE: u32 = 1000;

/// Turns after which those inside are late.
const LATE: u32 = 400;

/// The word: workers inside (16 bits), whether the gate is shut, how many workers the job is for (15 bits), the job's
/// number (32 bits).
const INSIDE: u64 = (1 << 16) - 1;
const SHUT: u64 = 1 << 16;
const INVITED: u32 = 17;
const NUMBER: u32 = 32;

/// A claim's word: how many pieces of a share are claimed (24 bits) in the job of this number (40 bits).
const CLAIMED: u64 = (1 << 24) - 1;

/// What workers do: `f` on every piece.
#[derive(Clone, Copy)]
struct Job {
    f: *const (dyn Fn(usize) + Sync),
    pieces: usize,
    number: u64,
}

#[repr(align(128))]
struct Padded<T>(T);

pub(super) struct Gate {
    word: Padded<AtomicU64>,
    job: UnsafeCell<Job>,
    /// By share: a thread's own pieces.
    claims: Vec<Padded<AtomicU64>>,
    /// By worker.
    asleep: Vec<Padded<AtomicBool>>,
    /// The caller has waited for long: whoever leaves may say why.
    late: AtomicBool,
    /// Somebody who was waited for had lost the processor.
    displaced: AtomicBool,
    stop: AtomicBool,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

// SAFETY: `job` is written only by the caller whose turn it is, while the gate is shut and nobody is inside, and read
// only by workers inside, whose entering follows the opening (acquire/release on `word`).
unsafe impl Sync for Gate {}
// SAFETY: the pointer in `job` is to a `Sync` function that outlives the job (see `Gate::run`).
unsafe impl Send for Gate {}

/// What became of a job.
pub(super) struct Done {
    /// How long the caller waited for workers that had lost their processors.
    pub(super) late: Duration,
    /// What a piece panicked with.
    pub(super) panic: Option<Box<dyn Any + Send>>,
}

impl Gate {
    pub(super) fn new(threads: usize) -> Self {
        assert!(threads < 1 << 15, "{threads} threads");
        Gate {
            word: Padded(AtomicU64::new(SHUT)),
            job: UnsafeCell::new(Job { f: &|_| {}, pieces: 0, number: 0 }),
            claims: (0..threads).map(|_| Padded(AtomicU64::new(0))).collect(),
            asleep: (0..threads).map(|_| Padded(AtomicBool::new(false))).collect(),
            late: AtomicBool::new(false),
            displaced: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            panic: Mutex::new(None),
        }
    }

    /// Runs `f` once on every piece, together with as many of these workers, the first ones, as come in time. The
    /// caller must be the only one.
    pub(super) fn run(&self, workers: &[JoinHandle<()>], pieces: usize, f: &(dyn Fn(usize) + Sync)) -> Done {
        assert!(pieces as u64 <= CLAIMED, "{pieces} pieces of work");
        // SAFETY: only the lifetime is erased; `run` returns when nobody is inside and the gate is shut.
        let f: *const (dyn Fn(usize) + Sync) =
            unsafe { std::mem::transmute::<*const (dyn Fn(usize) + Sync + '_), _>(f) };
        // SAFETY: the gate is shut and nobody is inside: the previous `run` waited.
        let job = unsafe { &mut *self.job.get() };
        *job = Job { f, pieces, number: job.number + 1 };
        let job = *job;
        // SeqCst pairs with the worker's store to `asleep` and its second look at `word`: either we see it asleep and
        // wake it, or it sees the open gate.
        self.word.0.store(job.number << NUMBER | (workers.len() as u64) << INVITED, Ordering::SeqCst);
        for (worker, asleep) in workers.iter().zip(&self.asleep[1..]) {
            if asleep.0.load(Ordering::SeqCst) {
                worker.thread().unpark();
            }
        }
        let own = catch_unwind(AssertUnwindSafe(|| self.claim_all(job, 0)));
        let inside = self.word.0.fetch_or(SHUT, Ordering::AcqRel) & INSIDE;
        let late = if inside > 0 { self.wait_for_those_inside() } else { Duration::ZERO };
        let theirs = self.panic.lock().unwrap_or_else(|e| e.into_inner()).take();
        Done { late, panic: own.err().or(theirs) }
    }

    fn wait_for_those_inside(&self) -> Duration {
        let somebody = || self.word.0.load(Ordering::Acquire) & INSIDE != 0;
        let mut turns = 0u32;
        while turns < LATE {
            if !somebody() {
                return Duration::ZERO;
            }
            std::hint::spin_loop();
            turns += 1;
        }
        let start = Instant::now();
        self.late.store(true, Ordering::Relaxed);
        while somebody() {
            if turns > POLITE {
                std::thread::yield_now(); // another process may have our worker's processor
            } else {
                std::hint::spin_loop();
                turns += 1;
            }
        }
        self.late.store(false, Ordering::Relaxed);
        // Written before leaving, which we have seen.
        if self.displaced.swap(false, Ordering::Relaxed) { start.elapsed() } else { Duration::ZERO }
    }

    /// Claims pieces and runs them until there are none: those of the own share first, then what others have left.
    fn claim_all(&self, job: Job, me: usize) {
        // SAFETY: the function outlives the job, within which the caller of this is.
        let f = unsafe { &*job.f };
        let shares = self.claims.len();
        let first = |share: usize| job.pieces * share / shares;
        for share in (me..shares).chain(0..me) {
            let (from, end) = (first(share), first(share + 1));
            while let Some(at) = self.claim(share, job.number, end - from) {
                f(from + at);
            }
        }
    }

    /// The next of `pieces` pieces of a share.
    fn claim(&self, share: usize, number: u64, pieces: usize) -> Option<usize> {
        let (word, job) = (&self.claims[share].0, number << CLAIMED.count_ones());
        let mut now = word.load(Ordering::Relaxed);
        loop {
            // What an earlier job has left behind means none.
            let claimed = if now & !CLAIMED == job { now & CLAIMED } else { 0 };
            if claimed as usize >= pieces {
                return None;
            }
            match word.compare_exchange_weak(now, job | (claimed + 1), Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Some(claimed as usize),
                Err(other) => now = other,
            }
        }
    }

    /// A worker's life.
    pub(super) fn work(&self, me: usize) {
        let mut seen = 0;
        let mut switched = switches();
        loop {
            seen = self.wait(me, seen);
            if self.stop.load(Ordering::SeqCst) {
                return;
            }
            let Some(job) = self.enter(me, seen) else { continue };
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.claim_all(job, me))) {
                *self.panic.lock().unwrap_or_else(|e| e.into_inner()) = Some(panic);
            }
            if self.late.load(Ordering::Relaxed) {
                let before = std::mem::replace(&mut switched, switches());
                if switched.is_none() || switched != before {
                    self.displaced.store(true, Ordering::Relaxed);
                }
            }
            self.word.0.fetch_sub(1, Ordering::Release);
        }
    }

    /// Enters for the job of that number, if its gate is still open.
    fn enter(&self, me: usize, number: u64) -> Option<Job> {
        let mut word = self.word.0.load(Ordering::Relaxed);
        loop {
            if word >> NUMBER != number || word & SHUT != 0 || !invited(word, me) {
                return None;
            }
            match self.word.0.compare_exchange_weak(word, word + 1, Ordering::Acquire, Ordering::Relaxed) {
                // SAFETY: we are inside, so that the caller neither returns nor writes; it wrote before it opened.
                Ok(_) => return Some(unsafe { *self.job.get() }),
                Err(other) => word = other,
            }
        }
    }

    /// Returns the number of a job that this worker is invited to, other than `seen`: spinning at first, then asleep.
    fn wait(&self, me: usize, seen: u64) -> u64 {
        let next = || {
            let word = self.word.0.load(Ordering::SeqCst);
            (word >> NUMBER != seen && invited(word, me)).then_some(word >> NUMBER)
        };
        let start = Instant::now();
        let mut turns = 0;
        while start.elapsed() < SPIN {
            for _ in 0..64 {
                if let Some(number) = next() {
                    return number;
                }
                std::hint::spin_loop();
            }
            turns += 64;
            if turns > POLITE {
                std::thread::yield_now();
            }
        }
        self.asleep[me].0.store(true, Ordering::SeqCst);
        let number = loop {
            match next() {
                Some(number) => break number,
                None if self.stop.load(Ordering::SeqCst) => break seen,
                None => std::thread::park(),
            }
        };
        self.asleep[me].0.store(false, Ordering::SeqCst);
        number
    }

    /// Sends all workers home. Nobody may be inside.
    pub(super) fn stop(&self, workers: &[JoinHandle<()>]) {
        self.stop.store(true, Ordering::SeqCst);
        // SAFETY: `run` has returned: the gate is shut and nobody is inside.
        let number = unsafe { (*self.job.get()).number } + 1;
        let all = (workers.len() as u64) << INVITED;
        self.word.0.store(number << NUMBER | SHUT | all, Ordering::SeqCst);
        workers.iter().for_each(|worker| worker.thread().unpark());
    }
}

/// Whether worker `me`, counted from 1, is among those a job is for.
fn invited(word: u64, me: usize) -> bool {
    me as u64 <= (word >> INVITED) & ((1 << 15) - 1)
}
