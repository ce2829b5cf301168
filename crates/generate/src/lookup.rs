//! Lookup decoding: what a target has said last is looked up in its source and in what it said before, and what came
//! next there is proposed to come next here (prompt lookup decoding, Saxena 2023; transformers'
//! `prompt_lookup_num_tokens`). A step that looks at several proposed tokens gives each the logits that a step of its own
//! would, so proposals change nothing but the number of steps.
//!
//! Whether they pay is decided anew for every step. It is good for as many tokens as there are hypotheses, and for each
//! proposed one by the chance that it and those before it are right; what it costs by the number of tokens that it is
//! fed, [`Cost`] says. Proposals are taken, the likeliest first, as long as each adds to the tokens by a larger share than
//! to the cost. In a small batch, where the weights passing by are what takes the time, a row more is cheap and that is
//! soon so; in a large one, bound by arithmetic, or where sources are not copied, hardly ever, and lookup is off. It needs
//! no trial to come back: what was looked up is compared with what was chosen whether it was proposed or not, so the
//! chances are always known.

use t5kit_tensor::DType;

/// Tokens that are looked up at most. More tell little more: see `docs/BENCHMARKS.md`.
const LONGEST: usize = 3;

/// What a look-up has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Guess {
    /// What may come next.
    pub ids: Vec<u32>,
    /// How many tokens before it are those that were said last, 1 to [`LONGEST`].
    pub matched: usize,
}

impl Guess {
    /// What may come after `said`, at most `most` tokens: what follows the longest match of its end in itself, the last
    /// one of several, else in `source`, the first one of several. Without a match it has no tokens.
    ///
    /// A plain scan: it reads as many tokens as the step attends to, and does a thousandth of the work with each.
    pub fn new(source: &[u32], said: &[u32], most: usize) -> Self {
        let Some((&last, before)) = said.split_last().filter(|_| most > 0) else { return Guess::default() };
        let matched = |text: &[u32], at: usize| {
            let pairs = text[..at].iter().rev().zip(before.iter().rev()).take(LONGEST - 1);
            1 + pairs.take_while(|(a, b)| a == b).count()
        };
        let mut guess = Guess::default();
        let mut next = 0;
        for at in (0..before.len()).rev().filter(|&at| before[at] == last) {
            let matched = matched(before, at);
            if matched > guess.matched {
                (guess.matched, next) = (matched, at + 1);
            }
        }
        if guess.matched > 0 {
            // Where it has come to its own end, it goes on with what it proposes.
            for place in next..next + most {
                let id = said.get(place).copied().unwrap_or_else(|| guess.ids[place - said.len()]);
                guess.ids.push(id);
            }
        }
        let inside = &source[..source.len().saturating_sub(1)];
        for at in (0..inside.len()).filter(|&at| inside[at] == last) {
            let matched = matched(inside, at);
            if matched > guess.matched {
                guess = Guess { ids: source[at + 1..].iter().take(most).copied().collect(), matched };
            }
        }
        guess
    }

    /// The chance of each of the tokens to be right, with those before it.
    pub fn chances(&self, of: &Acceptance, among: &Acceptance) -> Vec<f32> {
        let mut chance = 1.0;
        let right = |place: usize| {
            chance *= of.rate(self.matched + place, among);
            chance
        };
        (0..self.ids.len()).map(right).collect()
    }
}

/// How often tokens that were looked up were those that came, by how many before them had matched: where the first of
/// several is right, the second has a longer match.
#[derive(Clone, Debug, Default)]
pub(crate) struct Acceptance {
    tried: [f32; LONGEST],
    right: [f32; LONGEST],
}

/// What a session expects at first, as if it had seen so many; the shares are those of titles, keywords and answers taken
/// together.
const EXPECTED: [(f32, f32); LONGEST] = [(8.0, 0.4), (8.0, 0.6), (8.0, 0.65)];
/// Trials that what others have shown counts for with a request of its own.
const WEIGHT: f32 = 4.0;
/// Trials that are remembered, about.
const REMEMBERED: f32 = 256.0;

impl Acceptance {
    /// Before anything was seen.
    pub fn expected() -> Self {
        Acceptance { tried: EXPECTED.map(|(n, _)| n), right: EXPECTED.map(|(n, rate)| n * rate) }
    }

