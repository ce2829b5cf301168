//! What lookup decoding saves where a model says the targets of a table: steps, and seconds with and without it, in turn.
//! The model has mT5-small's shape and random weights, which take the time that trained ones do; what it says is put into
//! its mouth by a logits processor, so that the steps are those of a model that has learnt the table.
//!
//! `cargo run --release -p t5kit-generate --example lookup -- TABLE TOKENIZER [KEY=VALUE…]`; TABLE has a source, a tab and
//! a target on each line. `dtype=f32`, `threads=2`, `lookup=4,8`, `batch=1,16`, `rounds=3`; `sources`: how many of the
//! lines, all by default; `cut=256`: tokens of a source; `shape=tiny` counts steps alone and is quick. `rows=1,2,4`
//! instead times steps that are fed so many tokens, behind the first source, the best of many rounds each: what a step
//! costs before it is fed anything, against a token, is what `lookup::Cost` says.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use t5kit_generate::processors::{History, LogitsProcessor, Scores};
use t5kit_generate::{Event, GenerateOptions, Request, Session, SessionLimits, Steps, most_proposed};
use t5kit_model::{LoadOptions, Plan, Seq2Seq, SpecialIds, T5, T5Config, save};
use t5kit_tensor::{DType, Graph, Packed, Pool, Regime, ops};
use t5kit_tokenizer::Tokenizer;

/// Says these ids, whatever the model thinks.
struct Says(Vec<u32>);

impl LogitsProcessor for Says {
    fn process(&self, history: History<'_>, scores: &mut Scores<'_>) {
        scores.set(self.next(history), f32::MAX);
    }

    fn touches(&self, history: History<'_>) -> Option<Vec<u32>> {
        Some(vec![self.next(history)])
    }
}

