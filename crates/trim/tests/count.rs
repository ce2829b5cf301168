//! Counting: equal to tokenizing every text by itself, whatever the form of the files, the number of
//! threads, the chunks, the interruptions and the bad rows.

mod common;

use std::fs;
use std::io::Write;
use std::ops::ControlFlow;
use std::time::Duration;

use common::{Random, WORDS, shared, small_model, text, tokenizer};
use t5kit_formats::inputs::{Input, expand};
use t5kit_formats::progress::{Progress, Watch};
use t5kit_formats::table::{self, ColumnRef, Columns, Format, TableOptions};
use t5kit_tokenizer::Tokenizer;
use t5kit_trim::{CountOptions, CountWatch, Counted, Error, OnError, State, Tally, Unfinished, count};
use tempfile::TempDir;

/// The slow obvious version.
fn oracle(tokenizer: &Tokenizer, texts: &[String]) -> Vec<u64> {
    let mut counts = vec![0; tokenizer.vocab_size()];
    for text in texts {
        for id in tokenizer.encode(text) {
            counts[id as usize] += 1;
        }
    }
    counts
}

/// Asserts that counts are equal, showing the first differences only.
#[track_caller]
fn assert_same(counted: &[u64], expected: &[u64], what: &str) {
    let differ: Vec<(usize, u64, u64)> = (0..expected.len())
        .filter(|&id| counted[id] != expected[id])
        .map(|id| (id, counted[id], expected[id]))
        .take(9)
        .collect();
    assert!(counted.len() == expected.len() && differ.is_empty(), "{what}: (id, got, expected) {differ:?}");
}

fn texts(n: usize) -> Vec<String> {
    let mut random = Random(7);
    (0..n)
        .map(|i| {
            let words = random.below(60);
            let words = if i == n / 2 { 9000 } else { words };
            text(&mut random, words)
        })
        .collect()
}

fn inputs(folder: &TempDir, name: &str, bytes: &[u8]) -> Vec<Input> {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    expand(&[path.to_string_lossy().into_owned()]).unwrap()
}

fn small_chunks() -> CountOptions {
    CountOptions { chunk_bytes: 4096, threads: 3, ..CountOptions::default() }
}

fn lines(texts: &[String]) -> Vec<u8> {
    texts.iter().flat_map(|text| [text.as_bytes(), b"\n"].concat()).collect()
}

fn json_lines(texts: &[String]) -> Vec<u8> {
    let mut out = Vec::new();
    for (i, text) in texts.iter().enumerate() {
        let ascii = serde_json::to_string(text).unwrap();
        // Half of them as Python writes them: escapes for everything that is not ASCII.
        let ascii: String = if i % 2 == 0 {
            ascii
        } else {
            ascii
                .encode_utf16()
                .map(|u| if u < 128 { char::from(u as u8).to_string() } else { format!("\\u{u:04x}") })
                .collect()
        };
        writeln!(out, "{{\"id\": {i}, \"text\": {ascii}, \"meta\": {{\"text\": [1, \"x\"]}}}}").unwrap();
    }
    out
}

fn csv(texts: &[String]) -> Vec<u8> {
    let mut out = b"id,text\r\n".to_vec();
    for (i, text) in texts.iter().enumerate() {
        write!(out, "{i},\"{}\"\r\n", text.replace('"', "\"\"")).unwrap();
    }
    out
}

fn tsv(texts: &[String]) -> Vec<u8> {
    let mut out = b"id\ttext\n".to_vec();
    for (i, text) in texts.iter().enumerate() {
        writeln!(out, "{i}\t{text}").unwrap();
    }
    out
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// All forms of a corpus: name and bytes.
fn forms(texts: &[String]) -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("a.txt", lines(texts)),
        ("a.jsonl", json_lines(texts)),
        ("a.csv", csv(texts)),
        ("a.tsv", tsv(texts)),
        ("a.jsonl.gz", gzip(&json_lines(texts))),
        ("a.txt.zst", zstd::encode_all(&lines(texts)[..], 1).unwrap()),
    ]
}

