//! The error of this crate's readers and writers of models.
//!
//! Each variant prints as one line that names the file, the tensor or field where there is one, and says
//! how to mend it where that can be known.

use std::io;
use std::path::{Path, PathBuf};

use crate::progress::Stopped;

/// What can go wrong with a file of a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system refused an operation on a file.
    #[error("{}: cannot {action}: {}", path.display(), reason(source))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried, as a verb: "open", "read", "rename to …".
        action: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A file does not hold what its format demands.
    #[error("{}: not a sound {format} file: {what}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The format it was read as.
        format: &'static str,
        /// What is wrong, with the sizes concerned.
        what: String,
    },
    /// A file is sound, but uses a part of its format that is not read here.
    #[error("{}: {what}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What is not supported, and what to do instead.
        what: String,
    },
    /// One tensor of a file is no good.
    #[error("{}: tensor {tensor}: {what}", path.display())]
    Tensor {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// What is wrong, with the sizes concerned.
        what: String,
    },
    /// A tensor was asked for that is not there.
    #[error("{}: there is no tensor {tensor}", path.display())]
    NoTensor {
        /// The file or folder.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
    },
    /// A field of a configuration is missing, of the wrong type, absurd, or contradicts another.
    #[error("{}: {field}: {what}", path.display())]
    Config {
        /// The file, or `(configuration)` where it is held in memory only.
        path: PathBuf,
        /// The field's name as it stands in the file.
        field: String,
        /// What is wrong with it.
        what: String,
    },
    /// What was named as an input leads to no file.
    #[error("{argument}: {what}")]
    Input {
        /// What was named.
        argument: String,
        /// Why nothing comes of it.
        what: String,
    },
    /// A place does not hold a model in any form that is read here.
    #[error("{}: {what}", path.display())]
    NoModel {
        /// The file or folder.
        path: PathBuf,
        /// What was looked for.
        what: String,
    },
    /// The output is already there.
    #[error("{}: already exists; choose another name or give `force` to replace it", path.display())]
    Exists {
        /// The output's path.
        path: PathBuf,
    },
    /// The work was asked to stop.
    #[error("stopped before its end")]
    Stopped(#[from] Stopped),
    /// The output must not be written there, whatever may be replaced.
    #[error("{}: will not be replaced: {what}", path.display())]
    Refused {
        /// The output's path.
        path: PathBuf,
        /// The reason.
        what: String,
    },
}

/// The result of this crate's readers and writers of models.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An [`Error::Io`] for `action` on `path`; meant for `map_err(Error::io(path, "read"))`.
    pub fn io(path: &Path, action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let (path, action) = (path.to_owned(), action.into());
        move |source| Self::Io { path, action, source }
    }

    /// An [`Error::Malformed`].
    pub(crate) fn malformed(path: &Path, format: &'static str, what: impl Into<String>) -> Self {
        Self::Malformed { path: path.to_owned(), format, what: what.into() }
    }

    /// An [`Error::Tensor`].
    pub(crate) fn tensor(path: &Path, tensor: &str, what: impl Into<String>) -> Self {
        Self::Tensor { path: path.to_owned(), tensor: tensor.to_owned(), what: what.into() }
    }

    /// An [`Error::Unsupported`].
    pub(crate) fn unsupported(path: &Path, what: impl Into<String>) -> Self {
        Self::Unsupported { path: path.to_owned(), what: what.into() }
    }
}

/// The system's reason, without the error number and with advice where there is a plain one.
fn reason(source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::NotFound => "there is no such file or folder".to_owned(),
        io::ErrorKind::IsADirectory => "it is a folder, and a file is needed".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::StorageFull => "the disk is full; free some space and try again".to_owned(),
        io::ErrorKind::QuotaExceeded => "the disk quota is used up; free some space and try again".to_owned(),
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only".to_owned(),
        _ => source.to_string(),
    }
}
