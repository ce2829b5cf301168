//! Gap sentences: where sentences end, and which of them are taken out of a text to be its summary.

use std::collections::HashMap;

/// How the sentences that become the target are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SentenceChoice {
    /// T5 PEGASUS (Su 2021, `pseudo_summary` in its train.py): one sentence after the other, each time the one with which
    /// input and target have the longest common subsequence of characters, until the target is longer than a share of
    /// the input. They are taken out without a trace.
    #[default]
    Lcs,
    /// PEGASUS (Zhang et al. 2020, "Ind-Orig"): a share of the sentences, those with the best ROUGE-1 F1 against all
    /// others. `<extra_id_0>` stands for each of them, as `[MASK1]` does there.
    Rouge1,
}

/// The sentences of a text, with the blanks behind them; one that holds blanks alone belongs to the one before. They end
/// with 。！？；… and a line, quotes and brackets that close after them included, and with . ! ? ; before a blank.
pub(super) fn cut(text: &str) -> Vec<&str> {
    let mut parts: Vec<&str> = Vec::new();
    let (mut start, mut chars) = (0, text.char_indices().peekable());
    while let Some((at, c)) = chars.next() {
        let latin = matches!(c, '.' | '!' | '?' | ';');
        if !latin && !matches!(c, '。' | '！' | '？' | '；' | '…' | '\n') {
            continue;
        }
        let mut end = at + c.len_utf8();
        let closes = |c: char| "。！？；….!?;”’」』》）)]\"'".contains(c);
        while let Some((at, c)) = chars.next_if(|&(_, c)| closes(c)) {
            end = at + c.len_utf8();
        }
        if latin && chars.peek().is_some_and(|(_, c)| !c.is_whitespace()) {
            continue;
        }
        while let Some((at, c)) = chars.next_if(|(_, c)| c.is_whitespace()) {
            end = at + c.len_utf8();
        }
        parts.push(&text[start..end]);
        start = end;
    }
    if start < text.len() {
        parts.push(&text[start..]);
    }
    parts.retain(|part| !part.trim().is_empty());
    parts
}

/// Which of at least two sentences become the target.
pub(super) fn choose(sentences: &[&str], choice: SentenceChoice, share: f64) -> Vec<bool> {
    match choice {
        SentenceChoice::Lcs => by_lcs(sentences, share),
        SentenceChoice::Rouge1 => by_rouge(sentences, share),
    }
}

fn by_lcs(sentences: &[&str], share: f64) -> Vec<bool> {
    let chars: Vec<Vec<char>> = sentences.iter().map(|sentence| sentence.chars().collect()).collect();
    let joined = |gaps: &[bool], side: bool| -> Vec<char> {
        let of_side = chars.iter().zip(gaps).filter(|(_, gap)| **gap == side);
        of_side.flat_map(|(sentence, _)| sentence.iter().copied()).collect()
    };
    let mut gaps = vec![false; sentences.len()];
    loop {
        let mut best = None;
        for i in (0..gaps.len()).filter(|&i| !gaps[i]).collect::<Vec<_>>() {
            gaps[i] = true;
            let common = lcs(&joined(&gaps, false), &joined(&gaps, true));
            gaps[i] = false;
            if best.is_none_or(|(_, most)| common > most) {
                best = Some((i, common));
            }
        }
        if let Some((i, _)) = best {
            gaps[i] = true;
        }
        let (source, target) = (joined(&gaps, false).len(), joined(&gaps, true).len());
        let left = gaps.iter().filter(|gap| !**gap).count();
        if left <= 1 || target as f64 / source as f64 > share {
            if source < target {
                gaps.iter_mut().for_each(|gap| *gap = !*gap);
            }
            return gaps;
        }
    }
}

/// The length of the longest common subsequence, 64 cells of a row at a time (Hyyrö 2004).
fn lcs(x: &[char], y: &[char]) -> usize {
    let words = y.len().div_ceil(64);
    let mut places: HashMap<char, Vec<u64>> = HashMap::new();
    for (j, &c) in y.iter().enumerate() {
        places.entry(c).or_insert_with(|| vec![0; words])[j / 64] |= 1 << (j % 64);
    }
    let mut row = vec![u64::MAX; words];
    for c in x {
        let Some(at) = places.get(c) else { continue };
        let mut carry = false;
        for (v, m) in row.iter_mut().zip(at) {
            let u = *v & m;
            let (sum, one) = v.overflowing_add(u);
            let (sum, two) = sum.overflowing_add(u64::from(carry));
            carry = one || two;
            *v = sum | (*v & !m);
        }
    }
    let cells = |(word, v): (usize, &u64)| {
        let used = (y.len() - word * 64).min(64);
        let mask = if used == 64 { u64::MAX } else { (1 << used) - 1 };
        (!v & mask).count_ones() as usize
    };
    row.iter().enumerate().map(cells).sum()
}

