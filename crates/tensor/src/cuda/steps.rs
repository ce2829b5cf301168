//! A decoding step as one. What a step asks of the device is written down and done when the host reads something: what is
//! the same as in a step before runs as a graph, in one start instead of hundreds.
//!
//! Nothing has to say what is the same. Within a step memory comes from an arena that gives the same places to the same
//! requests, and lists (positions, rows, lengths) are staged: one upload for all, each in the same place as in the step
//! before. So a step like the last asks for the same tasks with the same arguments, and that is compared, all of it. What
//! is different, such as a list that has outgrown its place, is a graph of its own.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::marker::PhantomData;
use std::sync::Arc;

use super::driver::{DeviceError, Driver, Task};
use super::pinned::Pinned;
use super::{Core, Device};

/// Bytes that lists of a step may take together; others are uploaded by themselves.
const STAGED: usize = 8 << 20;
/// Bytes that the arena takes from the driver at a time.
const CHUNK: usize = 64 << 20;
/// Where memory of the arena may begin.
const ALIGNED: usize = 256;
/// Graphs that are kept.
const GRAPHS: usize = 128;
/// Tasks from which on a graph is worth its making.
const FEW: usize = 8;

/// What steps keep from one to the next; whose step is open has it.
#[derive(Default)]
pub(super) struct Steps {
    staging: Option<Staging>,
    graphs: HashMap<u64, Seen>,
    /// Counts uses, by which the oldest graph is found.
    time: u64,
}

/// Where lists of a step lie, on the device and before they go up: always the same places, so that a graph has the upload in
/// it.
struct Staging {
    at: u64,
    from: Pinned,
}

/// What a step asked for, and the graph of it if it was the same again.
struct Seen {
    tasks: Vec<Task>,
    graph: Option<u64>,
    used: u64,
}

/// A step that this thread is in.
struct Open {
    core: Arc<Core>,
    steps: Steps,
    tasks: Vec<Task>,
    /// What the staging memory is to hold.
    staged: Vec<u8>,
    /// Lists that are staged, by a digest of their bytes: where, and how many bytes.
    lists: HashMap<u64, (usize, usize)>,
    /// Memory of the driver's that tasks may still use.
    freed: Vec<u64>,
}

thread_local! {
    static OPEN: RefCell<Option<Open>> = const { RefCell::new(None) };
}

/// Calls `f` with this thread's step on a device, where it is in one.
fn open<R>(core: &Core, f: impl FnOnce(&mut Open) -> R) -> Option<R> {
    // Memory may be given back when the thread ends.
    let found = OPEN.try_with(|open| {
        let mut open = open.borrow_mut();
        open.as_mut().filter(|open| std::ptr::eq(&*open.core, core)).map(f)
    });
    found.ok().flatten()
}

/// While it lives, what this thread asks of a device is a part of a step.
#[derive(Debug)]
pub(crate) struct Step {
    /// It belongs to its thread.
    _thread: PhantomData<*const ()>,
}

impl Step {
    /// Begins one. `None` where this thread is in one already, or another thread is in one on this device: then everything
    /// is done at once, as outside of steps.
    pub(crate) fn begin(device: &Device) -> Option<Step> {
        OPEN.with(|open| {
            let mut open = open.borrow_mut();
            if open.is_some() {
                return None;
            }
            let core: Arc<Core> = Arc::clone(device);
            let mut steps = core.steps().take()?;
            if steps.staging.is_none() {
                // Where there is no room lists are uploaded one by one.
                steps.staging = core.driver().allocate(STAGED).ok().and_then(|at| {
                    let from = Pinned::new(core.driver(), STAGED);
                    from.inspect_err(|_| core.driver().free(at)).ok().map(|from| Staging { at, from })
                });
            }
            let (tasks, staged, lists, freed) = (Vec::new(), Vec::new(), HashMap::new(), Vec::new());
            *open = Some(Open { core, steps, tasks, staged, lists, freed });
            Some(Step { _thread: PhantomData })
        })
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        let Some(mut ended) = OPEN.with(|open| open.borrow_mut().take()) else { return };
        // After a failure what is left is not done.
        let done = if std::thread::panicking() { Ok(()) } else { ended.flush() };
        ended.free();
        let Open { core, steps, .. } = ended;
        *core.steps() = Some(steps);
        super::device::unwrap(done);
    }
}

