//! Weights of bert4keras in HDF5, as Keras writes them, and files that are none or lie.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde::Deserialize;
use t5kit_formats::keras::{KerasFile, check};
use t5kit_formats::{Checkpoint, DType};

#[derive(Deserialize)]
struct Expected {
    shape: Vec<usize>,
    bytes: String,
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/keras").join(name)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn weights_have_transformers_names_and_layouts() {
    for (name, expected) in [("best_model.weights", "expected.json"), ("whole.h5", "whole.json")] {
        let expected: BTreeMap<String, Expected> =
            serde_json::from_slice(&std::fs::read(data(expected)).unwrap()).unwrap();
        let c = Checkpoint::open(&data(name)).unwrap();
        assert_eq!(c.format(), "Keras (HDF5)");
        assert_eq!(c.names().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{name}");
        for (tensor, want) in &expected {
            assert_eq!(c.info(tensor).unwrap(), (DType::F32, want.shape.clone()), "{name} {tensor}");
            assert_eq!(hex(&c.bytes(tensor).unwrap()), want.bytes, "{name} {tensor}");
            let mut bands = Vec::new();
            let mut take = |bytes: &[u8]| -> Result<(), t5kit_formats::Error> {
                bands.extend_from_slice(bytes);
                Ok(())
            };
            c.bands(tensor, 3, &mut take).unwrap();
            assert_eq!(hex(&bands), want.bytes, "{name} {tensor}");
        }
    }
    // A folder with such a file alone.
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(data("best_model.weights"), dir.path().join("best_model.weights")).unwrap();
    let c = Checkpoint::open(dir.path()).unwrap();
    assert_eq!(c.notes(), ["best_model.weights: taken as the weights"]);
}

#[test]
fn what_is_none_says_how_to_mend_it() {
    for (name, part) in [
        ("bert.weights", "none of bert4keras's T5 or BERT: its layers are Transformer-0-FeedForward"),
        ("tf_model.h5", "from_tf=True"),
        ("keras3.weights.h5", "save_weights_as_checkpoint"),
        ("latest.h5", "libver=\"latest\""),
        ("packed.h5", "tensor Embedding-Token/Embedding-Token/embeddings:0: it lies in chunks"),
    ] {
        let error = KerasFile::open(&data(name)).unwrap_err().to_string();
        assert!(error.contains(part) && !error.contains('\n'), "{name}: {error}");
    }
    let whole = std::fs::read(data("best_model.weights")).unwrap();
    for cut in [0, 7, 8, 40, 96, 500, 5000, whole.len() - 1] {
        let error = check(&whole[..cut]).unwrap_err().to_string();
        assert!(
            error.contains("not a sound HDF5 file") || error.contains("is it cut off?"),
            "{cut}: {error}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn no_change_makes_it_fail_otherwise_than_by_an_error(
        file in prop::sample::select(vec!["best_model.weights", "whole.h5", "bert.weights"]),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = std::fs::read(data(file)).unwrap();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let _ = check(&bytes);
    }
}