fn by_rouge(sentences: &[&str], share: f64) -> Vec<bool> {
    let counts: Vec<HashMap<String, usize>> = sentences.iter().map(|sentence| words(sentence)).collect();
    let mut all: HashMap<&str, usize> = HashMap::new();
    for (word, n) in counts.iter().flatten() {
        *all.entry(word).or_default() += n;
    }
    let total: usize = all.values().sum();
    let score = |own: &HashMap<String, usize>| {
        let length: usize = own.values().sum();
        let common: usize = own.iter().map(|(word, &n)| n.min(all[word.as_str()] - n)).sum();
        // F1 = 2 · common / (sentence + rest), and sentence + rest is the whole text.
        match length == 0 || length == total {
            true => 0.0,
            false => 2.0 * common as f64 / total as f64,
        }
    };
    let scores: Vec<f64> = counts.iter().map(score).collect();
    let gaps = (sentences.len() as f64 * share).round_ties_even() as usize;
    let gaps = gaps.clamp(1, sentences.len() - 1);
    let mut order: Vec<usize> = (0..sentences.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let mut chosen = vec![false; sentences.len()];
    order[..gaps].iter().for_each(|&i| chosen[i] = true);
    chosen
}

/// How often each word occurs: lower-case runs of letters and digits, and each Chinese character by itself.
fn words(sentence: &str) -> HashMap<String, usize> {
    let (mut counts, mut word) = (HashMap::new(), String::new());
    let mut add = |word: String| *counts.entry(word).or_default() += 1;
    for c in sentence.chars().chain([' ']) {
        let alone =
            matches!(c, '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}');
        if c.is_alphanumeric() && !alone {
            word.extend(c.to_lowercase());
            continue;
        }
        if !word.is_empty() {
            add(std::mem::take(&mut word));
        }
        if alone {
            add(c.into());
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sentences_end_where_people_end_them() {
        for (text, parts) in [
            ("你好。再见！", &["你好。", "再见！"][..]),
            ("他说：“走吧。”然后走了", &["他说：“走吧。”", "然后走了"]),
            ("It is 3.5 m. Is it? Yes", &["It is 3.5 m. ", "Is it? ", "Yes"]),
            ("一行\n二行\n\n", &["一行\n", "二行\n\n"]),
            ("\n  开头。真的……吗？！好", &["开头。", "真的……", "吗？！", "好"]),
            ("没有句号", &["没有句号"]),
            ("", &[]),
            (" \n ", &[]),
        ] {
            let found = cut(text);
            // Blanks before the first sentence have nothing to belong to.
            assert_eq!(found, parts, "{text}");
        }
    }

    fn slow_lcs(x: &[char], y: &[char]) -> usize {
        let mut table = vec![vec![0; y.len() + 1]; x.len() + 1];
        for (i, a) in x.iter().enumerate() {
            for (j, b) in y.iter().enumerate() {
                table[i + 1][j + 1] =
                    if a == b { table[i][j] + 1 } else { table[i][j + 1].max(table[i + 1][j]) };
            }
        }
        table[x.len()][y.len()]
    }

    proptest! {
        #[test]
        fn the_fast_lcs_is_the_slow_one(x in "[abc。]{0,150}", y in "[abc。]{0,150}") {
            let (x, y): (Vec<char>, Vec<char>) = (x.chars().collect(), y.chars().collect());
            prop_assert_eq!(lcs(&x, &y), slow_lcs(&x, &y));
        }

        #[test]
        fn a_text_is_cut_and_nothing_lost(text in "[ab。！.? \n”]{0,40}") {
            let strip = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(strip(&cut(&text).concat()), strip(&text));
        }

        #[test]
        fn some_are_chosen_and_some_left(sentences in prop::collection::vec("[abc天地人]{1,8}。", 2..9), share in 0.05..0.95) {
            let sentences: Vec<&str> = sentences.iter().map(String::as_str).collect();
            for choice in [SentenceChoice::Lcs, SentenceChoice::Rouge1] {
                let gaps = choose(&sentences, choice, share);
                prop_assert!(gaps.contains(&true) && gaps.contains(&false));
            }
        }
    }
}
