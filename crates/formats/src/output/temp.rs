//! Temporary names beside a target: making them, removing them, and finding those left behind.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Result};

/// What is added to a temporary name for the old folder, where two folders cannot be exchanged in one step.
pub(super) const OLD: &str = "-old";

/// Every temporary path of this process that is still there.
static LIVE: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn live() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    // A set is sound whatever a panicking holder did to it.
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes every unfinished output of this process; for a signal handler that is about to end it.
///
/// Writers that are still at work fail afterwards. Never fails itself: what cannot be removed now is removed
/// by the next process that writes the same name.
pub fn cleanup_all() {
    for path in std::mem::take(&mut *live()) {
        // Under another name first, so that a writer that is still at work cannot put another file into a folder that
        // is being removed. A number with a leading zero is given to no one.
        let aside = path
            .file_name()
            .and_then(|name| name.to_str()?.rsplit_once('-'))
            .map(|(name, n)| path.with_file_name(format!("{name}-0{n}")));
        match aside {
            Some(aside) if fs::rename(&path, &aside).is_ok() => remove(&aside),
            _ => remove(&path),
        }
    }
}

/// Removes what processes that were killed left beside the output `path`, as the next one that writes it does; for a
/// program that goes on from such a run and may not write it again.
///
/// Where the process was killed between the two renamings by which a folder is replaced on a system that cannot
/// exchange two, the old folder is put back first.
pub fn remove_leavings(path: &Path) {
    if let Ok(target) = Target::new(path) {
        remove_stale(&target);
    }
}

/// Removes the file or folder at `path`, if there is one: out of its place in one step, so that no part of a folder ever
/// stands there.
pub fn remove_whole(path: &Path) -> Result<()> {
    if fs::symlink_metadata(path).is_err() {
        return Ok(());
    }
    let target = Target::new(path)?;
    Temp::create(&target, |temporary| fs::rename(target.path(), temporary)).map(drop)
}

/// A registered temporary path; removed when dropped.
#[derive(Debug)]
pub(super) struct Temp {
    path: PathBuf,
    /// Holds the lock that tells other processes the path is in use.
    _lock: Option<File>,
}

impl Temp {
    /// Registers a fresh name beside `target` and makes it with `make`, which must fail where it exists;
    /// what processes that are gone left for the same target is removed.
    pub(super) fn create<T>(target: &Target, make: impl Fn(&Path) -> io::Result<T>) -> Result<(Self, T)> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        remove_stale(target);
        loop {
            let n = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = target.folder.join(format!("{}{}-{n}", target.prefix(), std::process::id()));
            // Registered first: a signal that comes in between finds it.
            live().insert(path.clone());
            match make(&path) {
                Ok(made) => {
                    // Where locks are not supported nobody can take one either, and nothing is stale.
                    let lock = File::open(&path).ok().filter(|f| f.try_lock().is_ok());
                    return Ok((Self { path, _lock: lock }, made));
                }
                Err(e) => {
                    live().remove(&path);
                    // The leavings of an earlier process of this number that cannot be locked: the next n.
                    if e.kind() != io::ErrorKind::AlreadyExists {
                        return Err(Error::io(&path, "create")(e));
                    }
                }
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Forgets the path, which now stands under its true name.
    pub(super) fn keep(self) {
        live().remove(&self.path);
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        // Only what is still registered is there: `keep` and `cleanup_all` have forgotten the rest.
        if live().remove(&self.path) {
            remove(&self.path);
        }
    }
}

/// Where an output will stand.
#[derive(Debug)]
pub(super) struct Target {
    /// The folder, resolved.
    folder: PathBuf,
    /// The name in it.
    name: String,
}

impl Target {
    /// Resolves `path`, whose folder must be there. A link is followed, so that it stays and what it points
    /// to is replaced.
    pub(super) fn new(path: &Path) -> Result<Self> {
        let path = match fs::canonicalize(path) {
            Ok(real) => real,
            Err(_) => path.to_owned(),
        };
        let Some(name) = path.file_name() else {
            let what = "it is not a name to write to".to_owned();
            return Err(Error::Refused { path, what });
        };
        let Some(name) = name.to_str() else {
            return Err(Error::Refused { path: path.clone(), what: "its name is not UTF-8".to_owned() });
        };
        let folder = match path.parent() {
            Some(p) if !p.as_os_str().is_empty() => p,
            _ => Path::new("."),
        };
        if !folder.is_dir() {
            let source = io::Error::from(io::ErrorKind::NotFound);
            let action = format!("write {name} there (create the folder first)");
            return Err(Error::Io { path: folder.to_owned(), action, source });
        }
        let folder = fs::canonicalize(folder).map_err(Error::io(folder, "open"))?;
        Ok(Self { folder, name: name.to_owned() })
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    /// Makes the renaming itself survive a power failure.
    pub(super) fn sync_folder(&self) -> Result<()> {
        sync_folder(&self.folder)
    }

    /// What temporary names of this target begin with.
    fn prefix(&self) -> String {
        format!(".{}.tmp-", self.name)
    }
}

/// Flushes a folder's list of names to the disk, where the system can.
pub(super) fn sync_folder(folder: &Path) -> Result<()> {
    if cfg!(unix) {
        File::open(folder).and_then(|f| f.sync_all()).map_err(Error::io(folder, "write to the disk"))?;
    }
    Ok(())
}

/// Removes temporary paths of `target` whose process is gone. Best effort: it must not keep anyone from
/// writing.
fn remove_stale(target: &Target) {
    let Ok(entries) = fs::read_dir(&target.folder) else { return };
    let prefix = target.prefix();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(rest) = name.to_str().and_then(|n| n.strip_prefix(&prefix)) else { continue };
        let old = rest.ends_with(OLD);
        let rest = rest.trim_end_matches(OLD);
        let mut numbers = rest.splitn(2, '-').map(str::parse::<u32>);
        let (Some(Ok(pid)), Some(Ok(_))) = (numbers.next(), numbers.next()) else { continue };
        let path = entry.path();
        // The number alone does not tell: it may have been given away again, or belong to another machine
        // that shares the disk. The lock alone does not either: it is taken just after the path is made.
        // In a container every process may have this one's number.
        let own = || live().contains(&target.folder.join(format!("{prefix}{rest}")));
        if if pid == std::process::id() { own() } else { alive(pid) } {
            continue;
        }
        match File::open(&path).map(|f| f.try_lock()) {
            Ok(Ok(())) if old && fs::symlink_metadata(target.path()).is_err() => {
                let _ = fs::rename(&path, target.path());
            }
            Ok(Ok(())) => remove(&path),
            Ok(Err(TryLockError::WouldBlock | TryLockError::Error(_))) | Err(_) => {}
        }
    }
}

#[cfg(unix)]
fn alive(pid: u32) -> bool {
    use rustix::process::{Pid, test_kill_process};
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return false };
    !matches!(test_kill_process(pid), Err(rustix::io::Errno::SRCH))
}

#[cfg(not(unix))]
fn alive(_: u32) -> bool {
    // Unknown; then nothing is taken for stale.
    true
}

/// Removes a file or a folder, whichever it is.
pub(super) fn remove(path: &Path) {
    if fs::symlink_metadata(path).is_ok_and(|m| m.is_dir()) {
        let _ = fs::remove_dir_all(path);
    } else {
        let _ = fs::remove_file(path);
    }
}
