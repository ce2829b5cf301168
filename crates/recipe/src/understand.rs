//! A document's values as the arguments of flags: which keys there are, what their values are, which files they name.

use std::path::{Path, PathBuf};

use crate::error::{Error, at};
use crate::keys::{Key, Kind, Names, Program, SECTIONS, SectionSpec, near, same};
use t5kit_formats::toml::{Entry, Node, Place, Section, Value};

/// An argument: a text as it stands, or a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// A text.
    Text(String),
    /// A file or folder of the user's, by which its content is meant.
    Input(PathBuf),
    /// The same with a mark before its path: `@words.txt`.
    Marked(char, PathBuf),
    /// The same with a weight behind it: `news=2`.
    Weighted(PathBuf, String),
}

impl Word {
    /// As it is typed.
    pub fn typed(&self) -> String {
        match self {
            Word::Text(text) => text.clone(),
            Word::Input(path) => path.to_string_lossy().into_owned(),
            Word::Marked(mark, path) => format!("{mark}{}", path.display()),
            Word::Weighted(path, weight) => format!("{}={weight}", path.display()),
        }
    }

    /// The file that it is.
    pub fn input(&self) -> Option<&Path> {
        match self {
            Word::Text(_) => None,
            Word::Input(path) | Word::Marked(_, path) | Word::Weighted(path, _) => Some(path),
        }
    }

    /// The weight that is behind it.
    pub fn weight(&self) -> Option<&str> {
        match self {
            Word::Weighted(_, weight) => Some(weight),
            _ => None,
        }
    }
}

/// A key that a section gives, as a flag's arguments: none for a flag that stands alone.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub flag: String,
    pub key: String,
    pub place: Place,
    pub words: Vec<Word>,
}

/// A section that was understood.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub place: Place,
    pub settings: Vec<Setting>,
}

impl Settings {
    pub fn get(&self, flag: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.flag == flag)
    }

    /// The only word of a setting.
    pub fn word(&self, flag: &str) -> Option<&Word> {
        self.get(flag)?.words.first()
    }
}

/// The values of a section whose keys are known, itself and the sections in it.
pub(crate) fn section(
    program: &Program,
    name: &'static str,
    entry: &Entry,
    inner: &[&str],
) -> Result<Settings, Error> {
    let Node::Section(section) = &entry.value.node else {
        return Err(at(
            &entry.value.place,
            format!("{name} is a section: write [{name}] and its keys below it"),
        ));
    };
    let spec = SectionSpec::named(name);
    settings(program, name, spec.subcommand, &spec.keys(program), section, &entry.place, inner)
}

/// The settings of a section by its keys.
pub(crate) fn settings(
    program: &Program,
    name: &str,
    subcommand: &str,
    keys: &[Key],
    section: &Section,
    place: &Place,
    inner: &[&str],
) -> Result<Settings, Error> {
    let full = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
    let mut settings = Vec::new();
    for entry in section.entries.iter().filter(|entry| !inner.contains(&entry.key.as_str())) {
        let Some(key) = keys.iter().find(|key| key.name() == entry.key) else {
            return Err(unknown(program, name, subcommand, keys, entry));
        };
        let name = full(&entry.key);
        if let Some(words) = words(key, &name, &entry.value)? {
            settings.push(Setting { flag: key.flag.clone(), key: name, place: entry.place.clone(), words });
        }
    }
    Ok(Settings { place: place.clone(), settings })
}

/// What there is to say about a key that a section does not have.
fn unknown(program: &Program, name: &str, subcommand: &str, keys: &[Key], entry: &Entry) -> Error {
    let key = &entry.key;
    let flags = |section: &SectionSpec| section.keys(program).iter().any(|known| known.name() == *key);
    let set = |flag: &str| {
        let flag = flag.trim_start_matches('-').split(' ').next().unwrap_or_default().to_owned();
        keys.iter().find(|known| known.flag == flag).map(Key::name)
    };
    // Word for word in another section, or the same thing by another's name, or nearly this.
    let elsewhere = SECTIONS.iter().find(|section| section.name != name && flags(section));
    let meant = (program.meant)(subcommand, key).and_then(|flag| set(&flag)).or_else(|| same(key, keys));
    let close = match (meant, elsewhere) {
        (Some(meant), _) => format!("; did you mean {meant}?"),
        (None, Some(section)) => format!("; it belongs to [{}]", section.name),
        (None, None) => {
            let sections = SECTIONS.iter().map(|section| section.name).chain(["compare"]);
            let sections = sections.filter(|_| name.is_empty()).map(|section| format!("[{section}]"));
            let all = keys.iter().map(Key::name).chain(sections);
            near(key, all).map_or(String::new(), |meant| format!("; did you mean {meant}?"))
        }
    };
    let set_itself = program.has(subcommand, &key.replace('_', "-")) && !name.is_empty();
    let what = if set_itself && close.is_empty() {
        format!("[{name}] {key}: the recipe sets this itself")
    } else if name.is_empty() {
        format!("{key}: a recipe has no such key or section{close}")
    } else {
        format!("{key}: [{name}] has no such key{close}")
    };
    at(&entry.place, what)
}

