//! What can go wrong with a recipe.

use std::path::{Path, PathBuf};

use t5kit_formats::toml::{self, Place};

/// An error of this crate; each is one line that says where and how to mend it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Something in the recipe.
    #[error(transparent)]
    Recipe(#[from] toml::Error),
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
        matches!(self, Error::Recipe(_))
    }

    /// What became of a file.
    pub(crate) fn io(path: &Path, doing: &str) -> impl FnOnce(std::io::Error) -> Self {
        move |error| Error::File { path: path.to_path_buf(), what: format!("cannot {doing}: {error}") }
    }
}

/// An error at a place of the recipe.
pub(crate) fn at(place: &Place, what: impl Into<String>) -> Error {
    toml::at(place, what).into()
}
