//! What can go wrong with a recipe.

use std::fmt;
use std::path::{Path, PathBuf};

/// Where something stands: `recipe.toml:12:3`, or `--set data.file`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place(pub(crate) String);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An error of this crate; each is one line that says where and how to mend it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Something in the recipe.
    #[error("{place}: {what}")]
    Recipe {
        /// Where it stands.
        place: Place,
        /// What is wrong.
        what: String,
    },
    /// A file that the recipe names and that is not there.
    #[error("{place}: {what}")]
    Missing {
        /// Where it is named.
        place: Place,
        /// Which.
        what: String,
    },
    /// A file or folder.
    #[error("{}: {what}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A stage whose inputs are not those that its output was made from.
    #[error("{}: {what}; `force` makes {again} again, another output leaves them as they are", path.display())]
    Changed {
        /// The output folder.
        path: PathBuf,
        /// What has changed.
        what: String,
        /// The stages that would be made again.
        again: String,
    },
    /// A table that does not hold what the split wants.
    #[error("{0}")]
    Split(String),
    /// A table cannot be read.
    #[error(transparent)]
    Table(#[from] t5kit_formats::table::Error),
    /// Which columns are the source and the target.
    #[error(transparent)]
    Train(#[from] t5kit_train::Error),
    /// Files of a corpus.
    #[error(transparent)]
    Trim(#[from] t5kit_trim::Error),
    /// A file cannot be read or written.
    #[error(transparent)]
    Formats(#[from] t5kit_formats::Error),
    /// The work was asked to stop.
    #[error("stopped before its end")]
    Stopped(#[from] t5kit_formats::progress::Stopped),
}

impl Error {
    /// Whether the recipe asks for what is impossible, whatever the files hold.
    pub fn is_usage(&self) -> bool {
        matches!(self, Error::Recipe { .. })
    }

    /// What became of a file.
    pub(crate) fn io(path: &Path, doing: &str) -> impl FnOnce(std::io::Error) -> Self {
        move |error| Error::File { path: path.to_path_buf(), what: format!("cannot {doing}: {error}") }
    }
}

/// An error at a place of the recipe.
pub(crate) fn at(place: &Place, what: impl Into<String>) -> Error {
    Error::Recipe { place: place.clone(), what: what.into() }
}