/// Writes a task down; gives it back where this thread is in no step.
pub(super) fn put_off(core: &Core, task: Task) -> Option<Task> {
    let mut task = Some(task);
    open(core, |open| open.tasks.extend(task.take()));
    task
}

/// Whether this thread is in a step.
pub(super) fn is_open(core: &Core) -> bool {
    open(core, |_| ()).is_some()
}

/// Gives memory of the driver's back after all that was written down; `false` where this thread is in no step.
pub(super) fn free_later(core: &Core, at: u64) -> bool {
    open(core, |open| open.freed.push(at)).is_some()
}

/// Has everything done that was written down.
pub(super) fn flush(core: &Core) -> Result<(), DeviceError> {
    open(core, |open| {
        let done = open.flush();
        open.free();
        done
    })
    .unwrap_or(Ok(()))
}

/// Where a list will be on the device when tasks that are written down from now on run; `None` where this thread is in no
/// step, or there is no room. The list is there until it is given back.
pub(super) fn stage(core: &Core, bytes: &[u8]) -> Option<u64> {
    open(core, |open| open.stage(bytes)).flatten()
}

impl Open {
    fn stage(&mut self, bytes: &[u8]) -> Option<u64> {
        let base = self.steps.staging.as_ref()?.at;
        let digest = bytes.chunks(8).fold(bytes.len() as u64, |key, chunk| {
            let mut word = [0u8; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            crate::mix(key, u64::from_le_bytes(word))
        });
        if let Some(&(first, len)) = self.lists.get(&digest)
            && self.staged[first..first + len] == *bytes
        {
            return Some(base + first as u64);
        }
        let first = self.staged.len();
        if first + spacious(bytes.len()) > STAGED {
            return None;
        }
        self.staged.extend_from_slice(bytes);
        self.staged.resize(first + spacious(bytes.len()), 0);
        self.lists.insert(digest, (first, bytes.len()));
        Some(base + first as u64)
    }

    fn flush(&mut self) -> Result<(), DeviceError> {
        let Open { core, steps, tasks, staged, lists, .. } = self;
        let mut tasks = std::mem::take(tasks);
        if !tasks.is_empty() {
            let (driver, any) = (core.driver(), !staged.is_empty());
            if let Some(Staging { at, from }) = steps.staging.as_mut().filter(|_| any) {
                core.count(|counts| counts.uploads += 1);
                // Mostly something was read since the last upload, and nothing is waited for.
                from.reuse(driver)?;
                from.write(0, staged);
                tasks.insert(0, Task::Upload { to: *at, from: from.at(), bytes: staged.len() });
            }
            let done = steps.run(core, tasks);
            if let Some(staging) = steps.staging.as_ref().filter(|_| any) {
                staging.from.used(driver)?;
            }
            done?;
        }
        // What somebody still holds stays where it is.
        if core.staged() == 0 {
            staged.clear();
            lists.clear();
        }
        Ok(())
    }

    fn free(&mut self) {
        self.freed.drain(..).for_each(|at| self.core.driver().free(at));
    }
}

/// The place that a list of so many bytes takes: as it grows, it rarely wants another.
fn spacious(bytes: usize) -> usize {
    bytes.next_multiple_of(ALIGNED.max(bytes.next_power_of_two() / 8))
}

impl Steps {
    fn run(&mut self, core: &Core, tasks: Vec<Task>) -> Result<(), DeviceError> {
        let driver = core.driver();
        let one_by_one = |tasks: &[Task]| tasks.iter().try_for_each(|task| task.perform(driver));
        if tasks.len() < FEW || !driver.has_graphs() {
            return one_by_one(&tasks);
        }
        self.time += 1;
        let key = tasks.iter().fold(0, |key, task| task.digest(key));
        if let Some(seen) = self.graphs.get_mut(&key).filter(|seen| seen.tasks == tasks) {
            seen.used = self.time;
            let graph = match seen.graph {
                Some(graph) => graph,
                None => *seen.graph.insert(driver.capture(&seen.tasks)?),
            };
            core.count(|counts| counts.replayed += 1);
            return driver.replay(graph);
        }
        one_by_one(&tasks)?;
        if self.graphs.len() >= GRAPHS
            && let Some((&oldest, _)) = self.graphs.iter().min_by_key(|(_, seen)| seen.used)
        {
            self.forget(core, oldest);
        }
        self.forget(core, key);
        self.graphs.insert(key, Seen { tasks, graph: None, used: self.time });
        Ok(())
    }

