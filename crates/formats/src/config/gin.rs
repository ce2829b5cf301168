//! `operative_config.gin`, which mesh-tensorflow writes beside a checkpoint.
//!
//! Only bindings are read, not the whole language: `scope/module.Class.parameter = value`, and macros,
//! `name = value`, used as `%name`. Format: <https://github.com/google/gin-config/blob/master/docs/index.md>.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::T5Config;
use crate::error::{Error, Result};
use crate::foreign;

/// The longest file that is read, in bytes; Google's have about 15,000.
const MAX: u64 = 1 << 20;
/// Macros that are followed from one binding.
const MAX_DEPTH: usize = 8;

impl T5Config {
    /// The configuration in the gin file at `path`. The number of rows, which is not in it, is that of the
    /// checkpoint's embeddings.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Config`] naming the binding that is missing or wrong.
    pub fn read_gin(path: &Path, vocab_size: usize) -> Result<Self> {
        let file = File::open(path).map_err(Error::io(path, "open"))?;
        let mut bytes = Vec::new();
        file.take(MAX + 1).read_to_end(&mut bytes).map_err(Error::io(path, "read"))?;
        foreign::check(path, &bytes)?;
        let text = match String::from_utf8(bytes) {
            Ok(text) if text.len() as u64 <= MAX => text,
            Ok(_) => return Err(Error::malformed(path, "gin", format!("longer than {MAX} bytes"))),
            Err(_) => return Err(Error::malformed(path, "gin", "not UTF-8")),
        };
        Self::from_gin(path, &text, vocab_size)
    }

    /// The configuration in the text of a gin file; `path` names its origin in errors.
    ///
    /// # Errors
    /// [`Error::Config`] naming the binding that is missing or wrong.
    pub fn from_gin(path: &Path, text: &str, vocab_size: usize) -> Result<Self> {
        let gin = Gin { path, bindings: bindings(text) };
        let kind = gin.both("SelfAttention", "relative_attention_type")?;
        if kind.is_some_and(|k| unquote(k) != "bias_shared") {
            return Err(gin.error("SelfAttention.relative_attention_type", "only 'bias_shared' is read"));
        }
        if gin.get("", "Bitransformer", "shared_embedding").is_some_and(|v| v != "True") {
            return Err(gin.error("Bitransformer.shared_embedding", "encoder and decoder must share one"));
        }
        let gated = |v: &str| {
            let names = v.trim_matches(['[', ']', '(', ')']);
            let names: Vec<&str> =
                names.split(',').map(|n| unquote(n.trim())).filter(|n| !n.is_empty()).collect();
            match names[..] {
                ["gelu"] => Some("gelu_new".to_owned()),
                [one] => Some(one.to_owned()),
                [one, "linear"] => Some(format!("gated-{one}")),
                _ => None,
            }
        };
        let feed_forward_proj = match gin.both("DenseReluDense", "activation")? {
            None => "relu".to_owned(),
            Some(v) => {
                gated(v).ok_or_else(|| gin.error("DenseReluDense.activation", format!("{v} is not known")))?
            }
        };
        // mesh-tensorflow's default is true.
        let tied =
            gin.get("decoder", "Unitransformer", "shared_embedding_and_softmax_weights") != Some("False");
        let layers = |side| {
            let v = gin.get(side, "make_layer_stack", "num_layers").or(gin.get(side, "", "num_layers"));
            gin.size("make_layer_stack.num_layers", v)
        };
        let defaults = Self::default();
        let config = Self {
            model_type: super::family_of(vocab_size, feed_forward_proj.starts_with("gated-"), tied)
                .to_owned(),
            vocab_size,
            d_model: gin.need("Unitransformer", "d_model", "d_model")?,
            d_kv: gin.need("SelfAttention", "key_value_size", "d_kv")?,
            d_ff: gin.need("DenseReluDense", "hidden_size", "d_ff")?,
            num_layers: layers("encoder")?,
            num_decoder_layers: layers("decoder")?,
            num_heads: gin.need("SelfAttention", "num_heads", "num_heads")?,
            relative_attention_num_buckets: match gin
                .both("SelfAttention", "relative_attention_num_buckets")?
            {
                None => defaults.relative_attention_num_buckets,
                v => gin.size("SelfAttention.relative_attention_num_buckets", v)?,
            },
            dropout_rate: gin
                .number(&[("DenseReluDense", "dropout_rate"), ("", "dropout_rate")])?
                .unwrap_or(defaults.dropout_rate),
            layer_norm_epsilon: gin
                .number(&[("LayerStack", "norm_epsilon"), ("sublayer_rms_norm", "epsilon")])?
                .unwrap_or(defaults.layer_norm_epsilon),
            feed_forward_proj,
            tie_word_embeddings: tied,
            ..defaults
        };
        config.validate_for(path)?;
        Ok(config)
    }
}

