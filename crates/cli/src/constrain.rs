//! `--constrain`: which texts may come, from the flag to a wish, and what is said of it.

use anyhow::{Context, Result};
use std::io::Read;
use std::path::Path;
use t5kit_formats::encoding::Encoding;
use t5kit_generate::constrain::Constraint;
use t5kit_generate::{GenerateOptions, Generated};
use t5kit_pipeline::Constrain;

use crate::errors::usage;
use crate::table_flags::Announced;

/// What a constraint can be, and what is often written instead.
const KINDS: [(&str, &[&str]); 4] = [
    ("list", &["choices", "choice", "enum", "texts", "one-of", "lists"]),
    ("trie", &["prefix", "prefixes", "prefix-trie", "tree", "tries", "begins"]),
    ("regex", &["regexp", "re", "pattern", "grammar", "match", "regx"]),
    ("labels", &["label", "classes", "class", "lables", "score"]),
];

/// What the values of `--constrain` ask for together; labels without a list are an empty one.
pub fn wished(values: &[String]) -> Result<Option<Constrain>> {
    let mut found: Option<(&str, Vec<String>)> = None;
    for value in values {
        let (name, what) = match value.split_once([':', '：']) {
            Some((name, what)) => (name, Some(what)),
            None => (&value[..], None),
        };
        let kind = kind(name.trim())?;
        let (before, texts) = found.get_or_insert((kind, Vec::new()));
        if *before != kind {
            return Err(usage(format!("--constrain {before} and --constrain {kind}: use one or the other")));
        }
        match (kind, what) {
            ("regex", Some(_)) if !texts.is_empty() => {
                return Err(usage("--constrain regex: one pattern; join several as (?:A|B)"));
            }
            ("regex", Some(pattern)) => texts.push(pattern.to_owned()),
            ("labels", None) => {}
            (_, None) => return Err(usage(format!("--constrain {kind}: give it {}", example(kind)))),
            (_, Some(what)) => texts.extend(self::texts(kind, what)?),
        }
    }
    Ok(found.map(|(kind, mut texts)| match kind {
        "list" => Constrain::List(texts),
        "trie" => Constrain::Beginnings(texts),
        "regex" => Constrain::Regex(texts.pop().unwrap_or_default()),
        _ => Constrain::Labels(texts),
    }))
}

fn kind(name: &str) -> Result<&'static str> {
    let exact = KINDS.iter().find(|(kind, _)| *kind == name);
    let meant = || KINDS.iter().find(|(_, others)| others.contains(&&*name.to_lowercase()));
    exact.map(|(kind, _)| *kind).ok_or_else(|| {
        let meant = meant().map_or(String::new(), |(kind, _)| format!("; did you mean {}?", example(kind)));
        usage(format!("--constrain {name:?}: there is list, trie, regex and labels{meant}"))
    })
}

fn example(kind: &str) -> &'static str {
    match kind {
        "list" => "list:正面,负面 or list:@FILE",
        "trie" => "trie:BEGINNING,… or trie:@FILE",
        "regex" => "regex:PATTERN",
        _ => "labels:正面,负面 or labels:@FILE",
    }
}

/// The texts of a value: those between commas, or the lines of a file.
fn texts(kind: &str, what: &str) -> Result<Vec<String>> {
    let given: Vec<String> = match what.strip_prefix('@') {
        Some(file) => {
            let mut text = String::new();
            let read = Announced::open(Path::new(file), Encoding::default())
                .and_then(|mut lines| Ok(lines.read_to_string(&mut text)?));
            read.with_context(|| format!("--constrain: cannot read {file}"))?;
            text.lines().map(str::to_owned).collect()
        }
        None if !what.contains([',', '，']) && Path::new(what).is_file() => {
            return Err(usage(format!(
                "--constrain {kind}:{what}: that is a file; write {kind}:@{what} for its lines"
            )));
        }
        None => what.split([',', '，']).map(str::to_owned).collect(),
    };
    let mut texts: Vec<String> = Vec::new();
    for text in given.iter().map(|text| text.trim()).filter(|text| !text.is_empty()) {
        if !texts.iter().any(|other| other == text) {
            texts.push(text.to_owned());
        }
    }
    match texts.is_empty() {
        true => {
            Err(usage(format!("--constrain {kind}:{what}: there is no text in it; give {}", example(kind))))
        }
        false => Ok(texts),
    }
}

/// What is asked for as a value of `--constrain`, the lines of files among it.
pub fn in_words(constrain: &Constrain) -> String {
    match constrain {
        Constrain::List(texts) => format!("list:{}", texts.join(",")),
        Constrain::Beginnings(texts) => format!("trie:{}", texts.join(",")),
        Constrain::Regex(pattern) => format!("regex:{pattern}"),
        Constrain::Labels(labels) if labels.is_empty() => "labels".to_owned(),
        Constrain::Labels(labels) => format!("labels:{}", labels.join(",")),
    }
}

