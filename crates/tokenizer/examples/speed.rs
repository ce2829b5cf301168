//! Times loading and encoding, for `bench/tokenize.py`: one measurement a run, as a JSON object.
//!
//! usage: speed TOKENIZER TEXT THREADS; every line of TEXT is one text.

use std::error::Error;
use std::path::Path;
use std::time::Instant;
use t5kit_tokenizer::Tokenizer;

fn encode(tokenizer: &Tokenizer, lines: &[&[u8]]) -> usize {
    let mut ids = Vec::new();
    let mut count = 0;
    for line in lines {
        ids.clear();
        tokenizer.encode_into(line, &mut ids);
        count += ids.len();
    }
    count
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [tokenizer, text, threads] = args.as_slice() else {
        return Err("usage: speed TOKENIZER TEXT THREADS".into());
    };
    let threads: usize = threads.parse()?;
    let text = std::fs::read(text)?;
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();

    let start = Instant::now();
    let tokenizer = Tokenizer::load(Path::new(tokenizer))?;
    let load_ms = start.elapsed().as_secs_f64() * 1e3;
    let mut best = f64::MAX;
    let mut tokens = 0;
    // The first pass warms the caches; the others are short enough for the best of them to be undisturbed.
    for _ in 0..4 {
        let start = Instant::now();
        tokens = if threads == 1 {
            encode(&tokenizer, &lines)
        } else {
            std::thread::scope(|scope| {
                let share = lines.len().div_ceil(threads);
                let workers: Vec<_> =
                    lines.chunks(share).map(|lines| scope.spawn(|| encode(&tokenizer, lines))).collect();
                workers.into_iter().map(|w| w.join().expect("encoding does not panic")).sum()
            })
        };
        best = best.min(start.elapsed().as_secs_f64());
    }
    let mb_s = text.len() as f64 / best / 1e6;
    println!("{{\"load_ms\":{load_ms:.1},\"mb_s\":{mb_s:.1},\"tokens\":{tokens}}}");
    Ok(())
}