#[test]
fn every_form_and_number_of_threads() {
    let folder = TempDir::new().unwrap();
    let tokenizer = tokenizer(&folder, &small_model(&WORDS));
    let texts = texts(2000);
    let expected = oracle(&tokenizer, &texts);
    assert!(expected[3..259].iter().sum::<u64>() > 0, "some byte pieces are wanted");
    for (name, bytes) in forms(&texts) {
        let inputs = inputs(&folder, name, &bytes);
        for (threads, chunk_bytes) in [(1, 1 << 20), (1, 64 << 10), (2, 4096), (5, 2000)] {
            let options = CountOptions { threads, chunk_bytes, ..CountOptions::default() };
            let counted = count(&tokenizer, &inputs, &options, &State::default(), &mut ()).unwrap();
            assert!(counted.complete);
            assert_same(&counted.counts, &expected, &format!("{name}, {threads} threads, {chunk_bytes}"));
            let tally = Tally {
                lines: 2000,
                text_bytes: texts.iter().map(|t| t.len() as u64).sum(),
                tokens: expected.iter().sum(),
                ..Tally::default()
            };
            // A long text in a text file is cut at a space, which is then in the second part.
            assert_eq!(counted.tally, tally, "{name}");
        }
    }
}

#[test]
fn a_text_without_spaces_is_cut_and_said_to_be() {
    let folder = TempDir::new().unwrap();
    let tokenizer = tokenizer(&folder, &small_model(&WORDS));
    let long = vec!["今天天气很好。".repeat(1000)];
    let expected = oracle(&tokenizer, &long);
    for (name, bytes) in forms(&long) {
        let counted =
            count(&tokenizer, &inputs(&folder, name, &bytes), &small_chunks(), &State::default(), &mut ())
                .unwrap();
        let Tally { lines, text_bytes, forced_cuts, .. } = counted.tally;
        assert_eq!((lines, text_bytes), (1, 21_000), "{name}");
        assert_eq!(forced_cuts, 5, "{name}");
        let off: u64 = expected.iter().zip(&counted.counts).map(|(a, b)| a.abs_diff(*b)).sum();
        assert!((1..=4 * forced_cuts).contains(&off), "{name}: {off}");
    }
}

#[test]
fn columns() {
    let folder = TempDir::new().unwrap();
    let tokenizer = tokenizer(&folder, &small_model(&WORDS));
    let table = "title\tbody\n今天\t天气\n很好\t不错\n";
    let input = inputs(&folder, "a.tsv", table.as_bytes());
    let error = count(&tokenizer, &input, &CountOptions::default(), &State::default(), &mut ()).unwrap_err();
    assert!(error.to_string().contains("which column holds the text?"), "{error}");
    let these = |names: &[&str]| Columns::These(names.iter().map(|n| ColumnRef::parse(n)).collect());
    for (columns, texts) in [
        (these(&["body"]), &["天气", "不错"][..]),
        (these(&["title", "body"]), &["今天", "天气", "很好", "不错"]),
        (these(&["2"]), &["天气", "不错"]),
    ] {
        let options = CountOptions { columns, ..CountOptions::default() };
        let counted = count(&tokenizer, &input, &options, &State::default(), &mut ()).unwrap();
        let texts: Vec<String> = texts.iter().map(|t| t.to_string()).collect();
        assert_same(&counted.counts, &oracle(&tokenizer, &texts), "");
    }
    let options = CountOptions { columns: these(&["goal"]), ..CountOptions::default() };
    let error = count(&tokenizer, &input, &options, &State::default(), &mut ()).unwrap_err();
    assert!(error.to_string().ends_with("no column \"goal\"; it has title, body"), "{error}");
    // A format by request, against the name.
    let options = CountOptions {
        table: TableOptions { format: Some(Format::Text), ..TableOptions::default() },
        ..CountOptions::default()
    };
    let counted = count(&tokenizer, &input, &options, &State::default(), &mut ()).unwrap();
    assert_eq!(counted.tally.lines, 3);
}

/// Ends a count after so many chunks, and keeps the last state.
#[derive(Default)]
struct Interrupter {
    after: usize,
    asked: usize,
    saved: Option<State>,
    /// Where the count went on from.
    begun: Option<u64>,
    bad: Vec<String>,
}

