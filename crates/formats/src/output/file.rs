//! A file that appears when it is complete.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::dir::rename_new;
use super::temp::{Target, Temp};
use crate::error::{Error, Result};

/// A file that is written beside its place and renamed into it by [`commit`](Self::commit); dropped without
/// it, nothing is left.
///
/// Writing is buffered.
#[derive(Debug)]
pub struct AtomicFile {
    out: BufWriter<File>,
    temp: Temp,
    target: Target,
    force: bool,
}

impl AtomicFile {
    /// Begins the file that will stand at `path`.
    ///
    /// # Errors
    /// [`Error::Exists`] where it is there and `force` is not given, [`Error::Refused`] where something else
    /// than a file is there, [`Error::Io`] where its folder is not there or not writable.
    pub fn create(path: &Path, force: bool) -> Result<Self> {
        let target = Target::new(path)?;
        check(&target.path(), force)?;
        let (temp, file) = Temp::create(&target, |p| File::options().write(true).create_new(true).open(p))?;
        Ok(Self { out: BufWriter::with_capacity(1 << 18, file), temp, target, force })
    }

    /// Where the file will stand.
    pub fn path(&self) -> PathBuf {
        self.target.path()
    }

    /// Flushes the file to the disk and renames it into its place. Where it fails nothing is left, and what
    /// stood there still does.
    ///
    /// # Errors
    /// [`Error::Io`] from the last writing or the renaming, [`Error::Exists`] where the place was taken in
    /// the meantime.
    pub fn commit(self) -> Result<()> {
        let path = self.target.path();
        let file = self.out.into_inner().map_err(|e| Error::io(&path, "write")(e.into_error()))?;
        file.sync_all().map_err(Error::io(&path, "write to the disk"))?;
        check(&path, self.force)?;
        if self.force {
            fs::rename(self.temp.path(), &path)
                .map_err(Error::io(&path, "rename the finished file to it"))?;
        } else {
            rename_new(self.temp.path(), &path)?;
        }
        self.temp.keep();
        self.target.sync_folder()
    }
}

impl Write for AtomicFile {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.out.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn check(path: &Path, force: bool) -> Result<()> {
    match fs::symlink_metadata(path) {
        Err(_) => Ok(()),
        // Renaming over /dev/null would replace the device.
        Ok(meta) if !meta.is_file() => {
            Err(Error::Refused { path: path.to_owned(), what: "it is not a plain file".to_owned() })
        }
        Ok(_) if !force => Err(Error::Exists { path: path.to_owned() }),
        Ok(_) => Ok(()),
    }
}
