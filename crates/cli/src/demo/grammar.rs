//! The grammar behind the demo's data: templates of news sentences and of their headlines.
//!
//! `grammar.txt` says what the language is. A sentence and its headline are rendered from one set of facts and
//! values, so a headline depends on what its sentence states and on nothing else; distractors (sources, other
//! people, other numbers) are drawn where they stand and never reach a headline.

use anyhow::{Result, bail};
use std::collections::BTreeMap;
use t5kit_tensor::Rng;

/// Names with their values, and frames.
#[derive(Default)]
pub struct Grammar {
    slots: BTreeMap<String, Vec<Template>>,
    frames: Vec<Frame>,
}

/// One kind of event.
struct Frame {
    sentences: Vec<Template>,
    headline: Template,
}

/// A sentence and its headline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The news sentence, the source of the model.
    pub sentence: String,
    /// Its headline, the target.
    pub headline: String,
}

type Template = Vec<Node>;

#[derive(Debug)]
enum Node {
    Text(String),
    /// `{name}`; `slot` is the name without a digit at its end.
    Slot {
        name: String,
        slot: String,
    },
    /// `{name:low-high}`, or `{low-high}` without a name.
    Number {
        name: Option<String>,
        low: usize,
        high: usize,
    },
    /// `[a|b]`.
    Choice(Vec<Template>),
    /// `(fact:text)` and `(!fact:text)`.
    Fact {
        name: String,
        holds: bool,
        text: Template,
    },
}

impl Grammar {
    /// Reads the grammar's text. Errors name the line.
    pub fn parse(text: &str) -> Result<Grammar> {
        let mut grammar = Grammar::default();
        let mut sentences = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let at = |e: anyhow::Error| e.context(format!("grammar, line {}", number + 1));
            let template = |text: &str| parse_template(text.trim()).map_err(at);
            match (line.chars().next(), line.get(1..).unwrap_or("")) {
                (None | Some('#' | '='), _) => {}
                (Some('@'), rest) => {
                    let mut words = rest.split_whitespace();
                    let name = words.next().unwrap_or_default();
                    let values = words.map(template).collect::<Result<Vec<_>>>()?;
                    grammar.slots.entry(name.into()).or_default().extend(values);
                }
                (Some('>'), rest) => sentences.push(template(rest)?),
                (Some('<'), rest) => {
                    let headline = template(rest)?;
                    grammar.frames.push(Frame { sentences: std::mem::take(&mut sentences), headline });
                }
                _ => return Err(at(anyhow::anyhow!("starts with none of # @ = > <"))),
            }
        }
        grammar.check()?;
        Ok(grammar)
    }

    /// Every name that is used exists, every frame has a sentence.
    fn check(&self) -> Result<()> {
        let templates = self.frames.iter().flat_map(|f| f.sentences.iter().chain([&f.headline]));
        for template in templates.chain(self.slots.values().flatten()) {
            let mut missing = None;
            visit(template, &mut |node| {
                if let Node::Slot { name, slot } = node
                    && !self.slots.contains_key(slot)
                    && !self.is_number(name)
                {
                    missing = Some(name.clone());
                }
            });
            if let Some(name) = missing {
                bail!("grammar: {{{name}}} is nowhere defined");
            }
        }
        if self.frames.is_empty() || self.frames.iter().any(|f| f.sentences.is_empty()) {
            bail!("grammar: a frame without sentences");
        }
        Ok(())
    }

    fn is_number(&self, name: &str) -> bool {
        let mut found = false;
        for template in self.frames.iter().flat_map(|f| &f.sentences) {
            visit(template, &mut |node| {
                found |= matches!(node, Node::Number { name: Some(n), .. } if n == name);
            });
        }
        found
    }

    /// One pair.
    pub fn draw(&self, rng: &mut Rng) -> Pair {
        let frame = &self.frames[rng.below(self.frames.len())];
        let sentence = &frame.sentences[rng.below(frame.sentences.len())];
        let mut drawing = Drawing { grammar: self, rng, values: BTreeMap::new(), facts: BTreeMap::new() };
        let mut pair = Pair { sentence: String::new(), headline: String::new() };
        drawing.render(sentence, &mut pair.sentence);
        drawing.render(&frame.headline, &mut pair.headline);
        pair
    }

    /// Every run of literal text and every value without parts of its own: what the words are made of.
    pub fn texts(&self) -> Texts {
        let mut texts = Texts::default();
        for template in self.frames.iter().flat_map(|f| f.sentences.iter().chain([&f.headline])) {
            visit(template, &mut |node| {
                if let Node::Text(text) = node {
                    texts.literals.push(text.clone());
                }
            });
        }
        for value in self.slots.values().flatten() {
            match value.as_slice() {
                [Node::Text(text)] => texts.values.push(text.clone()),
                parts => visit(parts, &mut |node| {
                    if let Node::Text(text) = node {
                        texts.literals.push(text.clone());
                    }
                }),
            }
        }
        texts
    }
}

