//! `--add-tokens`: words that become tokens of their own.

use std::path::Path;

use anyhow::Result;
use t5kit_pipeline::Pipeline;

use crate::errors::usage;

/// Makes a token of each line of `file`, and says how many there are now.
pub fn add(pipeline: &mut Pipeline, file: Option<&Path>) -> Result<()> {
    let Some(file) = file else { return Ok(()) };
    let bytes = std::fs::read(file).map_err(t5kit_formats::Error::io(file, "read"))?;
    let text = String::from_utf8(bytes)
        .map_err(|_| usage(format!("--add-tokens {}: not UTF-8; save it as UTF-8", file.display())))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let words: Vec<String> = text.lines().filter(|line| !line.trim().is_empty()).map(String::from).collect();
    if words.is_empty() {
        return Err(usage(format!(
            "--add-tokens {}: there is no word in it; give one a line",
            file.display()
        )));
    }
    let new = pipeline.add_tokens(&words)?;
    let rows = pipeline.model.rows();
    told!(new_tokens, new = new, file = file.display(), rows = rows);
    Ok(())
}
