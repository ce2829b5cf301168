//! How much memory a model needs, and how much there is.

use t5kit_formats::config::T5Config;

use crate::t5::generates_few;

/// A batch that memory is predicted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Sequences worked on together.
    pub sequences: usize,
    /// Tokens of each source.
    pub source_tokens: usize,
    /// Tokens generated, or of each target.
    pub target_tokens: usize,
}

/// Predicted bytes beside the weights while text is generated for a batch: the encoder's activations at their
/// widest, or the decoder's keys and values with the logits of a step, whichever is more. One target of each source.
pub fn generation_bytes(config: &T5Config, batch: Batch) -> u64 {
    let (d, ff, inner) = (config.d_model as u64, config.d_ff as u64, config.inner_dim() as u64);
    let gates = if config.feed_forward().is_some_and(|f| f.gated) { 2 } else { 1 };
    let sequences = batch.sequences as u64;
    let source = sequences * batch.source_tokens as u64;
    let encoder = source * (2 * d + (4 * inner).max((gates + 1) * ff));
    // Room for positions is doubled whenever it runs out.
    let positions = sequences * batch.target_tokens.next_power_of_two().max(32) as u64;
    let few = generates_few(config, batch.target_tokens);
    let seen = if few { 0 } else { source };
    let caches = config.num_decoder_layers as u64 * (seen + positions) * 2 * inner;
    let wide = if few { 2 * d * config.num_heads as u64 } else { 0 };
    let step = sequences * (config.vocab_size as u64 + 2 * d + 3 * inner + wide + (gates + 1) * ff);
    4 * encoder.max(caches + source * d + step)
}

/// Bytes that this process could still be given: what the system has left, and what the limit of its control group
/// leaves; `None` where the system does not tell.
pub fn available_bytes() -> Option<u64> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let field = |text: &str, name: &str, unit: u64| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim_start_matches(':').trim().trim_end_matches("kB").trim().parse::<u64>().ok()? * unit)
    };
    let system = read("/proc/meminfo").and_then(|text| field(&text, "MemAvailable", 1024));
    let group = || {
        let limit: u64 = read("/sys/fs/cgroup/memory.max")?.trim().parse().ok()?;
        let used: u64 = read("/sys/fs/cgroup/memory.current")?.trim().parse().ok()?;
        // Cached files go when memory is needed.
        let cached =
            read("/sys/fs/cgroup/memory.stat").and_then(|s| field(&s, "inactive_file", 1)).unwrap_or(0);
        Some(limit.saturating_sub(used.saturating_sub(cached)))
    };
    match (system, group()) {
        (Some(system), Some(group)) => Some(system.min(group)),
        (system, group) => system.or(group),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generation_of_mt5_small() {
        let batch = Batch { sequences: 16, source_tokens: 256, target_tokens: 128 };
        let bytes = generation_bytes(&T5Config::default(), batch);
        // 8 layers of keys and values: 4,096 + 2,048 positions of 768 floats; logits of 16 × 250,112.
        let caches = 8 * (4096 + 2048) * 768 * 4;
        assert!(bytes > caches + 16 * 250_112 * 4 && bytes < 230 << 20, "{bytes}");
        // Short targets need none of the sources'.
        let short = generation_bytes(&T5Config::default(), Batch { target_tokens: 32, ..batch });
        assert!(short < bytes - 8 * 4096 * 768 * 4, "{short}");
        let none = Batch { sequences: 0, source_tokens: 0, target_tokens: 0 };
        assert_eq!(generation_bytes(&T5Config::default(), none), 0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn linux_tells() {
        assert!(available_bytes().unwrap() > 0);
    }
}