/// The words of a grammar.
#[derive(Default)]
pub struct Texts {
    /// Values of slots.
    pub values: Vec<String>,
    /// Runs of text between them.
    pub literals: Vec<String>,
}

/// One pair being rendered.
struct Drawing<'a> {
    grammar: &'a Grammar,
    rng: &'a mut Rng,
    values: BTreeMap<String, String>,
    facts: BTreeMap<String, bool>,
}

impl Drawing<'_> {
    fn render(&mut self, template: &[Node], out: &mut String) {
        for node in template {
            match node {
                Node::Text(text) => out.push_str(text),
                Node::Slot { name, slot } => {
                    let value = self.value(name, slot);
                    out.push_str(&value);
                }
                Node::Number { name, low, high } => match name {
                    None => out.push_str(&self.number(*low, *high)),
                    Some(name) => {
                        if !self.values.contains_key(name) {
                            let number = self.number(*low, *high);
                            self.values.insert(name.clone(), number);
                        }
                        out.push_str(&self.values[name]);
                    }
                },
                Node::Choice(choices) => {
                    let choice = self.rng.below(choices.len());
                    self.render(&choices[choice], out);
                }
                Node::Fact { name, holds, text } => {
                    let rng = &mut *self.rng;
                    if *self.facts.entry(name.clone()).or_insert_with(|| rng.below(2) == 0) == *holds {
                        self.render(text, out);
                    }
                }
            }
        }
    }

    fn number(&mut self, low: usize, high: usize) -> String {
        (low + self.rng.below(high - low + 1)).to_string()
    }

    /// The value of a name, drawn at its first use, and unlike the other names of the same list.
    fn value(&mut self, name: &str, slot: &str) -> String {
        if let Some(value) = self.values.get(name) {
            return value.clone();
        }
        let Some(choices) = self.grammar.slots.get(slot) else {
            return String::new(); // a number that no fact of the sentence has set
        };
        let mut value = String::new();
        for _ in 0..100 {
            value.clear();
            let choice = &choices[self.rng.below(choices.len())];
            let mut own = Drawing {
                grammar: self.grammar,
                rng: self.rng,
                values: BTreeMap::new(),
                facts: BTreeMap::new(),
            };
            // What a value names is its own affair: a name of two equal characters is fine.
            for node in choice {
                own.values.clear();
                own.render(std::slice::from_ref(node), &mut value);
            }
            let taken = |(other, text): (&String, &String)| base(other) == slot && *text == value;
            if !self.values.iter().any(taken) {
                break;
            }
        }
        self.values.insert(name.into(), value.clone());
        value
    }
}

/// A name without the digit that tells it from others of the same list.
fn base(name: &str) -> &str {
    name.trim_end_matches(|c: char| c.is_ascii_digit())
}

fn visit(template: &[Node], f: &mut impl FnMut(&Node)) {
    for node in template {
        f(node);
        match node {
            Node::Choice(choices) => choices.iter().for_each(|choice| visit(choice, f)),
            Node::Fact { text, .. } => visit(text, f),
            _ => {}
        }
    }
}

fn parse_template(text: &str) -> Result<Template> {
    let mut rest = text;
    let template = parse_until(&mut rest, "")?;
    if !rest.is_empty() {
        bail!("unexpected {rest:?}");
    }
    Ok(template)
}

/// Nodes up to one of the characters of `end`, which is left standing.
fn parse_until(rest: &mut &str, end: &str) -> Result<Template> {
    let mut template = Vec::new();
    while let Some(c) = rest.chars().next() {
        match c {
            _ if end.contains(c) => break,
            '{' => template.push(parse_braces(until(rest, '{', '}')?)?),
            '[' => {
                let mut choices = Vec::new();
                while !rest.starts_with(']') {
                    *rest = rest.get(1..).unwrap_or(""); // the bracket or a bar
                    choices.push(parse_until(rest, "|]")?);
                    if rest.is_empty() {
                        bail!("[ without ]");
                    }
                }
                *rest = &rest[1..];
                template.push(Node::Choice(choices));
            }
            '(' => {
                let name = until(rest, '(', ':')?;
                let (name, holds) = name.strip_prefix('!').map_or((name, true), |name| (name, false));
                let text = parse_until(rest, ")")?;
                *rest = rest.strip_prefix(')').ok_or_else(|| anyhow::anyhow!("( without )"))?;
                template.push(Node::Fact { name: name.into(), holds, text });
            }
            '}' | ']' | ')' => bail!("{c} without a beginning"),
            _ => {
                let length = rest.find(|c| "{[(}])|".contains(c) || end.contains(c)).unwrap_or(rest.len());
                if length == 0 {
                    bail!("{c} outside of [ ]");
                }
                template.push(Node::Text(rest[..length].into()));
                *rest = &rest[length..];
            }
        }
    }
    Ok(template)
}

