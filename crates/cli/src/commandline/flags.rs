//! The program's flags as recipes know them: what each takes, read off the command line itself.

use std::any::TypeId;
use std::num::{NonZeroU64, NonZeroUsize};

use clap::{Arg, ArgAction};
use t5kit_recipe::{Key, Kind, Names, Program, Subcommand};

use super::names::flag_meant;

/// The program as recipes know it.
pub fn program() -> Program {
    let command = super::command();
    let global: Vec<&clap::Id> = command.get_arguments().map(Arg::get_id).collect();
    let subcommands = command.get_subcommands().map(|subcommand| {
        let flags =
            subcommand.get_arguments().filter(|arg| !global.contains(&arg.get_id()) && !arg.is_hide_set());
        Subcommand { name: subcommand.get_name().to_owned(), keys: flags.filter_map(key).collect() }
    });
    Program { subcommands: subcommands.collect(), meant }
}

/// The flag that is meant by a name that this subcommand does not have.
fn meant(subcommand: &str, name: &str) -> Option<String> {
    let command = super::command();
    flag_meant(name, command.find_subcommand(subcommand)).map(String::from)
}

fn key(argument: &Arg) -> Option<Key> {
    let flag = argument.get_long()?.to_owned();
    if flag == "help" || flag == "version" {
        return None;
    }
    let takes = argument.get_action().takes_values();
    let values = argument.get_num_args();
    let several = takes
        && (matches!(argument.get_action(), ArgAction::Append)
            || values.is_some_and(|range| range.max_values() > 1));
    let bare = takes && values.is_some_and(|range| range.min_values() == 0);
    let names = names(argument);
    // A folder to write to is the recipe's business: such a flag is on or off.
    let writes = bare && names == Names::File;
    let kind = if !takes || writes { Kind::Switch } else { kind(argument) };
    let help = argument.get_help().map(|help| help.to_string()).unwrap_or_default();
    let default = argument.get_default_values().first().map(|value| value.to_string_lossy().into_owned());
    let aliases = argument.get_all_aliases().unwrap_or_default();
    Some(Key {
        flag,
        aliases: aliases.into_iter().map(String::from).collect(),
        bare: bare && kind != Kind::Switch && kind != Kind::Bool,
        several,
        names: if writes { Names::Nothing } else { names },
        help: help.split_whitespace().collect::<Vec<_>>().join(" "),
        default: default.filter(|text| !text.is_empty() && takes),
        kind,
    })
}

fn kind(argument: &Arg) -> Kind {
    let of = argument.get_value_parser().type_id();
    let is = |id: TypeId| of == id;
    let whole = [
        TypeId::of::<usize>(),
        TypeId::of::<u64>(),
        TypeId::of::<NonZeroUsize>(),
        TypeId::of::<NonZeroU64>(),
    ];
    if is(TypeId::of::<bool>()) {
        return Kind::Bool;
    }
    // A size has a unit: 5GB.
    let unit = argument.get_value_names().is_some_and(|names| names.iter().any(|name| name == "SIZE"));
    if !unit && whole.into_iter().any(is) {
        return Kind::Integer;
    }
    if is(TypeId::of::<f32>()) || is(TypeId::of::<f64>()) {
        return Kind::Number;
    }
    let words = argument.get_possible_values();
    match words.is_empty() {
        true => Kind::Text,
        false => Kind::Choice(words.iter().map(|word| word.get_name().to_owned()).collect()),
    }
}

/// What the values' name says that they name.
fn names(argument: &Arg) -> Names {
    let name = argument.get_value_names().and_then(|names| names.first()).map(|name| name.to_string());
    let name = name.unwrap_or_default();
    let parts: Vec<&str> = name.split('|').collect();
    let file = |part: &&str| ["FILE", "DIR"].contains(part);
    let number = |part: &&str| ["N", "SHARE"].contains(part);
    match () {
        () if parts.contains(&"@FILE") => Names::AtFile,
        () if name == "MODEL" => Names::FileOrWord,
        () if name == "PATH[=WEIGHT]" => Names::Weighted,
        () if !parts.iter().any(&file) => Names::Nothing,
        // A number is none of text.
        () if parts.iter().all(|part| file(part) || number(part)) => Names::File,
        () => Names::FileOrWord,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_flags_take() {
        let program = program();
        let of = |subcommand: &str, flag: &str| {
            let subcommand = program.subcommands.iter().find(|known| known.name == subcommand).unwrap();
            subcommand.keys.iter().find(|key| key.flag == flag).unwrap_or_else(|| panic!("{flag}")).clone()
        };
        let epochs = of("finetune", "epochs");
        assert_eq!((epochs.kind, epochs.default.as_deref()), (Kind::Integer, Some("3")));
        assert_eq!(of("finetune", "learning-rate").kind, Kind::Number);
        assert_eq!(of("finetune", "recompute").kind, Kind::Switch);
        assert_eq!(of("finetune", "scale-parameter").kind, Kind::Bool);
        assert_eq!(of("finetune", "tensorboard").kind, Kind::Switch);
        assert!(
            matches!(of("finetune", "optimizer").kind, Kind::Choice(words) if words.contains(&"adam".into()))
        );
        assert!(of("finetune", "metric").several && of("trim", "counts").several);
        assert_eq!(of("convert", "max-shard-size").kind, Kind::Text);
        for (subcommand, flag, names) in [
            ("trim", "counts", Names::FileOrWord),
            ("trim", "keep-tokens", Names::File),
            ("split", "train", Names::File),
            ("convert", "tokenizer", Names::FileOrWord),
            ("generate", "bad-words", Names::AtFile),
            ("finetune", "source", Names::Nothing),
            ("pretrain", "data", Names::Weighted),
        ] {
            assert_eq!(of(subcommand, flag).names, names, "{subcommand} --{flag}");
        }
    }
}
