//! The keys that a recipe can have: those of its own, and the flags of the subcommands that its stages run.
//!
//! The program describes its flags ([`Subcommand`]), so a flag that is added there is a key here.

use t5kit_formats::toml::Place;

/// What a value of a key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// True, or left out: a flag without a value.
    Switch,
    /// True or false.
    Bool,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// One of these words.
    Choice(Vec<String>),
    /// Anything: texts, and numbers as texts.
    Text,
}

/// What a text of a key names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// Nothing on the disk.
    Nothing,
    /// A file or folder, which has to be there.
    File,
    /// A file or folder if there is one of that name, else something else: a set, a name on the hub.
    FileOrWord,
    /// A word, or `@` and a file.
    AtFile,
    /// A file, folder or pattern, which has to be there; `=` and a number may stand behind it.
    Weighted,
}

/// A key of a section.
#[derive(Clone, Debug)]
pub struct Key {
    /// The flag's long name, without `--`; the key has underscores in place of its hyphens.
    pub flag: String,
    /// Other names of the flag, by which it is suggested.
    pub aliases: Vec<String>,
    /// What its value is.
    pub kind: Kind,
    /// Whether it takes a list.
    pub several: bool,
    /// Whether it may also stand without a value, which `true` does.
    pub bare: bool,
    /// What it names.
    pub names: Names,
    /// What it is for.
    pub help: String,
    /// What it is where nothing is said.
    pub default: Option<String>,
}

impl Key {
    /// The key as a recipe has it.
    pub fn name(&self) -> String {
        self.flag.replace('-', "_")
    }
}

/// A subcommand and its flags.
#[derive(Clone, Debug)]
pub struct Subcommand {
    /// Its name.
    pub name: String,
    /// Its flags, hidden ones left out.
    pub keys: Vec<Key>,
}

impl Subcommand {
    /// Whether it has this flag.
    pub(crate) fn has(&self, flag: &str) -> bool {
        self.keys.iter().any(|key| key.flag == flag)
    }
}

/// The program as recipes know it.
pub struct Program {
    /// Its subcommands.
    pub subcommands: Vec<Subcommand>,
    /// The flag (`--batch-size`) that is meant by a name that others have for it, in a subcommand.
    pub meant: fn(subcommand: &str, name: &str) -> Option<String>,
}

impl Program {
    pub(crate) fn get(&self, name: &str) -> Option<&Subcommand> {
        self.subcommands.iter().find(|subcommand| subcommand.name == name)
    }

    /// Whether a subcommand has a flag.
    pub(crate) fn has(&self, subcommand: &str, flag: &str) -> bool {
        self.get(subcommand).is_some_and(|subcommand| subcommand.has(flag))
    }
}

/// A section of recipes.
pub(crate) struct SectionSpec {
    /// Its name as it stands in brackets.
    pub name: &'static str,
    /// The subcommand whose flags are its keys.
    pub subcommand: &'static str,
    /// Flags that the stage sets itself.
    without: &'static [&'static str],
    /// What it is for.
    pub help: &'static str,
}

/// How a model is read: said once, in `[model]`.
const READING: [&str; 10] = [
    "model",
    "tokenizer",
    "adapter",
    "revision",
    "config",
    "keep-tokens",
    "allow-missing",
    "allow-unexpected",
    "allow-mismatched",
    "allow-aliased",
];
/// Where results go: the recipe's business.
const RESULTS: [&str; 3] = ["output", "force", "resume"];
/// How tables are read: said once, in `[data]`.
const TABLES: [&str; 8] =
    ["source", "target", "prompt", "format", "sheet", "header", "no-header", "encoding"];
/// What a conversion is checked with, which is read on a terminal.
const CHECK: [&str; 8] = [
    "check",
    "max-examples",
    "max-new-tokens",
    "bootstrap",
    "threads",
    "json",
    "source-prefix",
    "max-source-length",
];

/// The sections whose keys are flags.
pub(crate) const SECTIONS: [SectionSpec; 8] = [
    SectionSpec {
        name: "model",
        subcommand: "convert",
        without: &["model"],
        help: "The model that everything begins from: `path`, or `config` alone for random weights",
    },
    SectionSpec {
        name: "trim",
        subcommand: "trim",
        without: &["model", "tokenizer", "revision"],
        help: "Cut the vocabulary to the pieces worth keeping",
    },
    SectionSpec {
        name: "trim.count",
        subcommand: "count",
        without: &["tokenizer"],
        help: "Count a corpus of one's own; the counts are added to `trim.counts`",
    },
    SectionSpec {
        name: "data",
        subcommand: "split",
        without: &["input"],
        help: "The examples: one file to be split, or files of their own for the parts",
    },
    SectionSpec {
        name: "finetune",
        subcommand: "finetune",
        without: &[
            "train",
            "valid",
            "valid-split",
            "mixture",
            "on-error",
            "init-seed",
            "architecture",
            "halve-layers",
            "add-tokens",
            "allow-spare-rows",
        ],
        help: "Train the model on the training part",
    },
    // Behind [finetune], which a key that both have is likelier meant for.
    SectionSpec {
        name: "pretrain",
        subcommand: "pretrain",
        without: &["init-seed", "architecture", "halve-layers", "add-tokens", "allow-spare-rows"],
        help: "Let the model go on learning from text alone, before it is fine-tuned",
    },
    SectionSpec {
        name: "evaluate",
        subcommand: "evaluate",
        without: &["data", "json", "name"],
        help: "Generate for the test part, and compare with the references",
    },
    SectionSpec {
        name: "export",
        subcommand: "convert",
        without: &["model", "add-tokens", "init-seed", "architecture", "halve-layers", "allow-spare-rows"],
        help: "Write the trained model once more: in another type, adapters merged",
    },
];