impl Says {
    fn next(&self, history: History<'_>) -> u32 {
        let next = self.0.get(history.ids.len() - history.given).copied();
        next.unwrap_or(SpecialIds::default().end[0])
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(table), Some(tokenizer)) = (arguments.next(), arguments.next()) else {
        return Err("give a table and a tokenizer".into());
    };
    let given: HashMap<String, String> =
        arguments.filter_map(|a| a.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()))).collect();
    let value = |key: &str, default: &str| given.get(key).map_or(default, |v| v).to_owned();
    let numbers = |key: &str, default: &str| -> Result<Vec<usize>, std::num::ParseIntError> {
        value(key, default).split(',').map(str::parse).collect()
    };
    let one = |key: &str, default: &str| numbers(key, default).map(|n| n[0]);

    let tokenizer = Tokenizer::load(Path::new(&tokenizer))?;
    let (cut, most) = (one("cut", "256")?, one("sources", "1000000")?);
    let mut pairs = Vec::new();
    for line in std::fs::read_to_string(table)?.lines().take(most) {
        let (source, target) = line.split_once('\t').ok_or("a line without a tab")?;
        let ids = |text: &str, most: usize| {
            let mut ids = tokenizer.encode(text);
            ids.truncate(most - 1);
            ids.push(SpecialIds::default().end[0]);
            ids
        };
        pairs.push((ids(source, cut), ids(target, 1 << 20)));
    }
    let rows = tokenizer.vocab_size();
    let tiny = value("shape", "small") == "tiny";
    let shape = match tiny {
        true => T5Config {
            d_model: 32,
            d_kv: 16,
            num_heads: 2,
            d_ff: 32,
            num_layers: 1,
            num_decoder_layers: 1,
            ..T5Config::default()
        },
        false => T5Config::default(),
    };
    let model = T5::random(T5Config { vocab_size: rows, ..shape }, 1)?;
    let dtype = value("dtype", "f32");
    let dtype = DType::WEIGHTS.into_iter().find(|d| d.name() == dtype).ok_or("no such dtype")?;
    let folder = tempfile::tempdir()?;
    save(&model, &[], folder.path())?;
    let options = LoadOptions { dtype: Some(dtype), ..LoadOptions::default() };
    let model = Plan::new(folder.path(), &options)?.load()?;
    let model: &dyn Seq2Seq = &*model;

    let pool = Pool::new(one("threads", "2")?);
    if given.contains_key("rows") {
        let rows = numbers("rows", "")?;
        let source = Packed::new([&pairs.first().ok_or("an empty table")?.0])?;
        let mut best = vec![f64::INFINITY; rows.len()];
        for _ in 0..one("rounds", "30")? {
            for (&rows, best) in rows.iter().zip(&mut best) {
                let mut cache = model.cache();
                let mut bulk = Graph::inference(model.params(), &pool, Regime::Bulk);
                model.start(&mut bulk, &mut cache, &source, &[64]);
                let mut graph = Graph::inference(model.params(), &pool, Regime::Steps);
                let fed = Packed::new([vec![5; rows]])?;
                let begun = Instant::now();
                let hidden = model.step(&mut graph, &fed, &mut cache);
                let mut logits = ops::logits(&graph, &hidden, model.softmax());
                ops::each_row(&graph, &mut logits, |_, row| row.argmax());
                *best = best.min(begun.elapsed().as_secs_f64());
            }
        }
        for (rows, best) in rows.iter().zip(best) {
            println!("{}\t{rows} rows\t{:.3} ms", dtype.name(), 1e3 * best);
        }
        return Ok(());
    }
    let lookups = [vec![0], numbers("lookup", "4,8")?].concat();
    println!("batch\tlookup\ttokens\tsteps\ta step and text\ttried\tof them right\tseconds\t× as fast");
    for batch in numbers("batch", "1,16")? {
        let mut found: Vec<(Steps, Vec<f64>)> = vec![Default::default(); lookups.len()];
        for _ in 0..one("rounds", "3")? {
            for (&lookup, (steps, seconds)) in lookups.iter().zip(&mut found) {
                let begun = Instant::now();
                *steps = run(model, &pool, &pairs, batch, lookup);
                seconds.push(begun.elapsed().as_secs_f64());
            }
        }
        let median = |seconds: &mut Vec<f64>| {
            seconds.sort_by(f64::total_cmp);
            seconds[seconds.len() / 2]
        };
        let without = median(&mut found[0].1);
        for (&lookup, (steps, seconds)) in lookups.iter().zip(&mut found) {
            let (Steps { steps: passes, tokens, proposed, .. }, seconds) = (*steps, median(seconds));
            let (a_step, right) = (steps.tokens_a_step(), 100.0 * steps.accepted());
            print!("{batch}\t{lookup}\t{tokens}\t{passes}\t{a_step:.2}\t{proposed}\t{right:.0} %");
            println!("\t{seconds:.2}\t{:.2}", without / seconds);
        }
    }
    Ok(())
}

/// All pairs' targets, `batch` sources at a time.
fn run(
    model: &dyn Seq2Seq,
    pool: &Pool,
    pairs: &[(Vec<u32>, Vec<u32>)],
    batch: usize,
    lookup: usize,
) -> Steps {
    let limits = SessionLimits {
        requests: batch,
        hypotheses: batch + most_proposed(lookup, batch),
        tokens: usize::MAX,
    };
    let mut session = Session::new(model, limits);
    let longest = pairs.iter().map(|(_, target)| target.len()).max().unwrap_or(1);
    let options = Arc::new(GenerateOptions {
        max_new_tokens: longest,
        prompt_lookup_num_tokens: lookup,
        ..GenerateOptions::new(model.rows(), model.special_ids())
    });
    let mut targets = HashMap::new();
    for (source, target) in pairs {
        let says: Arc<dyn LogitsProcessor> = Arc::new(Says(target.clone()));
        let request = Request::new(source.clone(), options.clone());
        let id = session.admit(Request { processors: vec![says], ..request }).expect("ids of the tokenizer");
        targets.insert(id, target);
    }
    while !session.is_empty() {
        for event in session.step(pool) {
            if let Event::Finished { request, targets: said, .. } = event {
                assert_eq!(&said[0].ids, targets[&request], "it says the target");
            }
        }
    }
    session.steps()
}
