//! TOML read into values that know where they stand, and what a command line sets in their place: recipes, mixtures.

use std::fmt;
use std::path::{Path, PathBuf};

use toml_edit::{Document, Item, Table, TableLike};

/// Where something stands: `recipe.toml:12:3`, or `--set data.file`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place(String);

impl Place {
    /// The place of what a whole file says.
    pub fn of_file(path: &Path) -> Self {
        Place(path.display().to_string())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Something in a file that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub struct Error {
    /// Where it stands.
    pub place: Place,
    /// What is wrong, and how to mend it.
    pub what: String,
}

/// An error at a place.
pub fn at(place: &Place, what: impl Into<String>) -> Error {
    Error { place: place.clone(), what: what.into() }
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Value {
    /// What it is.
    pub node: Node,
    /// Where it stands.
    pub place: Place,
    /// The folder that relative paths in it begin from: the file's, or for what was typed the working directory.
    pub home: PathBuf,
}

/// What a value is.
#[derive(Clone, Debug)]
pub enum Node {
    /// True or false.
    Bool(bool),
    /// A whole number as it is written.
    Integer(String),
    /// A number with a point or an exponent as it is written.
    Float(String),
    /// Text.
    Text(String),
    /// Values in brackets.
    List(Vec<Value>),
    /// Keys with values.
    Section(Section),
    /// A date or a time, which no key wants.
    Date,
}

impl Node {
    /// What it is, in an error.
    pub fn kind(&self) -> &'static str {
        match self {
            Node::Bool(_) => "true or false",
            Node::Integer(_) => "a whole number",
            Node::Float(_) => "a number",
            Node::Text(_) => "text",
            Node::List(_) => "a list",
            Node::Section(_) => "a section",
            Node::Date => "a date",
        }
    }
}

/// Keys and their values, in the order of the file.
#[derive(Clone, Debug, Default)]
pub struct Section {
    /// Each key once.
    pub entries: Vec<Entry>,
}

/// A key with its value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub place: Place,
    /// What it is given.
    pub value: Value,
}

impl Section {
    /// The entry of a key.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}

/// A text of TOML and its name, by which places are told.
struct Source<'a> {
    name: String,
    text: &'a str,
    home: PathBuf,
    /// The place of everything, where that is not told by lines.
    fixed: Option<Place>,
}

impl Source<'_> {
    /// Line and column, both from 1 and the column in characters.
    fn place(&self, span: Option<std::ops::Range<usize>>) -> Place {
        if let Some(place) = &self.fixed {
            return place.clone();
        }
        let Some(before) = span.and_then(|span| self.text.get(..span.start)) else {
            return Place(self.name.clone());
        };
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Place(format!("{}:{line}:{column}", self.name))
    }

    fn section(&self, table: &dyn TableLike) -> Section {
        let entries = table.iter().map(|(key, item)| {
            let place = self.place(table.key(key).and_then(|key| key.span()).or_else(|| item.span()));
            Entry { key: key.to_owned(), value: self.item(item, &place), place }
        });
        Section { entries: entries.collect() }
    }

    fn item(&self, item: &Item, key: &Place) -> Value {
        let of = |node, place| Value { node, place, home: self.home.clone() };
        let table = |table: &Table| of(Node::Section(self.section(table)), self.place(table.span()));
        match item {
            Item::Table(inner) => Value { place: key.clone(), ..table(inner) },
            Item::ArrayOfTables(tables) => of(Node::List(tables.iter().map(table).collect()), key.clone()),
            Item::Value(value) => self.value(value),
            Item::None => of(Node::Section(Section::default()), key.clone()),
        }
    }

    fn value(&self, value: &toml_edit::Value) -> Value {
        use toml_edit::Value as V;
        let place = self.place(value.span());
        // As it is written: 2e-4 is to be 2e-4 in the command that is shown.
        let written = || {
            let span = value.span().and_then(|span| self.text.get(span)).unwrap_or_default();
            span.replace('_', "").trim_start_matches('+').to_owned()
        };
        let node = match value {
            V::String(text) => Node::Text(text.value().clone()),
            V::Integer(n)
                if written().starts_with("0x")
                    || written().starts_with("0o")
                    || written().starts_with("0b") =>
            {
                Node::Integer(n.value().to_string())
            }
            V::Integer(_) => Node::Integer(written()),
            V::Float(_) => Node::Float(written()),
            V::Boolean(truth) => Node::Bool(*truth.value()),
            V::Datetime(_) => Node::Date,
            V::Array(list) => Node::List(list.iter().map(|value| self.value(value)).collect()),
            V::InlineTable(table) => Node::Section(self.section(table)),
        };
        Value { node, place, home: self.home.clone() }
    }

    fn error(&self, error: &toml_edit::TomlError) -> Error {
        let message = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
        at(&self.place(error.span()), format!("is no TOML: {message}"))
    }
}

/// A file, with what is set over it.
#[derive(Clone, Debug)]
pub struct File {
    /// Its keys and sections.
    pub root: Section,
    /// The file itself, for what has no place of its own.
    pub place: Place,
}

/// Reads what `text` says, which lies in the file `path`, and puts `sets` (`section.key=value`) in their places; errors call
/// these by the field's name.
///
/// # Errors
/// What is no TOML, with the place.
pub fn read(path: &Path, text: &str, sets: &[String]) -> Result<File, Error> {
    let home = path.parent().map(Path::to_path_buf).unwrap_or_default();
    let source = Source { name: path.display().to_string(), text, home, fixed: None };
    let document = Document::parse(text).map_err(|error| source.error(&error))?;
    let mut root = source.section(document.as_table());
    for set in sets {
        put(&mut root, set)?;
    }
    Ok(File { root, place: Place::of_file(path) })
}

