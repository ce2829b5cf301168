//! How long work is watched and stopped: everywhere in the same way.
//!
//! Whoever does the work says how far it has come ([`Progress`]); whoever asked for it ([`Watch`]) answers whether to
//! go on. `ControlFlow::Break` ends it in order and soon: work that then leaves something of worth says so in its result,
//! any other ends with the error [`Stopped`]. What is done is done: nobody hears a `Break` after the last step.
//! All of it happens on the thread that asked for the work.

use std::ops::ControlFlow;

/// What work is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Things of this name, in the plural: `steps`, `lines`.
    Items(&'static str),
}

/// How far a stage of some work has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress<'a> {
    /// What is being done: `counting`, `fetching spiece.model`. Another one is another stage.
    pub stage: &'a str,
    /// So much of it is done …
    pub done: u64,
    /// … of so much, where anybody knows.
    pub total: Option<u64>,
    /// Of `done`, what an earlier run had done: it says nothing about this one's pace.
    pub before: u64,
    /// What `done`, `total` and `before` are numbers of.
    pub unit: Unit,
}

impl<'a> Progress<'a> {
    /// So many bytes.
    pub fn bytes(stage: &'a str, done: u64, total: Option<u64>) -> Self {
        Progress { stage, done, total, before: 0, unit: Unit::Bytes }
    }

    /// So many things called `name`.
    pub fn items(stage: &'a str, name: &'static str, done: usize, total: Option<usize>) -> Self {
        let total = total.map(|n| n as u64);
        Progress { stage, done: done as u64, total, before: 0, unit: Unit::Items(name) }
    }
}

/// Who watches long work, and may stop it.
pub trait Watch {
    /// The work has come to `at`; whether it is to go on.
    fn progress(&mut self, at: Progress<'_>) -> ControlFlow<()>;

    /// The same for work that ends with an error when it is stopped.
    ///
    /// # Errors
    /// [`Stopped`] where it is not to go on.
    fn go_on(&mut self, at: Progress<'_>) -> Result<(), Stopped> {
        match self.progress(at) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Stopped),
        }
    }
}

/// Nobody watches.
impl Watch for () {
    fn progress(&mut self, _: Progress<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl<F: FnMut(Progress<'_>) -> ControlFlow<()>> Watch for F {
    fn progress(&mut self, at: Progress<'_>) -> ControlFlow<()> {
        self(at)
    }
}

/// The end of work that was asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stopped before its end")]
pub struct Stopped;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_watches_decides() {
        let mut seen = Vec::new();
        let mut watch = |at: Progress<'_>| {
            seen.push((at.stage.to_owned(), at.done, at.total, at.unit));
            if at.done < 2 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let watch: &mut dyn Watch = &mut watch;
        assert_eq!(watch.go_on(Progress::bytes("reading", 1, None)), Ok(()));
        assert_eq!(watch.go_on(Progress::items("training", "steps", 2, Some(2))), Err(Stopped));
        assert_eq!(().go_on(Progress::bytes("reading", u64::MAX, None)), Ok(()));
        let want = [
            ("reading".to_owned(), 1, None, Unit::Bytes),
            ("training".to_owned(), 2, Some(2), Unit::Items("steps")),
        ];
        assert_eq!(seen, want);
    }
}