impl SectionSpec {
    pub fn named(name: &str) -> &'static SectionSpec {
        SECTIONS.iter().find(|section| section.name == name).expect("a section of the table")
    }

    /// The keys that it has: its own first, then the subcommand's flags.
    pub fn keys(&self, program: &Program) -> Vec<Key> {
        let mut keys = own(self.name);
        let reads_tables = matches!(self.name, "finetune" | "evaluate");
        let converts = self.subcommand == "convert";
        let reads_model = matches!(self.name, "pretrain" | "finetune" | "evaluate" | "export");
        let flags = program.get(self.subcommand).map_or(&[][..], |subcommand| &subcommand.keys[..]);
        let left = flags.iter().filter(|key| {
            let flag = key.flag.as_str();
            !(self.without.contains(&flag)
                || RESULTS.contains(&flag)
                || converts && (CHECK.contains(&flag) || TABLES.contains(&flag))
                || reads_tables && TABLES.contains(&flag)
                || reads_model && READING.contains(&flag))
        });
        keys.extend(left.cloned());
        keys
    }
}

fn key(flag: &str, kind: Kind, names: Names, several: bool, help: &str) -> Key {
    Key {
        flag: flag.to_owned(),
        aliases: Vec::new(),
        kind,
        several,
        bare: false,
        names,
        help: help.to_owned(),
        default: None,
    }
}

/// The keys of a section that are no flags of its subcommand; those of the recipe itself for `""`.
pub(crate) fn own(section: &str) -> Vec<Key> {
    let text = |flag, help| key(flag, Kind::Text, Names::Nothing, false, help);
    match section {
        "" => vec![
            text("name", "What the report calls it"),
            text("output", "Folder of everything that is made, beside the recipe"),
            Key {
                default: Some("0".into()),
                ..key(
                    "seed",
                    Kind::Integer,
                    Names::Nothing,
                    false,
                    "Decides the split and the training's order",
                )
            },
            key("threads", Kind::Integer, Names::Nothing, false, "Threads to work on"),
        ],
        "model" => vec![key(
            "path",
            Kind::Text,
            Names::FileOrWord,
            false,
            "Folder, TensorFlow checkpoint, file of weights, or name on the hub such as google/mt5-small",
        )],
        "trim.count" => {
            vec![key("inputs", Kind::Text, Names::File, true, "Files, folders or patterns of text")]
        }
        "data" => vec![Key {
            aliases: vec!["files".into(), "input".into()],
            ..key("file", Kind::Text, Names::File, true, "Examples that the split takes its parts from")
        }],
        "evaluate" => vec![text("name", "What the model is called in the table and on the page")],
        "compare" => vec![
            text("name", "What it is called"),
            Key {
                aliases: vec!["path".into()],
                ..key("model", Kind::Text, Names::FileOrWord, false, "Another model in the same table")
            },
        ],
        _ => Vec::new(),
    }
}

/// The key that is meant by another name of the same flag.
pub(crate) fn same(name: &str, keys: &[Key]) -> Option<String> {
    let plain = |name: &str| name.to_lowercase().replace('-', "_");
    let name = plain(name);
    let alias = |key: &&Key| key.aliases.iter().any(|alias| plain(alias) == name) || plain(&key.flag) == name;
    keys.iter().find(alias).map(Key::name)
}

/// The nearest of some names, if one is near.
pub(crate) fn near(name: &str, names: impl Iterator<Item = String>) -> Option<String> {
    names
        .map(|known| (strsim::jaro_winkler(name, &known), known))
        .filter(|(near, _)| *near > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

/// A flag that a stage was given, and where the recipe says so.
#[derive(Clone, Debug)]
pub struct Given {
    /// The section and key: `finetune.epochs`.
    pub key: String,
    /// The flag, without `--`.
    pub flag: String,
    /// Where it stands.
    pub place: Place,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name() {
        let keys: Vec<Key> = ["learning-rate", "epochs", "batch-size"]
            .map(|flag| key(flag, Kind::Text, Names::Nothing, false, ""))
            .to_vec();
        let of = |name: &str| same(name, &keys).or_else(|| near(name, keys.iter().map(Key::name)));
        assert_eq!(of("learning-rate").as_deref(), Some("learning_rate"));
        assert_eq!(of("learing_rate").as_deref(), Some("learning_rate"));
        assert_eq!(of("epoch").as_deref(), Some("epochs"));
        assert_eq!(of("xyzzy"), None);
    }
}