    fn forget(&mut self, core: &Core, key: u64) {
        if let Some(graph) = self.graphs.remove(&key).and_then(|seen| seen.graph) {
            core.driver().forget(graph);
        }
    }
}

/// Memory that gives the same places to the same requests in the same order: the first that is large enough.
#[derive(Default)]
pub(super) struct Arena {
    /// Where chunks begin, and their sizes.
    chunks: BTreeMap<u64, usize>,
    /// What is free, by where it begins; nothing of it touches anything else in its chunk.
    free: BTreeMap<u64, usize>,
}

impl Arena {
    pub(super) fn allocate(&mut self, driver: &dyn Driver, bytes: usize) -> Result<u64, DeviceError> {
        let bytes = bytes.next_multiple_of(ALIGNED);
        let fits = |free: &BTreeMap<u64, usize>| {
            free.iter().find(|&(_, &size)| size >= bytes).map(|(&at, &size)| (at, size))
        };
        let (at, size) = match fits(&self.free) {
            Some(found) => found,
            None => {
                let size = bytes.max(CHUNK);
                let at = match driver.allocate(size) {
                    Err(DeviceError::Memory { .. }) if size > bytes => {
                        let at = driver.allocate(bytes)?;
                        self.chunks.insert(at, bytes);
                        return Ok(at);
                    }
                    at => at?,
                };
                self.chunks.insert(at, size);
                (at, size)
            }
        };
        self.free.remove(&at);
        if size > bytes {
            self.free.insert(at + bytes as u64, size - bytes);
        }
        Ok(at)
    }

    pub(super) fn free(&mut self, at: u64, bytes: usize) {
        let mut size = bytes.next_multiple_of(ALIGNED);
        let mut first = at;
        let begins = |at: &u64| self.chunks.contains_key(at);
        if let Some((&before, &len)) = self.free.range(..at).next_back()
            && before + len as u64 == at
            && !begins(&at)
        {
            (first, size) = (before, len + size);
        }
        let behind = at + bytes.next_multiple_of(ALIGNED) as u64;
        if let Some(&len) = self.free.get(&behind).filter(|_| !begins(&behind)) {
            self.free.remove(&behind);
            size += len;
        }
        self.free.insert(first, size);
    }

    /// Gives chunks back of which nothing is used; whether there were any.
    pub(super) fn release(&mut self, driver: &dyn Driver) -> bool {
        let unused: Vec<u64> = self
            .chunks
            .iter()
            .filter(|&(at, size)| self.free.get(at) == Some(size))
            .map(|(&at, _)| at)
            .collect();
        for at in &unused {
            self.chunks.remove(at);
            self.free.remove(at);
            driver.free(*at);
        }
        !unused.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_that_grow_keep_their_place_for_a_while() {
        let places: std::collections::BTreeSet<usize> = (1..=16384).map(spacious).collect();
        assert!(places.len() < 40 && (1..=16384).all(|bytes| spacious(bytes) >= bytes), "{places:?}");
        assert_eq!((spacious(0), spacious(257), spacious(5000)), (0, 512, 5120));
    }
}
