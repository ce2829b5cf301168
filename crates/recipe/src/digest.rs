//! What a file or folder holds, as a number; files that have not changed since are not read again.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use t5kit_formats::progress::{Progress, Watch};

use crate::Error;

/// A file as it was when it was read: the same size and time mean the same content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Known {
    bytes: u64,
    /// When it was written last: nanoseconds since 1970.
    modified: u64,
    sha256: String,
}

/// What is known of files, by their paths.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Digests(BTreeMap<PathBuf, Known>);

/// Bytes that are read at a time.
const BLOCK: usize = 1 << 20;

impl Digests {
    /// The digest of what lies at `path`: of a file's bytes; of a folder's files by their names, hidden ones left out; of
    /// the files that begin with a TensorFlow checkpoint's prefix; of the files that a pattern leads to.
    ///
    /// # Errors
    /// What cannot be read; [`Error::Stopped`] where `watch` ends it.
    pub fn of(&mut self, path: &Path, watch: &mut dyn Watch) -> Result<String, Error> {
        if path.is_file() {
            return self.file(path, watch);
        }
        let mut all = Sha256::new();
        let base = path.parent().unwrap_or(Path::new(""));
        for file in files(path)? {
            let name = file.strip_prefix(if path.is_dir() { path } else { base }).unwrap_or(&file);
            all.update(name.to_string_lossy().as_bytes());
            all.update([0]);
            all.update(self.file(&file, watch)?);
        }
        Ok(hex(&all.finalize()))
    }

    fn file(&mut self, path: &Path, watch: &mut dyn Watch) -> Result<String, Error> {
        let full = std::fs::canonicalize(path).map_err(Error::io(path, "be read"))?;
        let metadata = std::fs::metadata(&full).map_err(Error::io(path, "be read"))?;
        let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let modified = modified.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(0));
        let bytes = metadata.len();
        if let Some(known) = self.0.get(&full)
            && (known.bytes, known.modified) == (bytes, modified)
            && modified != 0
        {
            return Ok(known.sha256.clone());
        }
        let mut file = File::open(&full).map_err(Error::io(path, "be opened"))?;
        let (mut sum, mut block, mut read) = (Sha256::new(), vec![0; BLOCK], 0u64);
        loop {
            let n = file.read(&mut block).map_err(Error::io(path, "be read"))?;
            if n == 0 {
                break;
            }
            sum.update(&block[..n]);
            read += n as u64;
            watch.go_on(Progress::bytes("looking for changes", read, Some(bytes)))?;
        }
        let sha256 = hex(&sum.finalize());
        self.0.insert(full, Known { bytes, modified, sha256: sha256.clone() });
        Ok(sha256)
    }
}

/// The files that a folder, a checkpoint's prefix or a pattern stands for, by name.
fn files(path: &Path) -> Result<Vec<PathBuf>, Error> {
    if !path.is_dir() && !path.exists() {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let index = folder.join(format!("{name}.index"));
        if index.exists() {
            let entries = std::fs::read_dir(folder).map_err(Error::io(folder, "be read"))?;
            let begins = |file: &PathBuf| {
                file.file_name().is_some_and(|file| file.to_string_lossy().starts_with(&format!("{name}.")))
            };
            let mut files: Vec<PathBuf> =
                entries.filter_map(|entry| Some(entry.ok()?.path())).filter(begins).collect();
            files.sort();
            return Ok(files);
        }
    }
    let argument = path.to_string_lossy().into_owned();
    Ok(t5kit_formats::inputs::expand(&[argument])?.into_iter().map(|input| input.path).collect())
}

/// The digest of some bytes.
pub(crate) fn of_text(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_count_and_what_has_not_changed_is_not_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("m")).unwrap();
        for (name, text) in
            [("m/a", "1"), ("m/b", "2"), ("ckpt.index", "i"), ("ckpt.data-0", "d"), ("other", "o")]
        {
            std::fs::write(at(name), text).unwrap();
        }
        let mut digests = Digests::default();
        let all: Vec<String> =
            ["m", "m/a", "ckpt", "o*r"].map(|name| digests.of(&at(name), &mut ()).unwrap()).to_vec();
        assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), 4);
        assert_eq!(digests.0.len(), 5);
        assert_eq!(digests.of(&at("m"), &mut ()).unwrap(), all[0]);
        std::fs::write(at("m/b"), "3").unwrap();
        std::fs::write(at("ckpt.data-0"), "e").unwrap();
        assert_ne!(digests.of(&at("m"), &mut ()).unwrap(), all[0]);
        assert_ne!(digests.of(&at("ckpt"), &mut ()).unwrap(), all[2]);
        assert_eq!(digests.of(&at("m/a"), &mut ()).unwrap(), all[1]);
        // What is kept is believed: nothing is opened.
        let known = digests.0.get_mut(&std::fs::canonicalize(at("other")).unwrap()).unwrap();
        known.sha256 = "kept".into();
        assert_eq!(digests.of(&at("other"), &mut ()).unwrap(), "kept");
        assert!(digests.of(&at("nothing"), &mut ()).is_err());
    }
}
