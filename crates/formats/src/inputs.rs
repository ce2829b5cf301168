//! From what a person names to the list of a corpus's files.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Error;

/// One file of a corpus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Where it is; `-` is standard input.
    pub path: PathBuf,
    /// Its size on disk in bytes; 0 for standard input and pipes.
    pub bytes: u64,
    /// SHA-256 of its first 64 KiB, in hexadecimal, by which resumed work knows the file again; empty
    /// for standard input and pipes.
    pub head_sha256: String,
}

/// How much of a file [`Input::head_sha256`] covers.
const HEAD_BYTES: u64 = 64 << 10;

/// The files that `arguments` lead to, in order: files as they are, folders with everything in them
/// (recursively, by name, hidden files left out), patterns (`*`, `?`, `[…]`, `**`) by name, and `-` for
/// standard input. A file reached twice is taken once.
///
/// # Errors
/// [`Error::Input`] for an argument that leads nowhere, [`Error::Io`] for a file that cannot be read.
pub fn expand(arguments: &[String]) -> Result<Vec<Input>, Error> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for argument in arguments {
        let before = paths.len();
        let path = Path::new(argument);
        if argument == "-" {
            paths.push(path.to_path_buf());
        } else if path.is_dir() {
            walk(path, &mut paths)?;
        } else if path.exists() {
            paths.push(path.to_path_buf());
        } else if argument.contains(['*', '?', '[']) {
            let bad = |what: String| Error::Input { argument: argument.clone(), what };
            for found in glob::glob(argument).map_err(|e| bad(e.to_string()))? {
                let found = found.map_err(|e| bad(e.to_string()))?;
                if !found.is_dir() {
                    paths.push(found);
                }
            }
        } else {
            return Err(Error::Input { argument: argument.clone(), what: "no such file or folder".into() });
        }
        if paths.len() == before {
            return Err(Error::Input { argument: argument.clone(), what: "no file there".into() });
        }
    }
    let mut seen = std::collections::HashSet::new();
    paths.retain(|path| seen.insert(fs::canonicalize(path).unwrap_or_else(|_| path.clone())));
    paths.into_iter().map(Input::new).collect()
}

/// The files under `folder`, by name.
fn walk(folder: &Path, paths: &mut Vec<PathBuf>) -> Result<(), Error> {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)
        .and_then(|list| list.map(|entry| entry.map(|e| e.path())).collect())
        .map_err(Error::io(folder, "read"))?;
    entries.sort();
    for path in entries {
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        // A link to a folder is not followed: it may lead back.
        if hidden || (path.is_symlink() && path.is_dir()) {
            continue;
        }
        if path.is_dir() {
            walk(&path, paths)?;
        } else {
            paths.push(path);
        }
    }
    Ok(())
}

impl Input {
    fn new(path: PathBuf) -> Result<Self, Error> {
        let fail = || Error::io(&path, "read");
        if path.as_os_str() == "-" || !fs::metadata(&path).map_err(fail())?.is_file() {
            return Ok(Self { path, bytes: 0, head_sha256: String::new() });
        }
        let file = fs::File::open(&path).map_err(fail())?;
        let bytes = file.metadata().map_err(fail())?.len();
        let mut head = Vec::new();
        std::io::Read::read_to_end(&mut std::io::Read::take(file, HEAD_BYTES), &mut head).map_err(fail())?;
        Ok(Self { path, bytes, head_sha256: hex(&Sha256::digest(&head)) })
    }

    /// Whether reading can begin in the middle of it again.
    pub fn is_regular(&self) -> bool {
        !self.head_sha256.is_empty()
    }
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(arguments: &[&str]) -> Result<Vec<String>, String> {
        let arguments: Vec<String> = arguments.iter().map(|a| a.to_string()).collect();
        let inputs = expand(&arguments).map_err(|e| e.to_string())?;
        Ok(inputs.iter().map(|i| i.path.file_name().unwrap().to_string_lossy().into_owned()).collect())
    }

    #[test]
    fn files_folders_patterns() {
        let folder = tempfile::TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        fs::create_dir_all(at("sub/deep")).unwrap();
        for name in ["b.txt", "a.txt", "sub/c.jsonl", "sub/deep/d.txt", ".hidden"] {
            fs::write(at(name), name).unwrap();
        }
        let all = ["a.txt", "b.txt", "c.jsonl", "d.txt"];
        assert_eq!(names(&[&at("")]).unwrap(), all);
        assert_eq!(names(&[&at("*.txt")]).unwrap(), ["a.txt", "b.txt"]);
        assert_eq!(names(&[&at("**/*.txt")]).unwrap(), ["a.txt", "b.txt", "d.txt"]);
        // Once each, in the order of the arguments.
        assert_eq!(
            names(&[&at("sub"), &at("b.txt"), &at("")]).unwrap(),
            ["c.jsonl", "d.txt", "b.txt", "a.txt"]
        );
        assert!(names(&[&at("none.txt")]).unwrap_err().ends_with("none.txt: no such file or folder"));
        assert!(names(&[&at("*.csv")]).unwrap_err().ends_with("*.csv: no file there"));
        fs::create_dir(at("empty")).unwrap();
        assert!(names(&[&at("empty")]).unwrap_err().ends_with("empty: no file there"));
        assert!(names(&[&at("a[.txt")]).is_err());
        let inputs = expand(&[at("a.txt"), "-".into()]).unwrap();
        assert_eq!((inputs[0].bytes, inputs[0].head_sha256.len()), (5, 64));
        assert!(inputs[0].is_regular() && !inputs[1].is_regular());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_that_leads_back_ends() {
        let folder = tempfile::TempDir::new().unwrap();
        fs::write(folder.path().join("a.txt"), "x").unwrap();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("loop")).unwrap();
        assert_eq!(names(&[&folder.path().to_string_lossy()]).unwrap(), ["a.txt"]);
    }
}