/// The bindings of a file.
struct Gin<'a> {
    path: &'a Path,
    /// By scope, class and parameter; a macro has neither scope nor class.
    bindings: HashMap<[String; 3], String>,
}

impl Gin<'_> {
    /// The value of a parameter, in the scope or in none, macros replaced; Python's `None` is no value.
    fn get(&self, scope: &str, class: &str, parameter: &str) -> Option<&str> {
        let find = |scope: &str, class: &str, parameter: &str| {
            self.bindings.get(&[scope, class, parameter].map(str::to_owned)).map(String::as_str)
        };
        let mut value = find(scope, class, parameter).or_else(|| find("", class, parameter))?;
        for _ in 0..MAX_DEPTH {
            match value.strip_prefix('%') {
                Some(name) => value = find("", "", name)?,
                None => return Some(value).filter(|&v| v != "None"),
            }
        }
        None
    }

    /// The value that encoder and decoder must have in common.
    fn both(&self, class: &str, parameter: &str) -> Result<Option<&str>> {
        let values = ["encoder", "decoder"].map(|side| self.get(side, class, parameter));
        if let [Some(a), Some(b)] = values
            && a != b
        {
            let what = format!("{a} in the encoder and {b} in the decoder");
            return Err(self.error(&format!("{class}.{parameter}"), what));
        }
        Ok(values[0].or(values[1]))
    }

    /// A size that is bound to the parameter, or to the macro.
    fn need(&self, class: &str, parameter: &str, name: &str) -> Result<usize> {
        let value = self.both(class, parameter)?.or(self.get("", "", name));
        self.size(&format!("{class}.{parameter}"), value)
    }

    fn size(&self, field: &str, value: Option<&str>) -> Result<usize> {
        let Some(value) = value else { return Err(self.error(field, "not bound")) };
        match value.parse::<u32>() {
            Ok(n) => Ok(n as usize),
            Err(_) => Err(self.error(field, format!("{value} is not a size"))),
        }
    }

    /// The first of these parameters that is bound.
    fn number(&self, places: &[(&str, &str)]) -> Result<Option<f64>> {
        for (class, parameter) in places {
            if let Some(value) = self.both(class, parameter)? {
                let field = format!("{class}.{parameter}");
                let number =
                    value.parse().map_err(|_| self.error(&field, format!("{value} is not a number")));
                return number.map(Some);
            }
        }
        Ok(None)
    }

    fn error(&self, field: &str, what: impl Into<String>) -> Error {
        Error::Config { path: self.path.to_owned(), field: field.to_owned(), what: what.into() }
    }
}

/// All bindings of a text; a later one counts.
fn bindings(text: &str) -> HashMap<[String; 3], String> {
    let mut bindings = HashMap::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let mut line = line.split('#').next().unwrap_or("").trim_end().to_owned();
        // A value that goes on in the next line: behind a backslash, or until its brackets are closed.
        while line.ends_with('\\') || open_brackets(&line) {
            let Some(more) = lines.next() else { break };
            line.truncate(line.trim_end_matches('\\').len());
            line.push(' ');
            line.push_str(more.split('#').next().unwrap_or("").trim());
        }
        let Some((key, value)) = line.split_once('=') else { continue };
        let (scope, key) = key.trim().rsplit_once('/').unwrap_or(("", key.trim()));
        let (class, parameter) = key.rsplit_once('.').unwrap_or(("", key));
        // Without its modules: `transformer_layers.SelfAttention` is `SelfAttention`.
        let class = class.rsplit('.').next().unwrap_or("");
        bindings.insert([scope, class, parameter].map(str::to_owned), value.trim().to_owned());
    }
    bindings
}

fn open_brackets(line: &str) -> bool {
    let count = |set: &[char]| line.matches(set).count();
    count(&['[', '(', '{']) > count(&[']', ')', '}'])
}

