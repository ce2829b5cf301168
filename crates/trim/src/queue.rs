//! The work queue between the thread that reads and those that count: bounded in bytes, and able to tell
//! when everything handed over is done.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A queue of things with a size, for one producer and several consumers.
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    /// Something came, or nothing will.
    ready: Condvar,
    /// Something was done.
    done: Condvar,
    budget: usize,
}

struct State<T> {
    items: VecDeque<(T, usize)>,
    /// Sizes and number of items that are queued or being worked on.
    bytes: usize,
    open: usize,
    closed: bool,
}

impl<T> Queue<T> {
    /// A queue that holds `budget` bytes, or one item if that is bigger.
    pub fn new(budget: usize) -> Self {
        let state = State { items: VecDeque::new(), bytes: 0, open: 0, closed: false };
        Self { state: Mutex::new(state), ready: Condvar::new(), done: Condvar::new(), budget }
    }

    /// A worker's panic reaches the caller by way of its thread; the queue stays usable until then.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an item in, once there is room; drops it where the queue is closed.
    pub fn push(&self, item: T, size: usize) {
        let mut state = self.lock();
        while state.open > 0 && state.bytes + size > self.budget && !state.closed {
            state = self.done.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed {
            return;
        }
        state.items.push_back((item, size));
        state.bytes += size;
        state.open += 1;
        self.ready.notify_one();
    }

    /// Takes the next item with its size, waiting for one; `None` once the queue is closed and empty.
    /// The taker calls [`Queue::finish`] when it is done with it.
    pub fn pop(&self) -> Option<(T, usize)> {
        let mut state = self.lock();
        loop {
            if let Some(item) = state.items.pop_front() {
                return Some(item);
            }
            if state.closed {
                return None;
            }
            state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Says that an item of that size is done.
    pub fn finish(&self, size: usize) {
        let mut state = self.lock();
        state.bytes -= size;
        state.open -= 1;
        self.done.notify_all();
    }

    /// Waits until everything put in is done (or the queue is closed).
    pub fn wait_until_done(&self) {
        let mut state = self.lock();
        while state.open > 0 && !state.closed {
            state = self.done.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Says that nothing more will come.
    pub fn close(&self) {
        self.lock().closed = true;
        self.ready.notify_all();
        self.done.notify_all();
    }
}

/// Closes a queue at the end of a scope, however it ends, so that nobody waits for ever.
pub(crate) struct CloseOnDrop<'a, T>(pub &'a Queue<T>);

impl<T> Drop for CloseOnDrop<'_, T> {
    fn drop(&mut self) {
        self.0.close();
    }
}
