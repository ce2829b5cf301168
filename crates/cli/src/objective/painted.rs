//! Examples on a terminal: sentinels, what is hidden and modes in colours. Elsewhere they are text.

use console::style;
use t5kit_tasks::objective::Objective;
use t5kit_tokenizer::Tokenizer;

/// What a token is to somebody who looks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Plain,
    Sentinel,
    /// In a target: what has to be found; in an input: what stands there instead.
    Hidden,
    Mode,
}

/// Input and target as text.
pub fn example(
    tokenizer: &Tokenizer,
    objective: &Objective,
    input: &[u32],
    target: &[u32],
) -> (String, String) {
    let differs = |i: usize| objective.is_aligned() && input.get(i) != target.get(i);
    let mode = mode(tokenizer, objective, input);
    let marks = |ids: &[u32], of: &dyn Fn(usize) -> Mark| -> Vec<Mark> {
        let mark = |(i, &id): (usize, &u32)| if tokenizer.is_sentinel(id) { Mark::Sentinel } else { of(i) };
        ids.iter().enumerate().map(mark).collect()
    };
    let of_input = |i: usize| match () {
        () if i < mode => Mark::Mode,
        () if differs(i) => Mark::Hidden,
        () => Mark::Plain,
    };
    let of_target = |i| if objective.is_cut_out() || differs(i) { Mark::Hidden } else { Mark::Plain };
    (
        painted(tokenizer, input, &marks(input, &of_input)),
        painted(tokenizer, target, &marks(target, &of_target)),
    )
}

/// How many tokens of an input are the name of a mode.
fn mode(tokenizer: &Tokenizer, objective: &Objective, input: &[u32]) -> usize {
    let modes =
        Objective::MODES.iter().filter(|_| objective.name() == "ul2").map(|mode| tokenizer.encode(mode));
    modes.filter(|mode| input.starts_with(mode)).map(|mode| mode.len()).max().unwrap_or(0)
}

fn painted(tokenizer: &Tokenizer, ids: &[u32], marks: &[Mark]) -> String {
    let whole = tokenizer.decode(ids);
    if !console::colors_enabled() {
        return whole;
    }
    let (mut out, mut said) = (String::new(), 0);
    for end in 1..=ids.len() {
        if marks.get(end) == marks.get(end - 1) {
            continue;
        }
        let text = tokenizer.decode(&ids[..end]);
        // A character of several tokens is whole only at its last.
        let Some(part) = text.get(said..).filter(|_| whole.starts_with(&text)) else { continue };
        let painted = match marks[end - 1] {
            Mark::Plain => style(part),
            Mark::Sentinel => style(part).cyan().bold(),
            Mark::Hidden => style(part).yellow(),
            Mark::Mode => style(part).magenta().bold(),
        };
        out += &painted.to_string();
        said = text.len();
    }
    out + &whole[said..]
}
