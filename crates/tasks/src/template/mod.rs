//! Templates such as `识别该句子的情感倾向：{text}`: what a task says of a row, in the words of its columns.
//!
//! `{text}` stands for the row's `text`, `{{` and `}}` for braces; whatever else there is stands for itself. A path
//! into an object (`{target.span1_text}`) is a column like any other.

mod labels;
pub mod ready;

use std::path::PathBuf;

pub use labels::LabelMap;

/// What can go wrong with a template or a label; each is one line that says what, where and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A template that cannot be read.
    #[error("template {template:?}: {what}")]
    Template {
        /// The template.
        template: String,
        /// What is wrong with it, and where.
        what: String,
    },
    /// A template names a column that is not there.
    #[error(
        "template {template:?}: there is no column {column}{}; there {} {}",
        meant.as_ref().map(|meant| format!(", did you mean {meant}?")).unwrap_or_default(),
        if columns.len() == 1 { "is" } else { "are" },
        if columns.is_empty() { "none".to_owned() } else { columns.join(", ") }
    )]
    Column {
        /// The template.
        template: String,
        /// The column that it names.
        column: String,
        /// The columns there are.
        columns: Vec<String>,
        /// The nearest of their names.
        meant: Option<String>,
    },
    /// A label that a label map does not have.
    #[error(
        "{}, line {line}: the label {value:?} is not among {}; add it to the task's `labels`",
        path.display(), labels.join(", ")
    )]
    Label {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The label.
        value: String,
        /// The labels of the map, as they stand in files.
        labels: Vec<String>,
    },
    /// A label map that says two things of one label, or nothing.
    #[error("label map: {0}")]
    Map(String),
}

/// A text with columns in it.
///
/// ```
/// use t5kit_tasks::template::Template;
/// let template = Template::parse("识别该句子的情感倾向：{text}")?;
/// assert_eq!(template.columns().collect::<Vec<_>>(), ["text"]);
/// assert_eq!(template.fill(|_| "很好"), "识别该句子的情感倾向：很好");
/// # Ok::<(), t5kit_tasks::template::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Column(String),
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// [`Error::Template`] for a brace without its other one, or with nothing between them.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let wrong = |what: String| Error::Template { template: text.to_owned(), what };
        let (mut parts, mut plain) = (Vec::new(), String::new());
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let (brace, behind) = rest[at..].split_at(1);
            if let Some(behind) = behind.strip_prefix(brace) {
                plain.push_str(brace);
                rest = behind;
                continue;
            }
            let place = text.len() - rest.len() + at;
            let place = text[..place].chars().count() + 1;
            if brace == "}" {
                return Err(wrong(format!(
                    "the }} at character {place} has no {{; a }} of the text is }}}}"
                )));
            }
            let end = behind.find(['{', '}']).filter(|&end| behind[end..].starts_with('}'));
            let Some(end) = end else {
                return Err(wrong(format!(
                    "the {{ at character {place} has no }}; a {{ of the text is {{{{"
                )));
            };
            let column = behind[..end].trim();
            if column.is_empty() {
                return Err(wrong(format!("the {{}} at character {place} names no column")));
            }
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(Part::Column(column.to_owned()));
            rest = &behind[end + 1..];
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self { text: text.to_owned(), parts })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The columns that it names, each once, in order.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        let column = |part: &'_ Part| matches!(part, Part::Column(_));
        self.parts.iter().enumerate().filter_map(move |(i, part)| match part {
            Part::Column(name) if !self.parts[..i].iter().any(|other| column(other) && other == part) => {
                Some(name.as_str())
            }
            _ => None,
        })
    }

    /// Looks whether all its columns are there; of those that it does not name the nearest may be meant.
    ///
    /// # Errors
    /// [`Error::Column`] for the first that is not.
    pub fn check(&self, columns: &[&str]) -> Result<(), Error> {
        match self.columns().find(|column| !columns.contains(column)) {
            None => Ok(()),
            Some(column) => Err(Error::Column {
                template: self.text.clone(),
                column: column.to_owned(),
                columns: columns.iter().map(|&name| name.to_owned()).collect(),
                meant: nearest(
                    column,
                    columns.iter().copied().filter(|name| !self.columns().any(|c| c == *name)),
                ),
            }),
        }
    }

    /// Calls columns by other names: pairs of what they are called here and what they are called from now on.
    pub fn rename(&mut self, names: &[(&str, &str)]) {
        for part in &mut self.parts {
            if let Part::Column(name) = part
                && let Some((_, called)) = names.iter().find(|(here, _)| here == name)
            {
                *name = (*called).to_owned();
            }
        }
    }

    /// The text with its columns filled in: `value` gives what a column holds.
    pub fn fill<'r>(&self, mut value: impl FnMut(&str) -> &'r str) -> String {
        let mut out = String::new();
        for part in &self.parts {
            out.push_str(match part {
                Part::Text(text) => text,
                Part::Column(name) => value(name),
            });
        }
        out
    }
}

