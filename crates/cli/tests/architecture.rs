//! The drawing of the crates in `docs/ARCHITECTURE.md` is what the manifests say.

use std::collections::BTreeMap;
use std::path::Path;

/// The lines that open and close the drawing.
const OPEN: &str = "```crates";
const CLOSE: &str = "```";

/// The crates of ours that each crate uses (not only to test it), by their folders' names.
fn dependencies(crates: &Path) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(crates).unwrap() {
        let folder = entry.unwrap().path();
        let Ok(manifest) = std::fs::read_to_string(folder.join("Cargo.toml")) else { continue };
        let uses = manifest
            .lines()
            .skip_while(|line| *line != "[dependencies]")
            .skip(1)
            .take_while(|line| !line.starts_with('['))
            .filter_map(|line| Some(line.strip_prefix("t5kit-")?.split([' ', '.', '=']).next()?.to_owned()))
            .collect();
        found.insert(folder.file_name().unwrap().to_str().unwrap().to_owned(), uses);
    }
    found
}

/// The longest way down from a crate.
fn height(name: &str, uses: &BTreeMap<String, Vec<String>>) -> usize {
    uses[name].iter().map(|lower| 1 + height(lower, uses)).max().unwrap_or(0)
}

/// The highest first.
fn sorted<'n>(
    names: impl IntoIterator<Item = &'n String>,
    uses: &BTreeMap<String, Vec<String>>,
) -> Vec<&'n str> {
    let mut names: Vec<&str> = names.into_iter().map(String::as_str).collect();
    names.sort_by_key(|name| (std::cmp::Reverse(height(name, uses)), *name));
    names
}

/// A line for each crate, the highest first, with what it uses, the highest first.
fn drawing(uses: &BTreeMap<String, Vec<String>>) -> String {
    let widest = uses.keys().map(String::len).max().unwrap();
    let mut lines = String::new();
    for name in sorted(uses.keys(), uses) {
        let lower = match sorted(&uses[name], uses)[..] {
            [] => "–".to_owned(),
            ref lower => format!("──► {}", lower.join(", ")),
        };
        lines += &format!("{name:widest$} {lower}\n");
    }
    lines
}

#[test]
fn the_drawing_of_the_crates_is_true() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = std::fs::read_to_string(root.join("docs/ARCHITECTURE.md")).unwrap();
    let drawn: String = page
        .lines()
        .skip_while(|line| *line != OPEN)
        .skip(1)
        .take_while(|line| *line != CLOSE)
        .map(|line| format!("{line}\n"))
        .collect();
    let uses = dependencies(&root.join("crates"));
    assert!(uses.len() > 8 && uses["cli"].len() > 6, "manifests are read: {uses:?}");
    let truth = drawing(&uses);
    assert!(drawn == truth, "docs/ARCHITECTURE.md should have, after {OPEN}:\n{truth}");
}