/// Wrong usage where labels are to be scored and nobody says which, or are to be printed as they come.
pub fn check_labels(constrain: Option<&Constrain>, stream: bool) -> Result<()> {
    match constrain {
        Some(Constrain::Labels(labels)) if labels.is_empty() => {
            Err(usage(format!("--constrain labels: which? Give {}", example("labels"))))
        }
        Some(Constrain::Labels(_)) if stream => Err(usage(
            "--stream prints a text as it is chosen, and --constrain labels chooses none: use one or the other",
        )),
        _ => Ok(()),
    }
}

/// The labels where they are those of the references, which is said; nothing otherwise.
pub fn of_references<'a>(constrain: &mut Option<Constrain>, references: impl Iterator<Item = &'a String>) {
    let Some(Constrain::Labels(labels)) = constrain else { return };
    if !labels.is_empty() {
        return;
    }
    let mut seen: Vec<&str> = references.map(|text| text.trim()).filter(|t| !t.is_empty()).collect();
    seen.sort_unstable();
    seen.dedup();
    *labels = seen.iter().map(|text| (*text).to_owned()).collect();
    let mut shown = seen.iter().take(20).copied().collect::<Vec<_>>().join(", ");
    if seen.len() > 20 {
        shown += ", …";
    }
    told!(labels_of_references, count = seen.len(), labels = shown);
}

/// Says that a list cannot give as many texts as are asked for.
pub fn say_fewer(options: &GenerateOptions) {
    if let Some(Constraint::List(texts)) = options.constraint.as_deref()
        && !options.do_sample
        && texts.names().len() < options.num_return_sequences
    {
        told!(constrained_fewer, count = texts.names().len());
    }
}

/// Says how many texts are no whole ones.
pub fn say_unfinished(count: usize) {
    if count > 0 {
        told!(constrained_unfinished, count = count);
    }
}

/// How many of these targets are no whole texts of what is permitted.
pub fn unfinished(options: &GenerateOptions, targets: &[Generated]) -> usize {
    let Some(constraint) = options.constraint.as_deref() else { return 0 };
    let said = |target: &&Generated| target.ids.get(options.prefix.len()..).unwrap_or_default().to_vec();
    targets.iter().filter(|target| !constraint.accepts(&said(target))).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&str]) -> Result<Option<Constrain>> {
        wished(&values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn values_are_understood() {
        let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert_eq!(of(&[]).unwrap(), None);
        let both = Some(Constrain::List(list(&["正面", "负面"])));
        assert_eq!(of(&["list:正面,负面"]).unwrap(), both);
        assert_eq!(of(&["list：正面， 负面，正面"]).unwrap(), both);
        assert_eq!(of(&["list:正面", "list:负面"]).unwrap(), both);
        assert_eq!(of(&["labels"]).unwrap(), Some(Constrain::Labels(Vec::new())));
        assert_eq!(of(&["regex:a,b:c"]).unwrap(), Some(Constrain::Regex("a,b:c".into())));
        assert_eq!(of(&["trie:关于"]).unwrap(), Some(Constrain::Beginnings(list(&["关于"]))));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("labels.txt");
        // In GB18030.
        std::fs::write(&file, b"\xd5\xfd\xc3\xe6\xa3\xac\xd2\xbb\r\n\r\n\xb8\xba\xc3\xe6\r\n").unwrap();
        let value = format!("list:@{}", file.display());
        assert_eq!(of(&[&value]).unwrap(), Some(Constrain::List(list(&["正面，一", "负面"]))));
    }

    #[test]
    fn wrong_values_say_what_is_meant() {
        let here = std::env::current_exe().unwrap().display().to_string();
        for (values, message) in [
            (&["regexp:a"][..], "did you mean regex:PATTERN?"),
            (&["nothing"], "there is list, trie, regex and labels"),
            (&["list"], "--constrain list: give it list:正面,负面"),
            (&["list:"], "there is no text in it"),
            (&["list:,"], "there is no text in it"),
            (&["list:a", "regex:b"], "--constrain list and --constrain regex: use one or the other"),
            (&["regex:a", "regex:b"], "one pattern"),
            (&["list:@/no/such/file"], "cannot read /no/such/file"),
            (&[&format!("list:{here}")], "that is a file; write list:@"),
        ] {
            let said = format!("{:#}", of(values).unwrap_err());
            assert!(said.contains(message), "{values:?}: {said}");
        }
        assert!(check_labels(of(&["labels"]).unwrap().as_ref(), false).is_err());
    }
}
