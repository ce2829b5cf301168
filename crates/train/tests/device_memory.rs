//! The memory that training takes of a GPU, as it is predicted before and as an emulated one measures it.

use t5kit_model::{Adapted, Batch, Model, T5, T5Architecture, T5Config, Trainable};
use t5kit_tensor::ops::CrossEntropy;
use t5kit_tensor::{DType, Dropout, Gradients, Pool, Precision, emulated};
use t5kit_train::{Extent, Optimizer, OptimizerKind, PassOptions, TrainOptions, accumulate, predict};

fn config() -> T5Config {
    T5Config {
        vocab_size: 1000,
        d_model: 64,
        d_kv: 16,
        num_heads: 6,
        d_ff: 160,
        num_layers: 2,
        num_decoder_layers: 2,
        tie_word_embeddings: false,
        ..T5Config::default()
    }
}

/// The most memory of two steps on batches of four sources of 30 tokens and targets of 15.
fn measured(mut model: Model, options: &TrainOptions) -> Option<u64> {
    let device = emulated::device()?;
    let mut gradients = Gradients::new();
    model.looked_up().into_iter().for_each(|id| gradients.keep_rows(id));
    let mut optimizer = Optimizer::new(options.optimizer, model.params(), &gradients);
    model.move_to(&device).unwrap();
    let of = |tokens: usize, first: u32| -> Vec<Vec<u32>> {
        (0..4).map(|i| (0..tokens as u32).map(|t| 2 + (first + i * 97 + t * 31) % 990).collect()).collect()
    };
    let pool = Pool::new(1);
    for step in 0..2 {
        let batch = Batch::new(of(30, step), of(15, step + 7), model.rows()).unwrap();
        let pass = PassOptions {
            dropout: Some(Dropout { rate: 0.1, key: 1 }),
            precision: options.precision,
            recompute: options.recompute,
        };
        gradients.clear();
        accumulate(&*model, &pool, &batch, CrossEntropy::default(), pass, &mut gradients);
        optimizer.step(model.params_mut(), &gradients, &pool, options, 1e-3);
    }
    Some(device.used().1 as u64)
}

#[test]
fn what_is_predicted_is_what_is_measured() {
    let usual = TrainOptions::default();
    let untied = config();
    let tied = T5Config { tie_word_embeddings: true, ..config() };
    let lm = config().arranged(Some(T5Architecture::LanguageModel), false).unwrap();
    let bf16 = TrainOptions { precision: Precision::Bf16, ..usual.clone() };
    let lora = TrainOptions { lora_rank: Some(4), ..usual.clone() };
    for (what, config, options) in [
        ("adamw", &untied, usual.clone()),
        ("tied", &tied, usual.clone()),
        ("lion", &untied, TrainOptions { optimizer: OptimizerKind::Lion, ..usual.clone() }),
        ("adafactor", &untied, TrainOptions { optimizer: OptimizerKind::Adafactor, ..usual.clone() }),
        ("recompute", &untied, TrainOptions { recompute: true, ..usual.clone() }),
        ("bf16", &untied, bf16.clone()),
        ("bf16, recompute", &untied, TrainOptions { recompute: true, ..bf16.clone() }),
        ("bf16, language model", &lm, bf16.clone()),
        ("bf16, lora", &untied, TrainOptions { lora_rank: Some(4), ..bf16 }),
        ("decoder", &untied, TrainOptions { train_parts: vec!["decoder".into()], ..usual.clone() }),
        ("language model", &lm, usual.clone()),
        ("lora", &untied, lora.clone()),
        ("lora on bf16", &untied, lora),
    ] {
        let mut model: Model = Box::new(T5::random(config.clone(), 3).unwrap());
        if what == "lora on bf16" {
            model.params_mut().store_matrices_as(DType::Bf16);
        }
        let held: usize = model.params().iter().map(|(_, _, w)| w.len() * w.dtype().size()).sum();
        match options.lora_rank {
            Some(_) => model.begin_adapters(&options.lora("x", &model.config()).unwrap(), 1).unwrap(),
            None => {
                model.train_only(&options.parts());
                model.make_trainable();
            }
        }
        let Some(measured) = measured(model, &options) else { return };
        let held = Some(held as u64);
        let extent = Extent { tokens: (120, 60), held, on_device: true, ..Extent::default() };
        let predicted = predict(config, &options, extent);
        let ratio = predicted.total() as f64 / measured as f64;
        println!("{what}: {measured} bytes measured, {} predicted: {ratio:.2} times", predicted.total());
        assert!((1.0..1.25).contains(&ratio), "{what}: {ratio} ({predicted:?})");
    }
}
