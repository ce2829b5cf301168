//! Work that each thread does by itself, without handing anything over to another meanwhile.
//!
//! Where an operation is shared, a thread that loses its processor holds up all the others for a time slice, thirty
//! operations long. Threads that share nothing wait for nobody.

use std::ops::{ControlFlow, Range};
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};

/// Numbers `0..len` that threads take as they need them: first an equal share each, then what they have room for, and
/// towards the end ever less, so that all of them end at about the same time.
pub(crate) struct Claims {
    len: usize,
    workers: usize,
    /// What a worker has at first: every `workers`-th, so that long and short ones are spread evenly.
    share: usize,
    next: AtomicUsize,
    /// Whether a worker has found nothing left to do.
    over: AtomicBool,
}

impl Claims {
    /// `most`: what a worker can have at a time.
    pub fn new(len: usize, workers: usize, most: usize) -> Self {
        let share = most.min(len / workers);
        let (next, over) = (AtomicUsize::new(share * workers), AtomicBool::new(false));
        Claims { len, workers, share, next, over }
    }

    /// What a worker begins with.
    pub fn first(&self, worker: usize) -> impl Iterator<Item = usize> + use<> {
        let workers = self.workers;
        (0..self.share).map(move |i| i * workers + worker)
    }

    /// At most `room` more.
    pub fn more(&self, room: usize) -> Range<usize> {
        let take = |next: usize| room.min((self.len - next).div_ceil(self.workers));
        let claimed = self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| {
            (take(next) > 0).then(|| next + take(next))
        });
        claimed.map_or(self.len..self.len, |from| from..from + take(from))
    }

    /// A worker has nothing left to do.
    pub fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// Whether [`Self::end`] was called.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

/// A worker's line to the thread that waits for results.
pub(crate) struct Line<'a, T> {
    sender: Sender<T>,
    stop: &'a AtomicBool,
}

impl<T> Line<'_, T> {
    /// Tells of a result; `Break` where nobody wants any more.
    pub fn tell(&self, result: T) -> ControlFlow<()> {
        match self.sender.send(result) {
            Ok(()) if !self.stop.load(Ordering::Relaxed) => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        }
    }

    /// Whether nobody wants any more.
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl<T> Drop for Line<'_, T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.stop.store(true, Ordering::Relaxed); // the others need not go on
        }
    }
}

/// Runs `work` on so many threads. `each` hears, on this thread, what they tell, and may stop them; what they return,
/// or `Break` where they were stopped. A panic of theirs is raised again here.
pub(crate) fn side_by_side<T: Send, R: Send>(
    workers: usize,
    work: impl Fn(usize, Line<'_, T>) -> R + Sync,
    each: &mut dyn FnMut(T) -> ControlFlow<()>,
) -> ControlFlow<(), Vec<R>> {
    let stop = AtomicBool::new(false);
    let (sender, receiver) = channel();
    let (work, stop) = (&work, &stop);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers)
            .map(|worker| {
                let line = Line { sender: sender.clone(), stop };
                std::thread::Builder::new()
                    .name(format!("t5kit-apart-{worker}"))
                    .spawn_scoped(scope, move || work(worker, line))
                    .expect("the system refuses another thread")
            })
            .collect();
        drop(sender);
        let stopped = receiver.iter().any(|result| each(result).is_break());
        stop.fetch_or(stopped, Ordering::Relaxed);
        drop(receiver);
        let ended: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
        let ended = ended.into_iter().map(|end| end.unwrap_or_else(|panic| resume_unwind(panic))).collect();
        if stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(ended) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Every number is somebody's once, whoever asks for how many in which order.
        #[test]
        fn every_number_is_claimed_once(
            len in 0usize..200, workers in 1usize..5, most in 1usize..40,
            asks in proptest::collection::vec(1usize..20, 0..60),
        ) {
            let claims = Claims::new(len, workers, most);
            let mut seen: Vec<usize> = (0..workers).flat_map(|worker| claims.first(worker)).collect();
            prop_assert!(seen.len() <= most * workers);
            for room in asks {
                let got = claims.more(room);
                prop_assert!(got.len() <= room);
                seen.extend(got);
            }
            loop {
                let rest = claims.more(7);
                if rest.is_empty() {
                    break;
                }
                seen.extend(rest);
            }
            seen.sort_unstable();
            prop_assert!(seen.into_iter().eq(0..len));
        }
    }

    #[test]
    fn results_are_heard_here_and_work_stops_when_it_is_not_wanted() {
        let here = std::thread::current().id();
        let mut heard = 0;
        let mut each = |x: usize| {
            assert_eq!(std::thread::current().id(), here);
            heard += x;
            ControlFlow::Continue(())
        };
        let work = |worker: usize, line: Line<'_, usize>| {
            (0..10).for_each(|i| assert!(line.tell(i).is_continue()));
            worker
        };
        assert_eq!(side_by_side(3, work, &mut each), ControlFlow::Continue(vec![0, 1, 2]));
        assert_eq!(heard, 135);
        let endless = |_: usize, line: Line<'_, ()>| while line.tell(()).is_continue() {};
        assert!(side_by_side(2, endless, &mut |()| ControlFlow::Break(())).is_break());
    }

    #[test]
    fn a_panic_is_raised_here_and_stops_the_others() {
        let work = |worker: usize, line: Line<'_, ()>| {
            assert!(worker > 0, "the first one falls");
            while line.tell(()).is_continue() {}
        };
        let run = || side_by_side(2, work, &mut |()| ControlFlow::Continue(()));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err());
    }
}
