//! What stages of work and the things they count are called in the reader's language.

use std::borrow::Cow;
use t5kit_formats::lang::{Terminal, fill};

/// A library's word for a stage, and the reader's.
type Word = (&'static str, fn(&Terminal) -> &'static str);

const STAGES: [Word; 10] = [
    ("counting", |t| t.work_counting),
    ("cutting", |t| t.work_cutting),
    ("converting", |t| t.work_converting),
    ("reading", |t| t.work_reading),
    ("training", |t| t.work_training),
    ("validating", |t| t.work_validating),
    ("generating", |t| t.work_generating),
    ("measuring", |t| t.work_measuring),
    ("scoring", |t| t.work_scoring),
    ("looking for changes", |t| t.work_looking_for_changes),
];

const UNITS: [Word; 10] = [
    ("lines", |t| t.unit_lines),
    ("rows", |t| t.unit_rows),
    ("steps", |t| t.unit_steps),
    ("texts", |t| t.unit_texts),
    ("pairs", |t| t.unit_pairs),
    ("examples", |t| t.unit_examples),
    ("targets", |t| t.unit_targets),
    ("headlines", |t| t.unit_headlines),
    ("rounds", |t| t.unit_rounds),
    ("documents", |t| t.unit_documents),
];

fn find(words: &[Word], name: &str, t: &Terminal) -> Option<&'static str> {
    words.iter().find(|(known, _)| *known == name).map(|(_, said)| said(t))
}

/// A stage by its library's name: `training`, `fetching spiece.model`.
pub(super) fn stage<'a>(name: &'a str, t: &Terminal) -> Cow<'a, str> {
    if let Some(file) = name.strip_prefix("fetching ") {
        return fill(t.work_fetching, &[("file", &file)]).into();
    }
    find(&STAGES, name, t).unwrap_or(name).into()
}

/// What a stage counts.
pub(super) fn unit(name: &'static str, t: &Terminal) -> &'static str {
    find(&UNITS, name, t).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use t5kit_formats::lang::Lang;

    /// The sources of all crates, as far as they are no tests.
    fn sources(folder: &Path, all: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("tests") {
                sources(&path, all);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                all.push_str(text.split("#[cfg(test)]").next().unwrap());
            }
        }
    }

    /// The text in quotes at the beginning.
    fn quoted(text: &str) -> Option<&str> {
        text.trim_start().strip_prefix('"')?.split('"').next()
    }

    #[test]
    fn every_stage_and_unit_of_the_libraries_has_its_word() {
        let mut all = String::new();
        for krate in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).unwrap() {
            sources(&krate.unwrap().path().join("src"), &mut all);
        }
        let (mut stages, mut units) = (Vec::new(), Vec::new());
        for call in all.split("Progress::items(").skip(1) {
            // A stage that is no text here comes from `Results::new` below.
            let (stage, rest) = call.split_once(',').unwrap();
            stages.extend(quoted(stage));
            units.push(quoted(rest).unwrap());
        }
        stages.extend(all.split("Progress::bytes(").skip(1).filter_map(quoted));
        let results = all.split("Results::new(").skip(1).filter_map(|call| call.split_once(")?"));
        stages.extend(results.filter_map(|(call, _)| quoted(call.rsplit_once(", ")?.1)));
        assert!(stages.len() >= 12 && units.len() >= 8, "{stages:?} {units:?}");
        let (en, zh) = (&Lang::En.texts().terminal, &Lang::Zh.texts().terminal);
        for name in stages {
            assert!(stage(name, en) == name && stage(name, zh) != name, "{name}");
        }
        for name in units {
            assert!(find(&UNITS, name, en) == Some(name) && find(&UNITS, name, zh) != Some(name), "{name}");
            assert!(find(&UNITS, name, zh).is_some(), "{name}");
        }
        assert_eq!(stage("fetching spiece.model", zh), "下载 spiece.model");
        assert_eq!(stage("fetching spiece.model", en), "fetching spiece.model");
    }
}
