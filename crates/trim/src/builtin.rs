//! The counts that come with the program: how often mT5's pieces occur in a large corpus of general Chinese text.

use std::path::Path;

/// Counts that are asked for by a name instead of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Builtin {
    /// The name.
    pub name: &'static str,
    /// What they are.
    pub what: &'static str,
    /// What is required with them, see [`crate::SETS`].
    pub(crate) require: Option<&'static str>,
}

/// All of them.
///
/// The counts were published with bojone/t5_in_bert4keras (`mt5_token_counts_zh.json`: 8.79 billion tokens); pieces that
/// occur less than ten times are left out. `tools/trim_zh_counts.py` packs them.
pub const BUILTIN: [Builtin; 2] = [
    Builtin { name: "zh", what: "mT5's pieces in tens of gigabytes of Chinese text", require: None },
    Builtin {
        name: "zh+en",
        what: "the same, and all pieces of ASCII are kept",
        require: Some("ascii-pieces"),
    },
];

/// The counts as TSV, packed by Zstandard.
pub(crate) const ZH: &[u8] = include_bytes!("sets/zh_counts.tsv.zst");

impl Builtin {
    /// The counts of that name; a file of the same name is asked for as `./zh`.
    pub fn named(path: &Path) -> Option<Self> {
        BUILTIN.into_iter().find(|builtin| path.as_os_str() == builtin.name)
    }
}
