//! Numbers on the command line: one that is out of range is told so, with the range.

use std::any::TypeId;
use std::num::{NonZeroU64, NonZeroUsize};

use clap::Arg;
use clap::builder::ValueParser;

/// What a number with a point may be.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Range {
    /// Any that is finite.
    Any,
    Above0,
    AtLeast0,
    /// A probability that is not certain: at least 0 and below 1.
    Below1,
    AtLeast1,
    /// From 0 to 1.
    Share,
    /// Between 0 and 1, neither of them.
    Part,
}

/// The flags with such numbers, in whatever subcommand they are.
const RANGES: [(&str, Range); 18] = [
    ("coverage", Range::Share),
    ("diversity-penalty", Range::AtLeast0),
    ("dropout", Range::Below1),
    ("held-out", Range::Below1),
    ("label-smoothing", Range::Below1),
    ("learning-rate", Range::Above0),
    ("length-penalty", Range::Any),
    ("lora-alpha", Range::Above0),
    ("max-grad-norm", Range::AtLeast0),
    ("mean-noise-span-length", Range::AtLeast1),
    ("min-p", Range::Share),
    ("noise-density", Range::Part),
    ("repetition-penalty", Range::Above0),
    ("temperature", Range::AtLeast0),
    ("top-p", Range::Share),
    ("valid-split", Range::Part),
    ("weight-decay", Range::AtLeast0),
    ("z-loss", Range::AtLeast0),
];

impl Range {
    fn holds(self, x: f64) -> bool {
        x.is_finite()
            && match self {
                Range::Any => true,
                Range::Above0 => x > 0.0,
                Range::AtLeast0 => x >= 0.0,
                Range::AtLeast1 => x >= 1.0,
                Range::Below1 => (0.0..1.0).contains(&x),
                Range::Share => (0.0..=1.0).contains(&x),
                Range::Part => 0.0 < x && x < 1.0,
            }
    }

    fn words(self) -> &'static str {
        match self {
            Range::Any => "finite",
            Range::Above0 => "above 0",
            Range::AtLeast0 => "at least 0",
            Range::AtLeast1 => "at least 1",
            Range::Below1 => "at least 0 and below 1",
            Range::Share => "from 0 to 1",
            Range::Part => "between 0 and 1",
        }
    }
}

/// The same flag; if it takes a number, a negative one is a number too, and one that it cannot take is refused with the
/// range.
pub fn with_range(argument: Arg) -> Arg {
    let Some(parser) = parser_of(&argument) else { return argument };
    argument.allow_negative_numbers(true).value_parser(parser)
}

fn parser_of(argument: &Arg) -> Option<ValueParser> {
    let name = argument.get_long()?;
    // A size has a unit, and a parser of its own.
    if argument.get_value_names().is_some_and(|names| names.iter().any(|name| name == "SIZE")) {
        return Some(argument.get_value_parser().clone());
    }
    let of = argument.get_value_parser().type_id();
    let is = |id: TypeId| of == id;
    let range = RANGES.iter().find(|(flag, _)| *flag == name).map_or(Range::Any, |&(_, range)| range);
    Some(if is(TypeId::of::<NonZeroUsize>()) {
        ValueParser::new(|text: &str| whole::<NonZeroUsize>(text, 1))
    } else if is(TypeId::of::<NonZeroU64>()) {
        ValueParser::new(|text: &str| whole::<NonZeroU64>(text, 1))
    } else if is(TypeId::of::<usize>()) {
        ValueParser::new(|text: &str| whole::<usize>(text, 0))
    } else if is(TypeId::of::<u64>()) {
        ValueParser::new(|text: &str| whole::<u64>(text, 0))
    } else if is(TypeId::of::<f32>()) {
        ValueParser::new(move |text: &str| real(text, range, f32::into))
    } else if is(TypeId::of::<f64>()) {
        ValueParser::new(move |text: &str| real(text, range, |x| x))
    } else {
        return None;
    })
}

/// A whole number of at least `least`.
fn whole<T: std::str::FromStr>(text: &str, least: u64) -> Result<T, String> {
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("must be a whole number of at least {least}, not {text}"));
    }
    let small = sign == "-" || digits.bytes().all(|byte| byte == b'0');
    match small {
        true => Err(format!("must be at least {least}, not {text}")),
        false => Err(format!("must be at most {}, not {text}", u64::MAX)),
    }
}

/// A number with a point that lies in the range.
fn real<T: std::str::FromStr + Copy>(text: &str, range: Range, value: fn(T) -> f64) -> Result<T, String> {
    match text.parse() {
        Ok(number) if range.holds(value(number)) => Ok(number),
        Ok(_) => Err(format!("must be {}, not {text}", range.words())),
        Err(_) if range == Range::Any => Err(format!("must be a number, not {text}")),
        Err(_) => Err(format!("must be a number {}, not {text}", range.words())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refusals_name_the_range() {
        let at = |text, least| whole::<u64>(text, least).unwrap_err();
        assert_eq!(at("-3", 0), "must be at least 0, not -3");
        assert_eq!(at("1.5", 0), "must be a whole number of at least 0, not 1.5");
        assert_eq!(
            at("99999999999999999999", 1),
            "must be at most 18446744073709551615, not 99999999999999999999"
        );
        assert_eq!(whole::<NonZeroUsize>("0", 1).unwrap_err(), "must be at least 1, not 0");
        let of = |text, range| real::<f64>(text, range, |x| x).unwrap_err();
        assert_eq!(of("-1", Range::Above0), "must be above 0, not -1");
        assert_eq!(of("nan", Range::Any), "must be finite, not nan");
        assert_eq!(of("much", Range::Share), "must be a number from 0 to 1, not much");
        assert!(real::<f32>("1e39", Range::Any, f32::into).is_err(), "infinite as f32");
    }

    #[test]
    fn every_flag_with_a_point_has_a_range() {
        for command in super::super::command().get_subcommands() {
            for argument in command.get_arguments() {
                let of = argument.get_value_parser().type_id();
                let real = of == TypeId::of::<f32>() || of == TypeId::of::<f64>();
                let name = argument.get_long().unwrap_or_default();
                assert!(!real || RANGES.iter().any(|(flag, _)| *flag == name), "{command} --{name}");
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_in_range_is_taken_as_it_stands(n: u64, x in 0.0..1.0f64, text in ".{0,12}") {
            prop_assert_eq!(whole::<u64>(&n.to_string(), 0), Ok(n));
            prop_assert_eq!(real::<f64>(&x.to_string(), Range::Below1, |x| x), Ok(x));
            let _ = (whole::<u64>(&text, 0), real::<f64>(&text, Range::Any, |x| x));
        }
    }
}