    /// The share of tokens behind a match of so many that are right, where `among` has what others have shown.
    fn rate(&self, matched: usize, among: &Acceptance) -> f32 {
        let at = matched.clamp(1, LONGEST) - 1;
        let usual = among.right[at] / among.tried[at].max(1.0);
        (self.right[at] + WEIGHT * usual) / (self.tried[at] + WEIGHT)
    }

    /// Learns of a guess and what came.
    pub fn learn(&mut self, guess: &Guess, came: &[u32]) {
        for (place, (id, came)) in guess.ids.iter().zip(came).enumerate() {
            let at = (guess.matched + place).clamp(1, LONGEST) - 1;
            if self.tried[at] >= REMEMBERED {
                (self.tried[at], self.right[at]) = (self.tried[at] / 2.0, self.right[at] / 2.0);
            }
            self.tried[at] += 1.0;
            if id != came {
                return;
            }
            self.right[at] += 1.0;
        }
    }
}

/// What a step costs by the number of tokens that it is fed; 1 is what a token costs in a step of many. Measured, as
/// `docs/BENCHMARKS.md` says; wrong figures cost time, never a token.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// A step of a single token: the weights passing by.
    one: f32,
    /// What each further one adds as long as that takes longer than the arithmetic.
    more: f32,
}

impl Cost {
    /// Of a model whose matrices are kept in this type.
    pub fn of(dtype: DType) -> Self {
        match dtype {
            DType::F32 => Cost { one: 6.2, more: 0.4 },
            DType::I8 => Cost { one: 4.7, more: 0.5 },
            _ => Cost { one: 3.9, more: 0.3 },
        }
    }

    fn rows(&self, rows: usize) -> f32 {
        (self.one + self.more * (rows as f32 - 1.0)).max(rows as f32)
    }
}