impl Watch for Interrupter {
    fn progress(&mut self, at: Progress<'_>) -> ControlFlow<()> {
        assert!(at.total.is_none_or(|total| at.done <= total) && at.before <= at.done, "{at:?}");
        self.begun = (at.before > 0).then_some(at.before);
        self.asked += 1;
        if self.asked > self.after { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

impl CountWatch for Interrupter {
    fn save(&mut self, state: &State) -> Result<(), Error> {
        self.saved = Some(state.clone());
        Ok(())
    }

    fn bad(&mut self, error: &table::Error) {
        self.bad.push(error.to_string());
    }
}

#[test]
fn interrupted_counts_go_on_to_the_same_numbers() {
    let folder = TempDir::new().unwrap();
    let tokenizer = tokenizer(&folder, &small_model(&WORDS));
    let texts = texts(700);
    let expected = oracle(&tokenizer, &[&texts[..], &texts[..]].concat());
    for (name, bytes) in forms(&texts) {
        let mut inputs = inputs(&folder, name, &bytes);
        let again = folder.path().join(format!("again-{name}"));
        fs::write(&again, &bytes).unwrap();
        inputs.extend(expand(&[again.to_string_lossy().into_owned()]).unwrap());
        for after in [0, 1, 3, 8] {
            let mut state = State::default();
            let mut runs = 0;
            let counted = loop {
                let mut observer = Interrupter { after, ..Interrupter::default() };
                let counted = count(&tokenizer, &inputs, &small_chunks(), &state, &mut observer).unwrap();
                // Said by a count that goes on, and by no other.
                let begun = observer.begun.take();
                let going_on = state != State::default();
                assert!(begun.is_some() == going_on, "{name}: {begun:?}");
                assert!(begun.is_none_or(|b| b <= 2 * inputs[0].bytes), "{name}: {begun:?}");
                if counted.complete {
                    break counted;
                }
                let saved = observer.saved.take().unwrap();
                assert_eq!(saved.tally(), &counted.tally);
                // Through a file, as the program does it; and on by one chunk at least.
                let saved: State = serde_json::from_slice(&serde_json::to_vec(&saved).unwrap()).unwrap();
                assert!(after == 0 || saved != state, "{name}");
                state = saved;
                runs += 1;
                if after == 0 && runs == 3 {
                    assert_eq!(state.tally(), &Tally::default());
                    break count(&tokenizer, &inputs, &small_chunks(), &state, &mut ()).unwrap();
                }
                assert!(runs < 1000);
            };
            assert!(runs > 0);
            assert_same(&counted.counts, &expected, &format!("{name}, {after}"));
            assert_eq!(counted.tally.lines, 1400, "{name}, {after}");
        }
    }
}

#[test]
fn saving_often_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let tokenizer = tokenizer(&folder, &small_model(&WORDS));
    let texts = texts(300);
    let inputs = inputs(&folder, "a.jsonl", &json_lines(&texts));
    let mut observer = Interrupter { after: usize::MAX, ..Interrupter::default() };
    let options = CountOptions { save_every: Duration::ZERO, ..small_chunks() };
    let counted = count(&tokenizer, &inputs, &options, &State::default(), &mut observer).unwrap();
    assert_same(&counted.counts, &oracle(&tokenizer, &texts), "");
    assert!(observer.saved.unwrap().tally().lines > 200);
}

fn bad_corpus() -> Vec<u8> {
    let mut bytes = Vec::new();
    for i in 0..400 {
        match i {
            100 => bytes.extend_from_slice(b"{\"text\": \"open\n"),
            250 => bytes.extend_from_slice(b"{\"text\": \"\xff\"}\n"),
            251 => bytes.extend_from_slice(b"{\"body\": \"x\"}\n"),
            _ => bytes.extend_from_slice("{\"text\": \"今天天气\"}\n".as_bytes()),
        }
    }
    bytes
}

#[test]
fn bad_rows_fail_at_the_first_or_are_counted() {
    let folder = TempDir::new().unwrap();
    let tokenizer = tokenizer(&folder, &small_model(&WORDS));
    let mut inputs = inputs(&folder, "a.jsonl", &bad_corpus());
    for name in ["b.jsonl", "c.jsonl"] {
        let path = folder.path().join(name);
        fs::write(&path, bad_corpus()).unwrap();
        inputs.extend(expand(&[path.to_string_lossy().into_owned()]).unwrap());
    }
    for _ in 0..20 {
        let options = CountOptions { chunk_bytes: 256, threads: 4, ..CountOptions::default() };
        let error = count(&tokenizer, &inputs, &options, &State::default(), &mut ()).unwrap_err().to_string();
        assert!(error.contains("a.jsonl, line 101: not a JSON object"), "{error}");
    }
    fs::write(folder.path().join("b.jsonl"), &gzip(&bad_corpus())[..120]).unwrap();
    let mut observer = Interrupter { after: usize::MAX, ..Interrupter::default() };
    let options = CountOptions { on_error: OnError::Skip, ..small_chunks() };
    let Counted { tally, counts, complete } =
        count(&tokenizer, &inputs, &options, &State::default(), &mut observer).unwrap();
    assert!(complete);
    assert_eq!((tally.bad_files, counts.iter().sum::<u64>()), (1, tally.tokens));
    assert!(tally.lines >= 2 * 397 && tally.bad_rows >= 6);
    let bad = observer.bad;
    assert_eq!(bad.len() as u64, tally.bad_rows + tally.bad_files);
    assert!(bad.iter().any(|e| e.contains("b.jsonl: cannot be read near line")), "{bad:?}");
    assert!(bad.iter().any(|e| e.contains("c.jsonl, line 252: no field \"text\"; the fields are body")));
}

#[test]
fn a_bad_first_line_is_a_bad_row() {
    let folder = TempDir::new().unwrap();
    let tokenizer = tokenizer(&folder, &small_model(&WORDS));
    let input = inputs(&folder, "a.jsonl", "\n{bad\n{\"text\": \"今天\"}\n".as_bytes());
    let error =
        count(&tokenizer, &input, &small_chunks(), &State::default(), &mut ()).unwrap_err().to_string();
    assert!(error.contains("a.jsonl, line 2: not a JSON object"), "{error}");
    let options = CountOptions { on_error: OnError::Skip, ..small_chunks() };
    let tally = count(&tokenizer, &input, &options, &State::default(), &mut ()).unwrap().tally;
    assert_eq!((tally.lines, tally.bad_rows, tally.bad_files), (1, 1, 0));
}

#[test]
fn overlong_rows_are_bad_rows() {
    let folder = TempDir::new().unwrap();
    let tokenizer = tokenizer(&folder, &small_model(&WORDS));
    let long = format!("{{\"text\": \"{}\"}}\n", "今天 ".repeat(20_000));
    let text = format!("{{\"text\": \"今天\"}}\n{long}{{\"text\": \"天气\"}}\n{long}");
    let input = inputs(&folder, "a.jsonl", text.as_bytes());
    let options = CountOptions {
        on_error: OnError::Skip,
        table: TableOptions { max_row_bytes: 50_000, ..TableOptions::default() },
        ..small_chunks()
    };
    let tally = count(&tokenizer, &input, &options, &State::default(), &mut ()).unwrap().tally;
    assert_eq!((tally.lines, tally.bad_rows), (2, 2));
    let options = CountOptions { on_error: OnError::Fail, ..options };
    let error = count(&tokenizer, &input, &options, &State::default(), &mut ()).unwrap_err().to_string();
    assert!(error.contains("a.jsonl, line 2: longer than 50000 bytes"), "{error}");
}

#[test]
fn empty_files_and_blank_lines() {
    let folder = TempDir::new().unwrap();
    let tokenizer = tokenizer(&folder, &small_model(&WORDS));
    for (name, text, rows) in [
        ("a.txt", "", 0),
        ("a.jsonl", "", 0),
        ("b.jsonl", "\n\n", 0),
        ("a.csv", "", 0),
        ("a.tsv", "", 0),
        ("b.txt", "\n\n", 2),
        ("b.tsv", "text\n", 0),
    ] {
        let input = inputs(&folder, name, text.as_bytes());
        let tally = count(&tokenizer, &input, &small_chunks(), &State::default(), &mut ()).unwrap().tally;
        assert_eq!((tally.lines, tally.tokens), (rows, 0), "{name}");
    }
}

#[test]
fn unfinished_counts_know_what_they_are_of() {
    let folder = TempDir::new().unwrap();
    let tokenizer = tokenizer(&folder, &small_model(&WORDS));
    let inputs = inputs(&folder, "a.jsonl", &json_lines(&texts(200)));
    let options = small_chunks();
    let output = folder.path().join("counts.tsv");
    let path = Unfinished::path_of(&output);
    assert!(path.ends_with("counts.tsv.unfinished"));
    let mut unfinished = Unfinished::new(&tokenizer, &inputs, &options, &[]).unwrap();
    let mut observer = Interrupter { after: 3, ..Interrupter::default() };
    count(&tokenizer, &inputs, &options, &State::default(), &mut observer).unwrap();
    let state = observer.saved.take().unwrap();
    unfinished.write(&path, &state).unwrap();
    unfinished.take_over(&path, &tokenizer).unwrap();
    assert_eq!(unfinished.state, state);

    let refused = |inputs: &[Input], options: &CountOptions, merge: &[std::path::PathBuf]| {
        let mut other = Unfinished::new(&tokenizer, inputs, options, merge).unwrap();
        other.take_over(&path, &tokenizer).unwrap_err().to_string()
    };
    let other = CountOptions { columns: Columns::These(vec![ColumnRef::Number(1)]), ..options.clone() };
    assert!(refused(&inputs, &other, &[]).contains("`columns` was not given and is 1; "));
    let more = [&inputs[..], &inputs[..]].concat();
    assert!(refused(&more, &options, &[]).contains("there were 1 input files and are 2"));
    assert!(refused(&inputs, &options, &[inputs[0].path.clone()]).contains("counts to be merged are others"));
    let changed = self::inputs(&folder, "a.jsonl", &json_lines(&texts(201)));
    assert!(refused(&changed, &options, &[]).contains("a.jsonl has changed"));
    let moved = self::inputs(&folder, "b.jsonl", &json_lines(&texts(200)));
    assert!(refused(&moved, &options, &[]).contains("had "));
    // Bad rows may be passed over the second time.
    let skipping = CountOptions { on_error: OnError::Skip, threads: 1, ..options.clone() };
    Unfinished::new(&tokenizer, &inputs, &skipping, &[]).unwrap().take_over(&path, &tokenizer).unwrap();

    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert!(refused(&inputs, &options, &[]).contains("is damaged"));
    fs::write(&path, whole.replace("\"counts\":[[", "\"counts\":[[4000000000,1],[")).unwrap();
    assert!(refused(&inputs, &options, &[]).contains("is damaged"));
}

/// The real tokenizers on real text: cutting long texts at spaces is exact for them too.
#[test]
#[ignore = "needs ../shared/data"]
fn real_tokenizers() {
    let data = shared();
    let corpus = data.join("text/eprstmt_unlabeled.jsonl");
    let inputs = expand(&[corpus.to_string_lossy().into_owned()]).unwrap();
    let texts: Vec<String> = table::open(&corpus, &[ColumnRef::parse("sentence")], &TableOptions::default())
        .unwrap()
        .take(4000)
        .map(|row| row.unwrap().values.remove(0))
        .collect();
    for model in ["sentencepiece_cn.model", "mt5_full_reconstructed.model"] {
        let tokenizer = Tokenizer::load(&data.join("tokenizer").join(model)).unwrap();
        let counted =
            count(&tokenizer, &inputs, &CountOptions::default(), &State::default(), &mut ()).unwrap();
        assert_eq!(counted.tally.lines, 19_565);
        // All texts in one line of several kinds of spaces, cut every 8,000 bytes.
        let folder = TempDir::new().unwrap();
        let spaces = [" ", "\u{3000}", "\t", "  "];
        let line: String = texts.iter().enumerate().map(|(i, t)| format!("{t}{}", spaces[i % 4])).collect();
        let path = folder.path().join("one.txt");
        fs::write(&path, &line).unwrap();
        let input = expand(&[path.to_string_lossy().into_owned()]).unwrap();
        let options = CountOptions { chunk_bytes: 8000, ..CountOptions::default() };
        let counted = count(&tokenizer, &input, &options, &State::default(), &mut ()).unwrap();
        assert_same(&counted.counts, &oracle(&tokenizer, &[line]), model);
        assert_eq!((counted.tally.lines, counted.tally.forced_cuts), (1, 0), "{model}");
    }
}
