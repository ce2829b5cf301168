//! The pool: every piece once, whoever comes, panics, sleeps or goes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::*;

/// Runs `len` items and checks that each ran once.
fn once_each(pool: &Pool, len: usize) {
    let counts: Vec<AtomicUsize> = (0..len).map(|_| AtomicUsize::new(0)).collect();
    pool.run_items(len, |i| {
        counts[i].fetch_add(1, Ordering::Relaxed);
    });
    assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1), "{len} items");
}

#[test]
fn every_item_runs_once() {
    for threads in [1, 2, 3, 5, 9] {
        let pool = Pool::new(threads);
        for round in 0..2000 {
            once_each(&pool, round % 23);
            if round % 500 == 0 {
                std::thread::sleep(Duration::from_millis(2)); // let the workers fall asleep
            }
        }
    }
}

#[test]
fn ranges_cover_everything_once_and_depend_on_nothing_but_sizes() {
    let pools = [Pool::new(3), Pool::new(3)];
    for len in [0, 1, 2, 3, 7, 64, 65, 1000] {
        for (grain, least) in [(1, 1), (4, 1), (64, 100)] {
            let ranges = pools[0].ranges(len, grain, least);
            assert_eq!(ranges, pools[1].ranges(len, grain, least));
            assert!(ranges.len() <= 3 * PIECES && pools[0].shares(len, grain).len() <= 3);
            for ranges in [ranges, pools[0].shares(len, grain)] {
                let mut at = 0;
                for r in &ranges {
                    assert_eq!(r.start, at);
                    assert!(!r.is_empty());
                    at = r.end;
                }
                assert_eq!(at, len);
            }
        }
    }
    assert_eq!(Pool::new(2).ranges(1000, 1, 1).len(), 2 * PIECES);
    assert_eq!(Pool::new(2).ranges(1000, 1, 400).len(), 2);
}

#[test]
fn parts_are_handed_out_as_they_are_and_dropped_once() {
    let pool = Pool::new(3);
    let shared = Arc::new(());
    for count in [0, 1, 2, 40] {
        let parts: Vec<(usize, Arc<()>)> = (0..count).map(|i| (i, shared.clone())).collect();
        let sum = AtomicUsize::new(0);
        pool.run_parts(parts, |(i, _)| {
            sum.fetch_add(i, Ordering::Relaxed);
        });
        assert_eq!(sum.into_inner(), count * count.saturating_sub(1) / 2);
        assert_eq!(Arc::strong_count(&shared), 1);
    }
}

#[test]
fn a_panic_reaches_the_caller_and_the_pool_lives_on() {
    let pool = Pool::new(3);
    for who in 0..40 {
        let caught = catch_unwind(AssertUnwindSafe(|| {
            pool.run_items(40, |i| assert_ne!(i, who, "stop here"));
        }));
        assert!(caught.is_err());
        once_each(&pool, 40);
    }
}

#[test]
fn callers_on_several_threads_take_turns() {
    let pool = Pool::new(2);
    std::thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| (0..500).for_each(|round| once_each(&pool, round % 7)));
        }
    });
}

/// Each thread works with a pool of its own, as on batches of its own, and makes and drops them as it goes.
#[test]
fn pools_within_the_pieces_of_another() {
    let pool = Pool::new(3);
    pool.run_items(30, |i| {
        let own = Pool::new(1 + i % 3);
        (0..50).for_each(|round| once_each(&own, round % 5));
    });
}

/// A worker that is held up within its first piece takes none of the others with it.
#[test]
fn what_a_late_thread_leaves_is_done_by_others() {
    let pool = Pool::new(2);
    for _ in 0..20 {
        let by_caller = AtomicUsize::new(0);
        let caller = std::thread::current().id();
        pool.run_items(64, |_| {
            if std::thread::current().id() == caller {
                by_caller.fetch_add(1, Ordering::Relaxed);
            } else {
                std::thread::sleep(Duration::from_millis(3));
            }
        });
        assert!(by_caller.into_inner() >= 40, "the caller waits for pieces that are being worked on alone");
    }
}

/// Threads beyond the processors, all of which somebody else wants: the pool comes through, and in good time.
#[test]
fn a_busy_machine_does_not_stop_it() {
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|s| {
        for _ in 0..Pool::default_threads() {
            s.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let pool = Pool::new(4);
        let start = Instant::now();
        for _ in 0..3000 {
            once_each(&pool, 16);
        }
        stop.store(true, Ordering::Relaxed);
        assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    });
}