fn unquote(value: &str) -> &str {
    value.trim_matches(['\'', '"'])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parts that count of a file for mT5-small, written for this test in the form of Google's.
    const MT5: &str = "import mesh_tensorflow.optimize\n\n# Macros:\n# =====\nd_ff = 1024\nd_kv = 64\n\
        d_model = 512\ndropout_rate = 0.0\nnum_heads = 6\nnum_layers = 8\n\n\
        decoder/DenseReluDense.activation = ['gelu', 'linear']\n\
        decoder/DenseReluDense.dropout_rate = %dropout_rate\ndecoder/DenseReluDense.hidden_size = %d_ff\n\
        encoder/DenseReluDense.activation = ['gelu', 'linear']  # gated\n\
        encoder/DenseReluDense.hidden_size = %d_ff\n\
        decoder/EncDecAttention.relative_attention_type = None\n\
        decoder/LayerStack.norm_epsilon = None\nencoder/LayerStack.norm_epsilon = None\n\
        encoder/LayerStack.sublayers_per_layer = \\\n    [@transformer.sublayer_rms_norm,\n     @x]\n\
        decoder/make_layer_stack.num_layers = %num_layers\nencoder/make_layer_stack.num_layers = %num_layers\n\
        run.batch_size = ('tokens_per_batch', 1024)\nrun.mesh_shape = @tpu_mesh_shape()\n\
        decoder/SelfAttention.key_value_size = %d_kv\ndecoder/SelfAttention.num_heads = %num_heads\n\
        decoder/SelfAttention.relative_attention_num_buckets = 32\n\
        encoder/SelfAttention.relative_attention_type = 'bias_shared'\n\
        sublayer_rms_norm.epsilon = 1e-06\n\
        decoder/Unitransformer.d_model = %d_model\n\
        decoder/Unitransformer.shared_embedding_and_softmax_weights = False\n\
        encoder/Unitransformer.d_model = %d_model\n";

    fn read(text: &str, vocab_size: usize) -> Result<T5Config> {
        T5Config::from_gin(Path::new("operative_config.gin"), text, vocab_size)
    }

    #[test]
    fn mt5_small() {
        let want = T5Config { dropout_rate: 0.0, ..T5Config::default() };
        assert_eq!(read(MT5, 250_112).unwrap(), want);
        // Cut to 32,598 rows it still is mT5; with T5's rows it is T5 1.1, with 384 ByT5.
        for (rows, family) in [(32_598, "mt5"), (200, "mt5"), (32_128, "t5"), (384, "t5")] {
            assert_eq!(read(MT5, rows).unwrap().model_type, family, "{rows}");
        }
    }

    #[test]
    fn t5_by_modules_and_without_scopes() {
        let text = "transformer.Unitransformer.d_model = 768\ntransformer_layers.SelfAttention.num_heads = 12\n\
            transformer_layers.SelfAttention.key_value_size = 64\nDenseReluDense.hidden_size = 3072\n\
            DenseReluDense.dropout_rate = 0.1\nmake_layer_stack.num_layers = 12\n\
            LayerStack.norm_epsilon = 1e-05\n";
        let c = read(text, 32_128).unwrap();
        assert_eq!((&*c.model_type, &*c.feed_forward_proj), ("t5", "relu"));
        assert_eq!((c.d_model, c.d_kv, c.d_ff, c.num_heads, c.num_layers), (768, 64, 3072, 12, 12));
        assert!(c.tie_word_embeddings && c.layer_norm_epsilon == 1e-5 && c.dropout_rate == 0.1);
    }

    #[test]
    fn sides_of_different_depth() {
        let text = MT5.replace(
            "encoder/make_layer_stack.num_layers = %num_layers",
            "encoder/make_layer_stack.num_layers = 12",
        );
        let c = read(&text, 384).unwrap();
        assert_eq!((c.num_layers, c.num_decoder_layers, &*c.model_type), (12, 8, "t5"));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        for (from, to, expected) in [
            ("d_model = 512", "", "Unitransformer.d_model: not bound"),
            ("d_model = 512", "d_model = %d_model", "Unitransformer.d_model: not bound"),
            ("num_heads = 6", "num_heads = many", "SelfAttention.num_heads: many is not a size"),
            ("num_heads = 6", "num_heads = -6", "is not a size"),
            (
                "encoder/DenseReluDense.hidden_size = %d_ff",
                "encoder/DenseReluDense.hidden_size = 9",
                "9 in the encoder and 1024",
            ),
            ("'bias_shared'", "'bias'", "only 'bias_shared' is read"),
            ("['gelu', 'linear']  #", "['a', 'b']  #", "in the encoder and"),
            (
                "norm_epsilon = None\nencoder/LayerStack.sub",
                "norm_epsilon = x\nencoder/LayerStack.sub",
                "x is not a number",
            ),
            ("d_kv = 64", "d_kv = 0", "d_kv: 0 is not between"),
        ] {
            let error = read(&MT5.replace(from, to), 250_112).unwrap_err().to_string();
            assert!(error.contains(expected), "{from} -> {to}: {error}");
            assert!(error.starts_with("operative_config.gin: "), "{error}");
        }
        for text in ["", "=", "[", "\\", "a = [\n(", "%", "/.=/."] {
            assert!(read(text, 100).is_err(), "{text}");
        }
    }
}
