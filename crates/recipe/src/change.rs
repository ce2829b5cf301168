//! What of a stage's inputs is other than when its output was made, by name and in words.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use t5kit_formats::lang::{Lang, fill};

/// Something that is other than it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The content of a file of this name.
    Content(String),
    /// The flag had the file, and has it no more.
    FileGone(String, String),
    /// The flag has the file, and did not have it.
    FileNew(String, String),
    /// The value of a flag of this name, as it was and as it is; an empty one where the flag has none.
    Value(String, Option<String>, Option<String>),
}

impl Change {
    /// In words, as what follows "was made with".
    pub fn said(&self, lang: Lang) -> String {
        let t = &lang.texts().recipes;
        let shown = |value: &str| if value.is_empty() { t.change_set.to_owned() } else { value.to_owned() };
        match self {
            Change::Content(file) => fill(t.change_content, &[("file", file)]),
            Change::FileGone(flag, file) => fill(t.change_file_gone, &[("flag", flag), ("file", file)]),
            Change::FileNew(flag, file) => fill(t.change_file_new, &[("flag", flag), ("file", file)]),
            Change::Value(name, old, new) => {
                let text = match (old, new) {
                    (Some(_), Some(_)) => t.change_value,
                    (_, None) => t.change_value_gone,
                    (None, Some(_)) => t.change_value_new,
                };
                let [old, new] = [old, new].map(|value| shown(value.as_deref().unwrap_or_default()));
                let values: [(&str, &dyn Display); 3] = [("name", name), ("old", &old), ("new", &new)];
                fill(text, &values)
            }
        }
    }
}

/// All of them in a line.
pub fn all_changes(changes: &[Change], lang: Lang) -> String {
    changes.iter().map(|change| change.said(lang)).collect::<Vec<_>>().join(lang.texts().terminal.comma)
}

/// What is other, by the names of inputs; what stages before this one made is their business.
pub(crate) fn differences(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Vec<Change> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let changed = names.into_iter().filter(|name| !name.starts_with("stage "));
    changed
        .filter(|name| old.get(*name) != new.get(*name))
        .map(|name| match (name.rsplit_once(' '), old.get(name), new.get(name)) {
            (Some((_, file)), Some(_), Some(_)) => Change::Content(file.to_owned()),
            (Some((flag, file)), Some(_), None) => Change::FileGone(flag.to_owned(), file.to_owned()),
            (Some((flag, file)), None, _) => Change::FileNew(flag.to_owned(), file.to_owned()),
            (None, old, new) => Change::Value(name.clone(), old.cloned(), new.cloned()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_change_has_its_words() {
        let of = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let old = of(&[
            ("a", "1"),
            ("b", ""),
            ("d", "4"),
            ("in x.tsv", "7"),
            ("in y.tsv", "7"),
            ("stage data", "1"),
        ]);
        let new = of(&[
            ("a", "2"),
            ("c", "3"),
            ("d", "4"),
            ("in x.tsv", "8"),
            ("in z.tsv", "7"),
            ("stage data", "2"),
        ]);
        let changes = differences(&old, &new);
        let english =
            "a 1, now 2, b set, now without, no c, now 3, other content of x.tsv, in y.tsv, in without z.tsv";
        assert_eq!(all_changes(&changes, Lang::En), english);
        let chinese = all_changes(&changes, Lang::Zh);
        assert!(
            chinese
                .starts_with("a 由 1 改为 2，b 原为 已设置，现在没有，c 原来没有，现在是 3，x.tsv 内容不同")
        );
        assert!(differences(&old, &old).is_empty());
    }
}