/// What stands between `open`, at which `rest` begins, and the next `close`; both are passed over.
fn until<'a>(rest: &mut &'a str, open: char, close: char) -> Result<&'a str> {
    let body = &rest[open.len_utf8()..];
    let Some(at) = body.find(close) else { bail!("{open} without {close}") };
    *rest = &body[at + close.len_utf8()..];
    Ok(&body[..at])
}

fn parse_braces(text: &str) -> Result<Node> {
    let (name, range) = match text.split_once(':') {
        Some((name, range)) => (Some(name.to_string()), Some(range)),
        None if text.starts_with(|c: char| c.is_ascii_digit()) => (None, Some(text)),
        None => (None, None),
    };
    let Some(range) = range else {
        return Ok(Node::Slot { name: text.into(), slot: base(text).into() });
    };
    let Some((low, high)) = range.split_once('-') else { bail!("{range:?} is no range") };
    let (low, high): (usize, usize) = (low.parse()?, high.parse()?);
    if low > high {
        bail!("{range:?} is empty");
    }
    Ok(Node::Number { name, low, high })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn grammar() -> Grammar {
        Grammar::parse(include_str!("grammar.txt")).unwrap()
    }

    /// The names and facts that a template shows when these facts hold.
    fn shown(template: &[Node], facts: &BTreeMap<String, bool>, out: &mut BTreeSet<String>) {
        for node in template {
            match node {
                Node::Slot { name, .. } | Node::Number { name: Some(name), .. } => {
                    out.insert(name.clone());
                }
                // Only what stands in every choice is shown for certain.
                Node::Choice(choices) => {
                    let mut each = choices.iter().map(|choice| {
                        let mut names = BTreeSet::new();
                        shown(choice, facts, &mut names);
                        names
                    });
                    let first = each.next().unwrap();
                    out.extend(each.fold(first, |a, b| &a & &b));
                }
                Node::Fact { name, holds, text } if facts[name] == *holds => shown(text, facts, out),
                _ => {}
            }
        }
    }

    fn facts_of(template: &[Node]) -> BTreeSet<String> {
        let mut facts = BTreeSet::new();
        visit(template, &mut |node| {
            if let Node::Fact { name, .. } = node {
                facts.insert(name.clone());
            }
        });
        facts
    }

    #[test]
    fn every_sentence_states_what_its_headline_says() {
        for frame in &grammar().frames {
            for sentence in &frame.sentences {
                let facts = facts_of(sentence);
                assert!(facts_of(&frame.headline).is_subset(&facts), "{sentence:?}");
                for mask in 0..1u32 << facts.len() {
                    let holds: BTreeMap<String, bool> =
                        facts.iter().enumerate().map(|(i, f)| (f.clone(), mask >> i & 1 == 1)).collect();
                    let (mut said, mut stated) = (BTreeSet::new(), BTreeSet::new());
                    shown(&frame.headline, &holds, &mut said);
                    shown(sentence, &holds, &mut stated);
                    assert!(said.is_subset(&stated), "{said:?} {stated:?} {sentence:?}");
                }
            }
        }
    }

    #[test]
    fn pairs_are_drawn_by_seed_and_look_like_text() {
        let grammar = grammar();
        let draw = |seed| {
            let mut rng = Rng::new(seed, 0);
            (0..500).map(|_| grammar.draw(&mut rng)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        for pair in draw(3) {
            let length = pair.sentence.chars().count();
            assert!((15..130).contains(&length), "{}", pair.sentence);
            let length = pair.headline.chars().count();
            assert!((5..35).contains(&length), "{}", pair.headline);
            let syntax = |c: char| "{}[]()|!:<>@#= \n".contains(c);
            assert!(!pair.sentence.contains(syntax) && !pair.headline.contains(syntax), "{pair:?}");
        }
    }

    #[test]
    fn names_of_one_list_differ() {
        let grammar = Grammar::parse("@a x y\n> {a}{a2}-{a}\n< {a2}\n").unwrap();
        let mut rng = Rng::new(5, 0);
        for _ in 0..50 {
            let pair = grammar.draw(&mut rng);
            assert!(["xy-x", "yx-y"].contains(&pair.sentence.as_str()), "{pair:?}");
            assert_eq!(pair.headline, pair.sentence[1..2]);
        }
    }

    #[test]
    fn faults_in_a_grammar_are_named() {
        for (text, part) in [
            ("> {a}\n< x\n", "{a} is nowhere defined"),
            ("< x\n", "without sentences"),
            ("", "without sentences"),
            ("x", "line 1: starts with none"),
            ("> x\n> [a|b\n", "line 2: [ without ]"),
            ("> (a:b\n", "( without )"),
            ("> {9-3}\n", "is empty"),
            ("> {n:9}\n", "is no range"),
            ("> a|b\n", "outside of [ ]"),
            ("> a)\n", ") without a beginning"),
            ("> {a\n", "{ without }"),
        ] {
            let error = Grammar::parse(text).err().map(|e| format!("{e:#}")).unwrap_or_default();
            assert!(error.contains(part), "{text:?}: {error:?}");
        }
    }
}
