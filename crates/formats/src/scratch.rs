//! Numbers that do not fit in memory: a file without a name, written once, then read through a memory map.
//!
//! The system takes the file back when the process ends, however it ends.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::Deref;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use crate::error::{Error, Result};

/// A nameless file that is being written.
#[derive(Debug)]
pub struct Scratch {
    out: BufWriter<File>,
    folder: PathBuf,
    len: usize,
}

impl Scratch {
    /// A nameless file on the disk that `folder` lies on.
    ///
    /// # Errors
    /// [`Error::Io`] where the folder is missing or not writable.
    pub fn create(folder: &Path) -> Result<Self> {
        let file = tempfile::tempfile_in(folder).map_err(Error::io(folder, "make a temporary file there"))?;
        Ok(Self { out: BufWriter::with_capacity(1 << 18, file), folder: folder.to_owned(), len: 0 })
    }

    /// Appends numbers.
    ///
    /// # Errors
    /// [`Error::Io`] where the disk is full.
    pub fn push(&mut self, numbers: &[u32]) -> Result<()> {
        let written = self.out.write_all(bytemuck::cast_slice(numbers));
        written.map_err(Error::io(&self.folder, "write a temporary file there"))?;
        self.len += numbers.len();
        Ok(())
    }

    /// Numbers written so far.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All numbers, as a slice that the system reads from the disk where it is looked at.
    ///
    /// # Errors
    /// [`Error::Io`] from the last writing and from mapping.
    pub fn finish(self) -> Result<MappedNumbers> {
        let Self { out, folder, len } = self;
        let action = "write a temporary file there";
        let file = out.into_inner().map_err(|e| Error::io(&folder, action)(e.into_error()))?;
        if len == 0 {
            return Ok(MappedNumbers(None));
        }
        // SAFETY: the file has no name, so nobody else can change or shorten it, and it is not written any more.
        let map = unsafe { Mmap::map(&file) }.map_err(Error::io(&folder, "map a temporary file there"))?;
        Ok(MappedNumbers(Some(map)))
    }
}

/// Numbers on the disk, as a slice.
#[derive(Debug)]
pub struct MappedNumbers(Option<Mmap>);

impl Deref for MappedNumbers {
    type Target = [u32];

    fn deref(&self) -> &[u32] {
        // A map begins at a page and holds whole numbers.
        self.0.as_deref().map_or(&[], bytemuck::cast_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_the_folder_stays_empty() {
        let folder = tempfile::tempdir().unwrap();
        let mut scratch = Scratch::create(folder.path()).unwrap();
        assert!(scratch.is_empty());
        let all: Vec<u32> = (0..100_000).map(|i| i * 7919).collect();
        for part in all.chunks(999) {
            scratch.push(part).unwrap();
        }
        assert_eq!(scratch.len(), all.len());
        let mapped = scratch.finish().unwrap();
        assert!(*mapped == *all);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(Scratch::create(folder.path()).unwrap().finish().unwrap().is_empty());
        let error = Scratch::create(&folder.path().join("none")).unwrap_err().to_string();
        assert!(error.contains("none") && error.lines().count() == 1, "{error}");
    }
}