/// The arguments that a value stands for; `None` where it says that the flag is not given.
fn words(key: &Key, name: &str, value: &Value) -> Result<Option<Vec<Word>>, Error> {
    let wrong = |value: &Value, wanted: &str| {
        Err(at(&value.place, format!("{name} must be {wanted}, not {}", value.node.kind())))
    };
    match &value.node {
        Node::List(list) if key.several => {
            let mut words = Vec::new();
            for value in list {
                match word(key, value) {
                    Some(word) => words.push(word),
                    None => return wrong(value, &format!("a list of {}", plural(&key.kind))),
                }
            }
            return Ok((!words.is_empty()).then_some(words));
        }
        Node::Bool(truth) if key.kind == Kind::Switch => return Ok(truth.then(Vec::new)),
        Node::Bool(true) if key.bare && key.kind != Kind::Bool => return Ok(Some(Vec::new())),
        Node::Bool(false) if key.bare && key.kind != Kind::Bool => return Ok(None),
        _ => {}
    }
    match word(key, value) {
        Some(word) => Ok(Some(vec![word])),
        None if key.several => wrong(value, &format!("a list of {}", plural(&key.kind))),
        None => wrong(value, &singular(&key.kind)),
    }
}

fn singular(kind: &Kind) -> String {
    match kind {
        Kind::Switch | Kind::Bool => "true or false".into(),
        Kind::Integer => "a whole number".into(),
        Kind::Number => "a number".into(),
        Kind::Choice(words) => format!("one of {}", words.join(", ")),
        Kind::Text => "text".into(),
    }
}

fn plural(kind: &Kind) -> String {
    match kind {
        Kind::Integer => "whole numbers".into(),
        Kind::Number => "numbers".into(),
        Kind::Choice(words) => words.join(", "),
        _ => "texts".into(),
    }
}

/// The argument that a single value stands for; `None` where it is of another kind.
fn word(key: &Key, value: &Value) -> Option<Word> {
    let text = match (&key.kind, &value.node) {
        (Kind::Bool, Node::Bool(truth)) => truth.to_string(),
        (Kind::Integer | Kind::Number | Kind::Text, Node::Integer(number)) => number.clone(),
        (Kind::Number | Kind::Text, Node::Float(number)) => number.clone(),
        (Kind::Choice(_) | Kind::Text, Node::Text(text)) => text.clone(),
        _ => return None,
    };
    let is_text = matches!(value.node, Node::Text(_));
    let place = |text: &str| value.home.join(text);
    Some(match key.names {
        Names::File if is_text => Word::Input(place(&text)),
        // Anything may be a hub's name that no path says it is.
        Names::FileOrWord if is_text && (text.starts_with(['.', '/']) || is_there(&place(&text))) => {
            Word::Input(place(&text))
        }
        Names::Weighted if is_text => match text.rsplit_once('=') {
            // What is there by the whole name has no weight.
            Some((path, weight)) if !place(&text).exists() => Word::Weighted(place(path), weight.to_owned()),
            _ => Word::Input(place(&text)),
        },
        Names::AtFile if text.starts_with('@') => Word::Marked('@', place(&text[1..])),
        _ => Word::Text(text),
    })
}

/// Whether a file or folder is there, or a TensorFlow checkpoint of that prefix.
pub(crate) fn is_there(path: &Path) -> bool {
    let index = path.file_name().map(|name| path.with_file_name(format!("{}.index", name.to_string_lossy())));
    path.exists() || index.is_some_and(|index| index.exists())
}

/// The first file that a section names and that is not there.
pub(crate) fn missing(settings: &Settings) -> Option<Error> {
    let of = |setting: &Setting| {
        let gone = |path: &&Path| !is_there(path) && !path.to_string_lossy().contains(['*', '?', '[']);
        let path = setting.words.iter().filter_map(Word::input).find(gone)?;
        let what = format!("{}: {}: no such file or folder", setting.key, path.display());
        Some(Error::Missing { place: setting.place.clone(), what })
    };
    settings.settings.iter().find_map(of)
}
