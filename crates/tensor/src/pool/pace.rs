//! How many threads are worth having while somebody else wants the processors too.
//!
//! A thread that loses its processor within a piece holds up the operation for a time slice, thirty operations long. So
//! what the caller loses is measured: waiting for workers that were displaced, and being displaced itself. Where that
//! is more than a share of the time, a thread sits out; later it is tried again, less and less often as long as it
//! does not pay.

use std::time::{Duration, Instant};

/// What is looked at together: long enough that one stray time slice does not count.
const WINDOW: Duration = Duration::from_millis(40);
/// The same where things have been bad lately.
const DOUBT: Duration = Duration::from_millis(10);
/// The share of a window that may be lost.
const SHARE: u32 = 8;
/// How long a thread sits out at first, and at most.
const PAUSE: Duration = Duration::from_millis(60);
const LONGEST: Duration = Duration::from_secs(1);
/// Good windows after which what was is forgotten.
const FORGET: u32 = 5;
/// A displaced thread comes back after about so much, a few time slices.
const SLICES: Duration = Duration::from_millis(12);
/// The clock is looked at about this often.
const TICK: Duration = Duration::from_millis(1);

/// The number of threads that work, and why.
pub(super) struct Pace {
    active: usize,
    most: usize,
    window: Window,
    /// Jobs until the clock is looked at, of how many.
    jobs: (u32, u32),
    looked: Instant,
    pause: Duration,
    again: Instant,
    good: u32,
}

/// What is being measured.
struct Window {
    start: Instant,
    /// Processor time and displacements of the caller's thread at the start.
    caller: Option<(Duration, u64)>,
    /// Waited for displaced workers.
    late: Duration,
}

impl Window {
    fn begin(now: Instant) -> Self {
        Window { start: now, caller: processor_time().zip(switches()), late: Duration::ZERO }
    }

    /// Time that the caller's own thread was displaced.
    fn displaced(&self, now: Instant) -> Duration {
        let Some(((time, switched), (time_now, switched_now))) =
            self.caller.zip(processor_time().zip(switches()))
        else {
            return Duration::ZERO;
        };
        // Where it sleeps by its own will, there are few displacements or none.
        let most =
            SLICES * u32::try_from(switched_now.saturating_sub(switched)).unwrap_or(u32::MAX).min(1000);
        (now - self.start).saturating_sub(time_now.saturating_sub(time)).min(most)
    }
}

impl Pace {
    /// Up to `most` threads.
    pub(super) fn new(most: usize) -> Self {
        let now = Instant::now();
        Pace {
            active: most,
            most,
            window: Window::begin(now),
            jobs: (0, 1),
            looked: now,
            pause: PAUSE,
            again: now,
            good: 0,
        }
    }

    /// How many threads the next job is for, the caller's included.
    pub(super) fn threads(&self) -> usize {
        self.active
    }

    /// A job is done; the caller has waited `late` for displaced workers.
    pub(super) fn worked(&mut self, late: Duration) {
        if late > Duration::ZERO {
            self.window.late += late;
            self.jobs.0 = 0;
        }
        if let Some(now) = self.time() {
            self.judge(now);
        }
    }

    /// A job is done by the caller alone.
    pub(super) fn worked_alone(&mut self) {
        if let Some(now) = self.time()
            && now >= self.again
            && self.most > 1
        {
            self.active += 1;
            self.window = Window::begin(now);
        }
    }

    /// The time, now and then.
    fn time(&mut self) -> Option<Instant> {
        if self.jobs.0 > 0 {
            self.jobs.0 -= 1;
            return None;
        }
        let now = Instant::now();
        // As many jobs as fit into a tick, as it looks.
        let every = match now - self.looked {
            short if short < TICK / 2 => (self.jobs.1 * 2).min(256),
            long if long > 2 * TICK => (self.jobs.1 / 2).max(1),
            _ => self.jobs.1,
        };
        self.looked = now;
        self.jobs = (every - 1, every);
        Some(now)
    }

    fn judge(&mut self, now: Instant) {
        let length = if self.good < FORGET && self.pause > PAUSE { DOUBT } else { WINDOW };
        let passed = now - self.window.start;
        let over = passed >= length;
        let lost = self.window.late + if over { self.window.displaced(now) } else { Duration::ZERO };
        // Before a window is over, what would be too much for all of it is too much.
        if lost * SHARE > passed.max(length) {
            self.active = (self.active - 1).max(1);
            self.again = now + self.pause;
            self.pause = (2 * self.pause).min(LONGEST);
            self.good = 0;
        } else if over {
            self.good += 1;
            if self.active < self.most && now >= self.again {
                self.active += 1;
            } else if self.good >= FORGET && self.active == self.most {
                self.pause = PAUSE;
            }
        } else {
            return;
        }
        self.window = Window::begin(now);
    }
}

/// How often this thread has been displaced by another, where the system says so.
#[cfg(target_os = "linux")]
pub(super) fn switches() -> Option<u64> {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: the structure is the one that the call fills.
    let failed = unsafe { libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr()) } != 0;
    // SAFETY: it was filled.
    (!failed).then(|| unsafe { usage.assume_init() }.ru_nivcsw as u64)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn switches() -> Option<u64> {
    None
}

/// Time that this thread has had a processor.
#[cfg(target_os = "linux")]
fn processor_time() -> Option<Duration> {
    let mut time = std::mem::MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: the structure is the one that the call fills.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, time.as_mut_ptr()) } != 0;
    // SAFETY: it was filled.
    let time = (!failed).then(|| unsafe { time.assume_init() })?;
    Some(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}

#[cfg(not(target_os = "linux"))]
fn processor_time() -> Option<Duration> {
    None
}