/// The one of `names` that a wrong name is nearest to, where that is near enough to be meant.
pub(crate) fn nearest<'n>(wrong: &str, names: impl Iterator<Item = &'n str>) -> Option<String> {
    let plain = |name: &str| name.to_lowercase();
    let given = plain(wrong);
    let found = names.map(|name| (strsim::damerau_levenshtein(&given, &plain(name)), name)).min()?;
    (found.0 <= given.chars().count().max(3) / 3).then(|| found.1.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_with_its_braces_doubled_is_itself(text: String, cell: String, column in "[a-z.]{1,8}") {
            let escaped = text.replace('{', "{{").replace('}', "}}");
            prop_assert_eq!(Template::parse(&escaped).unwrap().fill(|_| ""), text.clone());
            let template = Template::parse(&format!("{escaped}{{{column}}}{escaped}")).unwrap();
            prop_assert_eq!(template.columns().collect::<Vec<_>>(), [column.as_str()]);
            prop_assert_eq!(template.fill(|_| &cell), format!("{text}{cell}{text}"));
        }

        #[test]
        fn no_text_brings_it_down(text in "[a{}：]{0,12}") {
            if let Ok(template) = Template::parse(&text) {
                template.fill(|_| "b");
            }
        }
    }

    #[test]
    fn parses_and_fills() {
        let template = Template::parse("{a}：{{{ b }}}，{a}。").unwrap();
        assert_eq!(template.columns().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(template.fill(|name| if name == "a" { "甲" } else { "{乙}" }), "甲：{{乙}}，甲。");
        assert_eq!(Template::parse("").unwrap().fill(|_| ""), "");
        assert_eq!(Template::parse("无栏 }}").unwrap().fill(|_| ""), "无栏 }");
        assert_eq!(
            Template::parse("{target.span1_text}").unwrap().columns().next(),
            Some("target.span1_text")
        );
    }

    #[test]
    fn says_what_is_wrong() {
        let said = |text: &str| Template::parse(text).unwrap_err().to_string();
        for (text, part) in [
            ("情感：{text", "the { at character 4 has no }; a { of the text is {{"),
            ("{a{b}}", "the { at character 1 has no }"),
            ("情感}", "the } at character 3 has no {"),
            ("{ }", "the {} at character 1 names no column"),
        ] {
            assert!(said(text).contains(part), "{}", said(text));
        }
        let template = Template::parse("{txet}").unwrap();
        assert_eq!(
            template.check(&["text", "label"]).unwrap_err().to_string(),
            "template \"{txet}\": there is no column txet, did you mean text?; there are text, label"
        );
        assert_eq!(
            template.check(&["1"]).unwrap_err().to_string(),
            "template \"{txet}\": there is no column txet; there is 1"
        );
        assert_eq!(template.check(&["txet"]), Ok(()));
    }

    #[test]
    fn near_names() {
        assert_eq!(nearest("Sentense", ["sentence", "label"].into_iter()), Some("sentence".into()));
        assert_eq!(nearest("x", ["sentence"].into_iter()), None);
    }
}
