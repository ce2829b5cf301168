//! A folder that appears when it is complete.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::temp::{self, Target, Temp};
use crate::error::{Error, Result};

/// A folder that is filled beside its place and renamed into it by [`commit`](Self::commit); dropped
/// without it, nothing is left.
#[derive(Debug)]
pub struct AtomicDir {
    temp: Temp,
    target: Target,
    force: bool,
}

impl AtomicDir {
    /// Begins the folder that will stand at `path`; fill the one at [`path`](Self::path).
    ///
    /// An empty folder may stand there already. With `force` a full one is replaced as a whole, unless it is
    /// the working directory, the user's home, or a folder above one of these.
    ///
    /// # Errors
    /// [`Error::Exists`] where it is there and `force` is not given, [`Error::Refused`] where it is no folder
    /// or one of the above, [`Error::Io`] where the folder it will stand in is not there or not writable.
    pub fn create(path: &Path, force: bool) -> Result<Self> {
        let target = Target::new(path)?;
        check(&target.path(), force)?;
        let (temp, ()) = Temp::create(&target, |p| fs::create_dir(p))?;
        Ok(Self { temp, target, force })
    }

    /// The folder to fill.
    pub fn path(&self) -> &Path {
        self.temp.path()
    }

    /// Where it will stand.
    pub fn target(&self) -> PathBuf {
        self.target.path()
    }

    /// Flushes all files in the folder to the disk and renames it into its place; what stood there is
    /// removed afterwards. Where it fails, what stood there still does.
    ///
    /// # Errors
    /// [`Error::Io`] from flushing or renaming, [`Error::Exists`] where the place was taken in the meantime.
    pub fn commit(self) -> Result<()> {
        let path = self.target.path();
        sync_tree(self.temp.path())?;
        let old = check(&path, self.force)?;
        // An empty folder in the way is replaced by the system in one step; so is nothing at all.
        match old {
            Old::None => rename_new(self.temp.path(), &path)?,
            Old::Empty if cfg!(unix) => {
                let rename = fs::rename(self.temp.path(), &path);
                rename.map_err(Error::io(&path, "rename the finished folder to it"))?;
            }
            Old::Empty | Old::Full => {
                swap(self.temp.path(), &path)?;
                self.target.sync_folder()?;
                // The old folder now has the temporary name and goes with it.
                drop(self.temp);
                return Ok(());
            }
        }
        self.temp.keep();
        self.target.sync_folder()
    }
}

/// What stands in a folder's place.
enum Old {
    None,
    Empty,
    Full,
}

fn check(path: &Path, force: bool) -> Result<Old> {
    let refuse = |what: &str| Err(Error::Refused { path: path.to_owned(), what: what.to_owned() });
    match fs::symlink_metadata(path) {
        Err(_) => return Ok(Old::None),
        Ok(meta) if !meta.is_dir() => return refuse("it is a file, and a folder is to be written"),
        Ok(_) => {}
    }
    for (place, what) in [
        (std::env::current_dir().ok(), "it is the working directory or holds it"),
        (std::env::home_dir(), "it is the home folder or holds it"),
    ] {
        let place = place.and_then(|p| fs::canonicalize(p).ok());
        if place.is_some_and(|p| p.starts_with(path)) {
            return refuse(what);
        }
    }
    let mut entries = fs::read_dir(path).map_err(Error::io(path, "read"))?;
    match entries.next() {
        None => Ok(Old::Empty),
        Some(_) if force => Ok(Old::Full),
        Some(_) => Err(Error::Exists { path: path.to_owned() }),
    }
}

/// Flushes every file and folder under `dir` to the disk.
fn sync_tree(dir: &Path) -> Result<()> {
    for entry in fs::read_dir(dir).map_err(Error::io(dir, "read"))? {
        let path = entry.map_err(Error::io(dir, "read"))?.path();
        let meta = fs::symlink_metadata(&path).map_err(Error::io(&path, "read"))?;
        if meta.is_dir() {
            sync_tree(&path)?;
        } else if meta.is_file() {
            let file = File::open(&path).map_err(Error::io(&path, "open"))?;
            file.sync_all().map_err(Error::io(&path, "write to the disk"))?;
        }
    }
    temp::sync_folder(dir)
}

/// Renames `from` to `to`, where nothing may stand.
pub(super) fn rename_new(from: &Path, to: &Path) -> Result<()> {
    let error = |e: io::Error| match e.kind() {
        io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty => {
            Error::Exists { path: to.to_owned() }
        }
        _ => Error::io(to, "rename the finished output to it")(e),
    };
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(()),
            // The file system cannot do it in one step.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {}
            Err(e) => return Err(error(e.into())),
        }
    }
    if fs::symlink_metadata(to).is_ok() {
        return Err(Error::Exists { path: to.to_owned() });
    }
    fs::rename(from, to).map_err(error)
}

/// Exchanges the folders `new` and `place`.
fn swap(new: &Path, place: &Path) -> Result<()> {
    let error = || Error::io(place, "replace it by the finished folder");
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        match renameat_with(CWD, new, CWD, place, RenameFlags::EXCHANGE) {
            Ok(()) => return Ok(()),
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {}
            Err(e) => return Err(error()(e.into())),
        }
    }
    swap_by_three(new, place).map_err(error())
}

/// The same where the system has no exchange: for an instant nothing has the name `place`, but the old
/// folder is complete beside it, and comes back if the new one cannot be renamed.
fn swap_by_three(new: &Path, place: &Path) -> io::Result<()> {
    let mut aside = new.as_os_str().to_owned();
    aside.push(temp::OLD);
    let aside = PathBuf::from(aside);
    fs::rename(place, &aside)?;
    fs::rename(new, place).inspect_err(|_| {
        let _ = fs::rename(&aside, place);
    })?;
    fs::rename(&aside, new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_swapping_exchange_the_folders() {
        for how in [swap, |a: &Path, b: &Path| swap_by_three(a, b).map_err(Error::io(b, "swap"))] {
            let dir = tempfile::tempdir().unwrap();
            let (a, b) = (dir.path().join("a"), dir.path().join("b"));
            for (folder, file) in [(&a, "new"), (&b, "old")] {
                fs::create_dir(folder).unwrap();
                fs::write(folder.join(file), file).unwrap();
            }
            how(&a, &b).unwrap();
            assert_eq!(fs::read_to_string(b.join("new")).unwrap(), "new");
            assert_eq!(fs::read_to_string(a.join("old")).unwrap(), "old");
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        }
    }
}