/// How many of each hypothesis's proposals it is worth while to try in a step. `chances`: of each hypothesis that looks
/// up, falling; `rows`: hypotheses that the step continues in any case; `room`: proposals that there is room for.
pub(crate) fn worthwhile(chances: &[Vec<f32>], cost: Cost, rows: usize, room: usize) -> Vec<usize> {
    let of = |(hypothesis, chances): (usize, &Vec<f32>)| {
        chances.iter().map(move |&chance| (chance, hypothesis)).collect::<Vec<_>>()
    };
    let mut all: Vec<(f32, usize)> = chances.iter().enumerate().flat_map(of).collect();
    // Equal ones stay in their order, so that of a hypothesis the first come first.
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut counts = vec![0; chances.len()];
    let mut tokens = rows as f32;
    for (rows, (chance, hypothesis)) in (rows..).zip(all.into_iter().take(room)) {
        let (now, then) = (cost.rows(rows), cost.rows(rows + 1));
        if chance * now <= tokens * (then - now) {
            break;
        }
        counts[hypothesis] += 1;
        tokens += chance;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn guess(source: &[u32], said: &[u32], most: usize) -> (Vec<u32>, usize) {
        let Guess { ids, matched } = Guess::new(source, said, most);
        (ids, matched)
    }

    #[test]
    fn the_longest_match_is_followed() {
        let source = [9, 3, 4, 5, 6, 2, 4, 7, 1];
        assert_eq!(guess(&source, &[8, 4], 3), (vec![5, 6, 2], 1), "the first of several in the source");
        assert_eq!(guess(&source, &[8, 2, 4], 3), (vec![7, 1], 2), "the longer, up to the end");
        assert_eq!(guess(&source, &[9, 3, 4], 1), (vec![5], 3));
        assert_eq!(guess(&source, &[5, 9, 3, 4], 9), (vec![5, 6, 2, 4, 7, 1], 3), "three are enough");
        assert_eq!(
            guess(&source, &[2, 4, 8, 9, 4], 2),
            (vec![8, 9], 1),
            "what was said, as long, before the source"
        );
        assert_eq!(guess(&source, &[4, 8, 4, 9, 4], 2), (vec![9, 4], 1), "the last of what was said");
        assert_eq!(guess(&source, &[4, 0, 3, 4], 2), (vec![5, 6], 2), "the longer one, of the source");
        assert_eq!(guess(&source, &[4, 8, 4], 5), (vec![8, 4, 8, 4, 8], 1), "round and round");
        for (said, most) in [(&[8u32, 0][..], 3), (&[], 3), (&[4], 0), (&[1], 3)] {
            assert_eq!(guess(&source, said, most), (vec![], 0), "{said:?}");
        }
        assert_eq!(guess(&[], &[5], 3), (vec![], 0));
    }

    proptest! {
        /// Against every place tried one after the other.
        #[test]
        fn no_place_has_a_longer_match(
            source in proptest::collection::vec(0u32..5, 0..30), said in proptest::collection::vec(0u32..5, 0..20),
            most in 0usize..6,
        ) {
            let got = Guess::new(&source, &said, most);
            let mut longest = 0;
            let mut followers = Vec::new();
            for own in [false, true] {
                let text = if own { &said } else { &source };
                for next in 1..text.len() {
                    let common = text[..next].iter().rev().zip(said.iter().rev()).take(LONGEST);
                    let matched = common.take_while(|(a, b)| a == b).count();
                    longest = longest.max(matched);
                    let behind = &text[next..];
                    let ids: Vec<u32> = match own {
                        true => behind.iter().cycle().take(most).copied().collect(),
                        false => behind.iter().take(most).copied().collect(),
                    };
                    followers.push((matched, ids));
                }
            }
            let longest = if most == 0 { 0 } else { longest };
            prop_assert_eq!(got.matched, longest);
            prop_assert!(longest == 0 && got.ids.is_empty() || followers.contains(&(longest, got.ids)));
        }
    }

    #[test]
    fn chances_follow_what_came() {
        let mut session = Acceptance::expected();
        let guess = Guess { ids: vec![5, 6, 7, 8], matched: 1 };
        let chances = |own: &Acceptance, session: &Acceptance| guess.chances(own, session);
        let first = chances(&Acceptance::default(), &session);
        assert_eq!(first.len(), 4);
        assert!((first[0] - 0.4).abs() < 1e-6, "{first:?}");
        assert!((first[3] - 0.4 * 0.6 * 0.65 * 0.65).abs() < 1e-6, "{first:?}");
        // The second is always wrong: a match of one is then good for one token.
        let mut own = Acceptance::default();
        for _ in 0..1000 {
            session.learn(&guess, &[5, 9]);
            own.learn(&guess, &[5, 9]);
        }
        let then = chances(&Acceptance::default(), &session);
        assert!(then[0] > 0.95 && then[1] < 0.05, "{then:?}");
        assert!(session.tried.iter().all(|&n| n <= REMEMBERED));
        // A request that goes another way is soon believed, and so is a session that changes.
        for _ in 0..12 {
            own.learn(&guess, &[4]);
            session.learn(&guess, &[4]);
        }
        assert!(chances(&own, &session)[0] > 0.8);
        let mut fresh = Acceptance::default();
        (0..12).for_each(|_| fresh.learn(&guess, &[4]));
        assert!(chances(&fresh, &session)[0] < 0.3);
        (0..600).for_each(|_| session.learn(&guess, &[4]));
        assert!(chances(&Acceptance::default(), &session)[0] < 0.15);
    }

    #[test]
    fn proposals_are_taken_while_they_pay() {
        let falling = |first: f32| (1..6).map(|n| first.powi(n)).collect::<Vec<f32>>();
        let cost = Cost { one: 8.0, more: 0.5 };
        // Alone, a token more adds a sixteenth to the cost, and less as the step is good for more.
        assert_eq!(worthwhile(&[falling(0.9)], cost, 1, 99), [5]);
        assert_eq!(worthwhile(&[falling(0.4)], cost, 1, 99), [2]);
        assert_eq!(worthwhile(&[falling(0.05)], cost, 1, 99), [0]);
        assert_eq!(worthwhile(&[falling(0.9)], cost, 1, 2), [2], "no more than there is room for");
        // Where a token more is dear it goes to the likeliest, and where it costs what it is worth to nobody.
        let some: Vec<Vec<f32>> = (0..8).map(|i| falling(if i == 5 { 0.95 } else { 0.2 })).collect();
        let counts = worthwhile(&some, cost, 8, 99);
        assert!(counts[5] == 5 && counts.iter().sum::<usize>() == 5, "{counts:?}");
        assert_eq!(worthwhile(&vec![falling(0.99); 16], cost, 16, 99), [0; 16]);
        assert_eq!(worthwhile(&[vec![], falling(0.9), vec![]], cost, 3, 99)[1], 5);
        assert!(worthwhile(&[], cost, 0, 9).is_empty());
    }
}
