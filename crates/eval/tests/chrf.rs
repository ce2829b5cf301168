//! chrF2 against sacrebleu (tools/chrf_goldens.py).

use t5kit_eval::chrf::Chrf;

#[test]
fn chrf_is_sacrebleus() {
    let cases: serde_json::Value = serde_json::from_str(include_str!("goldens/chrf.json")).unwrap();
    for case in cases.as_array().unwrap() {
        let mut chrf = Chrf::default();
        for line in case["lines"].as_array().unwrap() {
            chrf.add(line[0].as_str().unwrap(), line[1].as_str().unwrap());
        }
        let want = case["chrf"].as_f64().unwrap();
        assert!(
            (chrf.score() - want).abs() < 1e-12,
            "{} instead of {want} for {}",
            chrf.score(),
            case["lines"]
        );
    }
}
