//! Label maps: what a label of a file is called in a text (`1 = "正面"`).

use std::path::Path;

use super::Error;

/// Labels of files and their names, in the order in which they were given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelMap(Vec<(String, String)>);

impl LabelMap {
    /// A map of these labels and names. Several labels may have one name; a label has only one.
    ///
    /// # Errors
    /// [`Error::Map`] for a label given twice with different names, or a name of nothing but white space.
    pub fn new<L, N>(entries: impl IntoIterator<Item = (L, N)>) -> Result<Self, Error>
    where
        L: Into<String>,
        N: Into<String>,
    {
        let mut map: Vec<(String, String)> = Vec::new();
        for (label, name) in entries {
            let (label, name) = (label.into(), name.into());
            if name.trim().is_empty() {
                return Err(Error::Map(format!("the label {label:?} has no name; say what texts call it")));
            }
            match map.iter().find(|(other, _)| *other == label) {
                Some((_, first)) if *first != name => {
                    return Err(Error::Map(format!(
                        "the label {label:?} is called {first:?} and {name:?}; leave one out"
                    )));
                }
                Some(_) => {}
                None => map.push((label, name)),
            }
        }
        Ok(Self(map))
    }

    /// What a label is called; white space around it does not count.
    pub fn get(&self, value: &str) -> Option<&str> {
        let value = value.trim();
        self.0.iter().find(|(label, _)| label == value).map(|(_, name)| name.as_str())
    }

    /// What the label of a row is called.
    ///
    /// # Errors
    /// [`Error::Label`] for a label that the map does not have, with the row's file and line.
    pub fn name(&self, value: &str, path: &Path, line: u64) -> Result<&str, Error> {
        self.get(value).ok_or_else(|| Error::Label {
            path: path.to_owned(),
            line,
            value: value.to_owned(),
            labels: self.0.iter().map(|(label, _)| label.clone()).collect(),
        })
    }

    /// The names, each once, in order: the closed set of texts that a task with this map has.
    pub fn labels(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for (_, name) in &self.0 {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        names
    }

    /// The labels as they stand in files, with their names.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(label, name)| (label.as_str(), name.as_str()))
    }

    /// Whether it holds no label: a map that leaves every text as it is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_faults() {
        let map = LabelMap::new([("1", "正面"), ("0", "负面"), ("1", "正面"), ("2", "负面")]).unwrap();
        assert_eq!((map.get(" 1 "), map.get("3")), (Some("正面"), None));
        assert_eq!(map.labels(), ["正面", "负面"]);
        assert_eq!(map.entries().count(), 3);
        let said = map.name("-1", Path::new("train.tsv"), 7).unwrap_err().to_string();
        assert_eq!(
            said,
            "train.tsv, line 7: the label \"-1\" is not among 1, 0, 2; add it to the task's `labels`"
        );
        let twice = LabelMap::new([("1", "正面"), ("1", "好")]).unwrap_err().to_string();
        assert_eq!(twice, "label map: the label \"1\" is called \"正面\" and \"好\"; leave one out");
        assert!(LabelMap::new([("1", " ")]).unwrap_err().to_string().contains("has no name"));
        assert!(LabelMap::default().is_empty());
    }
}
