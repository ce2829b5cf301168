//! A recipe written for somebody: with comments, from a few answers.

use std::fmt::Write as _;

/// What is known of the examples.
#[derive(Clone, Debug, Default)]
pub struct Examples {
    /// How many.
    pub rows: usize,
    /// Characters that 99 % of the sources and of the targets stay within.
    pub characters: [usize; 2],
    /// Whether the targets are labels: few different ones.
    pub are_labels: bool,
}

/// What a recipe is written from.
#[derive(Clone, Debug)]
pub struct Draft {
    /// What is said first, in comments: what to do with the file.
    pub heading: String,
    /// The name of the whole.
    pub name: String,
    /// The file of examples, from the recipe's folder.
    pub data: String,
    /// Columns of sources and targets.
    pub columns: [String; 2],
    /// What the file was understood as, a line.
    pub understood: String,
    /// Whether the first row names the columns, where that was told.
    pub header: Option<bool>,
    /// The examples.
    pub examples: Examples,
    /// The model.
    pub model: String,
    /// Times through the training examples.
    pub epochs: u64,
    /// Examples in a batch.
    pub batch_size: usize,
    /// The folder of everything that is made, from the recipe's folder.
    pub output: String,
}

impl Draft {
    /// The recipe.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let q = quoted;
        let heading = commented(&self.heading);
        let model = self.model.to_lowercase();
        let (is_bert, is_mt5) = (model.contains("bert"), model.contains("mt5") && !model.contains("umt5"));
        let _ = write!(
            out,
            "{heading}\n\
             name = {}\n\
             output = {}  # folder of everything that is made, beside this file\n\
             seed = 0  # decides the split and the order of training\n\n\
             [model]\n\
             path = {}  # a folder, a TensorFlow checkpoint's prefix, or a name on the hub\n",
            q(&self.name),
            q(&self.output),
            q(&self.model)
        );
        let trim = "counts = [\"zh\"]  # the published counts of Chinese text; a file of `t5kit count` adds one's own\n\
                    min_count = 1000  # pieces that are rarer go, and their rows\n";
        match is_mt5 {
            true => {
                out += &format!(
                    "\n# mT5 has 250,112 rows for a hundred languages; Chinese needs some 32,000.\n[trim]\n{trim}"
                )
            }
            false => {
                out += &format!(
                    "\n# To drop pieces that the texts do not use:\n{}",
                    commented(&format!("[trim]\n{trim}"))
                )
            }
        }
        let _ = write!(
            out,
            "\n[data]\nfile = {}  # {}\nsource = {}\ntarget = {}\n",
            q(&self.data),
            self.understood,
            column(&self.columns[0]),
            column(&self.columns[1])
        );
        if let Some(header) = self.header {
            let _ = writeln!(out, "header = {header}");
        }
        let held = (self.examples.rows / 10).clamp(1, 1000);
        let _ = write!(
            out,
            "valid = {held}  # rows, or a share such as 0.05; the rest is trained on\n\
             test = {held}  # rows that nothing is chosen by; no source is in two parts\n"
        );
        out += &format!(
            "\n# To learn from text alone first, before the examples:\n{}",
            commented(
                "[pretrain]\n\
                 data = [\"corpus.txt\"]  # files, folders and patterns; =2 behind one draws it twice as often\n\
                 max_steps = 10000\n"
            )
        );
        let [source, target] =
            [(0, 512), (1, 256)].map(|(i, most)| length(self.examples.characters[i], most));
        let (metric, evaluated) = match self.examples.are_labels {
            true => ("accuracy", "[\"accuracy\", \"macro-f1\"]"),
            false => ("bleu", "[\"csl\"]  # ROUGE-1, ROUGE-2, ROUGE-L and BLEU by characters"),
        };
        let rate = if is_bert { "1e-5" } else { "2e-4" };
        let _ = write!(
            out,
            "\n[finetune]\n\
             epochs = {}  # times through the training examples\n\
             batch_size = {}\n\
             optimizer = \"adam\"\n\
             learning_rate = {rate}\n\
             schedule = \"constant\"\n\
             max_source_length = {source}  # tokens; longer texts are cut, and training says how many\n\
             max_target_length = {target}\n\
             metric = [\"{metric}\"]  # of targets generated for the validation part; the best model is kept by it\n\
             # precision = \"bf16\"  # faster on processors that have it\n\
             # lora_rank = 8  # train small adapters instead of the whole model\n\
             \n[evaluate]\n\
             metric = {evaluated}\n\
             num_beams = 1\n\
             \n# Other models in the same table:\n\
             # [[compare]]\n\
             # model = \"another/run\"\n\
             \n# The trained model once more, half as large:\n\
             # [export]\n\
             # dtype = \"bf16\"\n",
            self.epochs, self.batch_size
        );
        out
    }
}

/// A length in tokens that texts of so many characters fit in: Chinese takes some 0.7 tokens a character.
fn length(characters: usize, most: usize) -> usize {
    let tokens = (characters as f64 * 0.8).ceil() as usize + 1;
    tokens.next_multiple_of(if tokens > 64 { 32 } else { 8 }).clamp(8, most)
}

fn commented(text: &str) -> String {
    text.lines().map(|line| format!("# {line}\n")).collect()
}

/// A column: a number as one.
fn column(name: &str) -> String {
    if name.parse::<usize>().is_ok() { name.to_owned() } else { quoted(name) }
}

/// A text as TOML has it.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out + "\""
}

#[cfg(test)]
mod tests {
    use super::*;
    use t5kit_formats::toml;

    #[test]
    fn whatever_the_answers_it_is_toml() {
        for (model, name) in [("google/mt5-small", "题 \"1\""), ("bert-base", "a\\b\t"), ("t5", "")] {
            let draft = Draft {
                heading: "run my recipe.toml\nname = 1".into(),
                name: name.into(),
                data: "C:\\data\\标题.tsv".into(),
                columns: ["2".into(), "标题".into()],
                understood: "header: no".into(),
                header: Some(false),
                examples: Examples { rows: 5, characters: [300, 20], are_labels: name.is_empty() },
                model: model.into(),
                epochs: 3,
                batch_size: 16,
                output: "out".into(),
            };
            let text = draft.text();
            let recipe = toml::read("x.toml".as_ref(), &text, &[]).unwrap_or_else(|e| panic!("{e}\n{text}"));
            assert!(text.contains("max_source_length = 256") && text.contains("valid = 1 "), "{text}");
            assert_eq!(recipe.root.get("trim").is_some(), model.contains("mt5"));
            assert!(text.contains("source = 2\n") && text.contains("target = \"标题\"\n"));
        }
    }
}
