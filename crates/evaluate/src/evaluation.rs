//! Figures of one or several models over the same examples: what is printed, and what programs read.

use serde_json::{Map, Value, json};
use t5kit_eval::{Bootstrap, Figure, Metric, Report, Texts, compute};

use crate::{Error, Examples, Outputs};

/// One model's figures.
#[derive(Clone, Debug)]
pub struct ModelFigures {
    /// What it is called.
    pub name: String,
    /// What it made of the examples.
    pub outputs: Outputs,
    /// Its figures; from the second model on compared with the first model's.
    pub report: Report,
    /// The most bytes that the program held while it worked with this model.
    pub peak_bytes: Option<u64>,
    /// How it was asked, by the fields' names.
    pub settings: Map<String, Value>,
}

/// Figures of models over the same examples.
#[derive(Clone, Debug, Default)]
pub struct Evaluation {
    /// What the examples are called: the file's name.
    pub data: String,
    /// The examples.
    pub examples: Examples,
    /// The models, in the order they were asked for.
    pub models: Vec<ModelFigures>,
}

impl Evaluation {
    /// Adds a model's outputs: computes its figures.
    ///
    /// # Errors
    /// [`Error::Figures`] where the texts do not go with the metrics.
    pub fn add(
        &mut self,
        name: String,
        outputs: Outputs,
        peak_bytes: Option<u64>,
        settings: Map<String, Value>,
        metrics: &[Metric],
        bootstrap: Bootstrap,
    ) -> Result<(), Error> {
        let texts = Texts {
            predictions: &outputs.texts,
            references: &self.examples.references,
            sources: Some(&self.examples.sources),
            against: self.models.first().map(|first| &first.outputs.texts[..]),
        };
        let report = compute(metrics, texts, bootstrap)?;
        self.models.push(ModelFigures { name, outputs, report, peak_bytes, settings });
        Ok(())
    }

    /// How many times as fast as the first a model decodes, where both were measured.
    pub fn relative_speed(&self, model: &ModelFigures) -> Option<f64> {
        let speed = |of: &ModelFigures| Some(of.outputs.speed.as_ref()?.samples_per_second());
        Some(speed(model)? / speed(self.models.first()?)?)
    }

    /// Whether the models' tokenizers have different pieces: then their tokens a second are of different tokens.
    pub fn has_different_pieces(&self) -> bool {
        self.models.windows(2).any(|pair| pair[0].outputs.pieces != pair[1].outputs.pieces)
    }

    /// Everything but the texts, for programs. Keys are added, never changed; see docs/evaluate.md.
    pub fn to_json(&self) -> Value {
        let models = self.models.iter().map(|model| {
            let Outputs { tokens, cut, pieces, .. } = &model.outputs;
            let speed = model.outputs.speed.as_ref().map(|speed| {
                json!({
                    "samples_per_second": speed.samples_per_second(),
                    "new_tokens_per_second": speed.tokens_per_second(),
                    "relative": self.relative_speed(model),
                    "sources": speed.options.sources,
                    "batch_size": speed.options.batch_size,
                    "new_tokens": speed.tokens,
                    "seconds": speed.seconds,
                })
            });
            json!({
                "model": model.name,
                "metrics": metrics(&model.report),
                "speed": speed,
                "peak_memory_bytes": model.peak_bytes,
                "new_tokens": tokens,
                "sources_cut": cut,
                "empty_predictions": model.report.empty_predictions,
                "pieces": pieces,
                "settings": model.settings,
            })
        });
        json!({
            "format": 1,
            "t5kit": env!("CARGO_PKG_VERSION"),
            "data": self.data,
            "examples": self.examples.sources.len(),
            "models": models.collect::<Vec<_>>(),
        })
    }
}

/// The probability that a figure differs from the first model's by chance; none where it is the same, of which sacreBLEU's
/// test would say the least there is.
pub fn chance(figure: &Figure) -> Option<f64> {
    figure.against.filter(|against| against.value != figure.value)?.p
}

/// Figures by name, as `t5kit metrics --json` has them.
fn metrics(report: &Report) -> Map<String, Value> {
    report.figures.iter().map(|figure| (figure.name.clone(), of_figure(figure))).collect()
}

pub(crate) fn of_figure(figure: &Figure) -> Value {
    let mut value = json!({
        "value": figure.value,
        "low": figure.interval.map(|(low, _)| low),
        "high": figure.interval.map(|(_, high)| high),
        "signature": figure.signature,
    });
    if let (Some(against), Value::Object(map)) = (&figure.against, &mut value) {
        map.insert("first".into(), json!(against.value));
        map.insert("p".into(), json!(chance(figure)));
    }
    value
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{Speed, SpeedOptions};

    /// Two models on three titles.
    pub(crate) fn evaluation() -> Evaluation {
        let texts = |texts: [&str; 3]| texts.map(String::from).to_vec();
        let mut evaluation = Evaluation {
            data: "title.tsv".into(),
            examples: Examples {
                sources: texts(["摘要一</script>", "摘要二", "abstract & more"]),
                references: vec![texts(["水稻产量预测", "基于T5的标题生成", "A title"])],
            },
            models: Vec::new(),
        };
        for (name, predictions, seconds) in [
            ("mt5", ["水稻产量预测", "标题生成", "A title"], 2.0),
            ("bert", ["小麦", "基于BERT的标题生成", ""], 4.0),
        ] {
            let options = SpeedOptions { sources: 3, batch_size: 2, rounds: 1 };
            let speed = Some(Speed { options, tokens: 12, seconds: vec![seconds] });
            let outputs =
                Outputs { texts: texts(predictions), tokens: 12, speed, pieces: 8, ..Outputs::default() };
            let bootstrap = Bootstrap { samples: 100, ..Bootstrap::default() };
            let settings = Map::new();
            evaluation.add(name.into(), outputs, Some(1 << 20), settings, &[Metric::Csl], bootstrap).unwrap();
        }
        evaluation
    }

    #[test]
    fn figures_are_of_the_texts_and_speeds_are_relative_to_the_first() {
        let evaluation = evaluation();
        let json = evaluation.to_json();
        let [first, second] = [0, 1].map(|i| &json["models"][i]);
        assert_eq!(json["examples"], 3);
        assert_eq!(first["speed"]["samples_per_second"], 1.5);
        assert_eq!((&first["speed"]["relative"], &second["speed"]["relative"]), (&json!(1.0), &json!(0.5)));
        let rouge = &first["metrics"]["rouge-l"];
        let (value, low, high) = (&rouge["value"], &rouge["low"], &rouge["high"]);
        assert!(
            value.as_f64() < Some(1.0) && low.as_f64() <= value.as_f64() && value.as_f64() <= high.as_f64()
        );
        assert_eq!(rouge.get("p"), None);
        assert_eq!(&second["metrics"]["rouge-l"]["first"], value);
        assert!(second["metrics"]["rouge-l"]["p"].as_f64() <= Some(1.0));
        assert_eq!(second["empty_predictions"], 1);
        assert!(!evaluation.has_different_pieces());
    }
}
