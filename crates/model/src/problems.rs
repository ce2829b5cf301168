//! What a strict loader has against a checkpoint, every tensor listed.

use std::fmt;

/// What is wrong with a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The configuration asks for it and the checkpoint has it not.
    Missing,
    /// The checkpoint has it and the configuration knows nothing of it.
    Unexpected,
    /// It has another shape than the configuration says.
    Mismatched,
    /// It is a second name of another tensor, and either differs from that or stands alone.
    Aliased,
    /// Its elements are of a type that is not read.
    Unreadable,
}

impl Kind {
    /// What lets it pass, and what then happens; none for what nothing can be made of.
    fn remedy(self) -> Option<&'static str> {
        match self {
            Kind::Missing => Some("`allow.missing` begins missing ones anew"),
            Kind::Unexpected => Some("`allow.unexpected` leaves unexpected ones out"),
            Kind::Mismatched => Some("`allow.mismatched` begins mis-shaped ones anew"),
            Kind::Aliased => Some(
                "`allow.aliased` takes what has the usual name, or where it is missing the first of its other names",
            ),
            Kind::Unreadable => None,
        }
    }
}

/// One tensor and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong.
    pub kind: Kind,
    /// The tensor's name.
    pub tensor: String,
    /// The rest of the sentence that begins with the name.
    pub what: String,
}

/// All problems of a checkpoint. Prints as one line; the same problem in several blocks is said once, with the
/// numbers of the blocks: `encoder.block.{0..7}.layer.0.layer_norm.weight is missing`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", sentences(&self.0).join("; "))?;
        let mut kinds: Vec<Kind> = self.0.iter().map(|p| p.kind).collect();
        kinds.sort();
        kinds.dedup();
        for remedy in kinds.into_iter().filter_map(Kind::remedy) {
            write!(f, "; {remedy}")?;
        }
        Ok(())
    }
}

/// A sentence for each problem, those of several blocks together.
pub fn sentences(problems: &[Problem]) -> Vec<String> {
    // By the name around the block's number and what is wrong, in the order of their first.
    let mut groups: Vec<(&str, &str, &str, Vec<u32>)> = Vec::new();
    for problem in problems {
        let (before, number, after) = split(&problem.tensor);
        let group = groups.iter_mut().find(|g| {
            (g.0, g.1, g.2) == (before, after, problem.what.as_str()) && g.3.is_empty() == number.is_none()
        });
        match group {
            Some(group) => group.3.extend(number),
            None => groups.push((before, after, &problem.what, number.into_iter().collect())),
        }
    }
    let sentence = |(before, after, what, numbers): (&str, &str, &str, Vec<u32>)| {
        let numbers = match &numbers[..] {
            [] => String::new(),
            [one] => one.to_string(),
            some => format!("{{{}}}", ranges(some)),
        };
        format!("{before}{numbers}{after} {what}")
    };
    groups.into_iter().map(sentence).collect()
}

/// A name around the number of its block: `encoder.block.`, 7, `.layer…`.
fn split(name: &str) -> (&str, Option<u32>, &str) {
    // T5's blocks have layers of their own, by other numbers.
    let blocks = [".block.", ".layer."].into_iter().find(|blocks| name.contains(blocks)).unwrap_or(".block.");
    let parts = name.split_once(blocks).and_then(|(side, rest)| {
        let (number, _) = rest.split_once('.')?;
        let at = side.len() + blocks.len();
        // As it is written, so that what is put together again is the name.
        let value = number.parse().ok().filter(|n: &u32| n.to_string() == number)?;
        Some((&name[..at], Some(value), &name[at + number.len()..]))
    });
    parts.unwrap_or((name, None, ""))
}

/// `0..3, 5`.
fn ranges(numbers: &[u32]) -> String {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for n in sorted {
        match runs.last_mut() {
            Some((_, last)) if n == *last || n == *last + 1 => *last = n,
            _ => runs.push((n, n)),
        }
    }
    let run = |(a, b): (u32, u32)| if a == b { a.to_string() } else { format!("{a}..{b}") };
    runs.into_iter().map(run).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tensor_is_in_the_line() {
        let problem =
            |kind, tensor: &str, what: &str| Problem { kind, tensor: tensor.into(), what: what.into() };
        let mut problems = vec![problem(Kind::Missing, "shared.weight", "is missing")];
        for i in [0, 1, 2, 5] {
            problems.push(problem(Kind::Missing, &format!("encoder.block.{i}.layer.0.x"), "is missing"));
        }
        for i in 0..3 {
            problems.push(problem(Kind::Missing, &format!("bert.encoder.layer.{i}.x"), "is missing"));
        }
        problems.push(problem(Kind::Unexpected, "encoder.block.01.x", "is unexpected"));
        problems.push(problem(Kind::Unexpected, "z", "is unexpected"));
        assert_eq!(
            Problems(problems).to_string(),
            "shared.weight is missing; encoder.block.{0..2, 5}.layer.0.x is missing; \
             bert.encoder.layer.{0..2}.x is missing; encoder.block.01.x is \
             unexpected; z is unexpected; `allow.missing` begins missing ones anew; `allow.unexpected` leaves \
             unexpected ones out"
        );
    }
}