/// Sets `section.key=value`: the value is TOML, or text as it stands.
fn put(root: &mut Section, set: &str) -> Result<(), Error> {
    let shown = Place(format!("`set` {set}"));
    let Some((name, value)) = set.split_once('=') else {
        return Err(at(&shown, "is given as section.key=value"));
    };
    let place = Place(format!("`set` {}", name.trim()));
    let parts: Vec<&str> = name.split('.').map(str::trim).collect();
    if parts.iter().any(|part| part.is_empty()) {
        return Err(at(&shown, "is given as section.key=value"));
    }
    let toml = format!("x = {value}");
    let fixed = Some(place.clone());
    let source = Source { name: String::new(), text: &toml, home: PathBuf::new(), fixed };
    let value = match Document::parse(toml.as_str()) {
        Ok(document) if document.as_table().len() == 1 => {
            let item = document.as_table().get("x").expect("it is the only key");
            source.item(item, &place)
        }
        _ => Value { node: Node::Text(value.to_owned()), place: place.clone(), home: PathBuf::new() },
    };
    let (key, sections) = parts.split_last().expect("split gives one part at least");
    let mut section = root;
    for name in sections {
        let at_key = section.entries.iter().position(|entry| entry.key == *name);
        let entry = match at_key {
            Some(found) => &mut section.entries[found],
            None => {
                let node = Node::Section(Section::default());
                let value = Value { node, place: place.clone(), home: PathBuf::new() };
                section.entries.push(Entry { key: (*name).to_owned(), place: place.clone(), value });
                section.entries.last_mut().expect("it was pushed")
            }
        };
        match &mut entry.value.node {
            Node::Section(inner) => section = inner,
            other => return Err(at(&place, format!("{name} is {}, not a section", other.kind()))),
        }
    }
    let entry = Entry { key: (*key).to_owned(), place, value };
    match section.entries.iter_mut().find(|old| old.key == *key) {
        Some(old) => *old = entry,
        None => section.entries.push(entry),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &str, sets: &[&str]) -> Result<Section, String> {
        let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
        read(Path::new("a/b.toml"), text, &sets).map(|file| file.root).map_err(|e| e.to_string())
    }

    #[test]
    fn values_know_where_they_stand_and_how_they_are_written() {
        let text = "name = \"题\"\n[finetune]\n  learning_rate = 2e-4 # a comment\nn = +1_000\nx.y = [1, 'a']\n\
                    [[compare]]\nmodel = 'm'\n";
        let root = parsed(text, &[]).unwrap();
        let Node::Section(finetune) = &root.get("finetune").unwrap().value.node else { panic!() };
        let rate = finetune.get("learning_rate").unwrap();
        assert_eq!(
            (rate.place.to_string(), rate.value.place.to_string()),
            ("a/b.toml:3:3".into(), "a/b.toml:3:19".into())
        );
        assert!(matches!(&rate.value.node, Node::Float(n) if n == "2e-4"));
        assert!(matches!(&finetune.get("n").unwrap().value.node, Node::Integer(n) if n == "1000"));
        assert!(matches!(&finetune.get("x").unwrap().value.node, Node::Section(_)));
        assert_eq!(rate.value.home, Path::new("a"));
        assert!(matches!(&root.get("compare").unwrap().value.node, Node::List(l) if l.len() == 1));
    }

    #[test]
    fn what_is_set_takes_the_place_of_what_stands_there() {
        let text = "[data]\nfile = 'a'\n";
        let sets = ["data.file=/tmp/b c.tsv", "finetune.epochs=3", "trim.counts=['zh']", "name = \"n\""];
        let root = parsed(text, &sets).unwrap();
        let Node::Section(data) = &root.get("data").unwrap().value.node else { panic!() };
        let file = data.get("file").unwrap();
        assert!(matches!(&file.value.node, Node::Text(t) if t == "/tmp/b c.tsv"));
        assert_eq!(
            (file.place.to_string(), file.value.home.as_os_str().len()),
            ("`set` data.file".into(), 0)
        );
        assert_eq!(data.entries.len(), 1);
        let Node::Section(finetune) = &root.get("finetune").unwrap().value.node else { panic!() };
        assert!(matches!(&finetune.get("epochs").unwrap().value.node, Node::Integer(n) if n == "3"));
        for (set, said) in [
            ("data", "is given as section.key=value"),
            ("data..x=1", "section.key=value"),
            ("data.file.x=1", "file is text, not a section"),
        ] {
            assert!(parsed(text, &[set]).unwrap_err().contains(said), "{set}");
        }
    }

    #[test]
    fn what_is_no_toml_is_refused_with_its_place() {
        let error = parsed("a = 1\nb = = 2\n", &[]).unwrap_err();
        assert!(error.starts_with("a/b.toml:2:") && error.lines().count() == 1, "{error}");
        assert!(parsed("a = 1\na = 2\n", &[]).unwrap_err().starts_with("a/b.toml:2:1: is no TOML"));
    }

    proptest! {
        #[test]
        fn whatever_the_text_nothing_panics(text in "[a-z\\[\\]=.\"'0-9\n #_中-]{0,60}", set in ".{0,20}") {
            let _ = parsed(&text, &[&set]);
        }
    }
}
