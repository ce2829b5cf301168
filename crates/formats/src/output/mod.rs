//! Output that is either complete or not there.
//!
//! A file or folder is written under a temporary name in the folder it will stand in, flushed to the disk,
//! and renamed. What is dropped without `commit` is removed. Nothing of the user's is replaced without
//! `force`, and then in one step: at every moment either the old or the new one is complete.
//!
//! Temporary names are `.<name>.tmp-<pid>-<n>` and are locked as long as they are in use, so that the
//! leavings of a process that was killed are recognised and removed by the next one that writes `<name>`.
//! A program's signal handler calls [`cleanup_all`].

mod dir;
mod file;
mod temp;

pub use self::dir::AtomicDir;
pub use self::file::AtomicFile;
pub use self::temp::{cleanup_all, remove_leavings, remove_whole};

#[cfg(test)]
mod tests;
