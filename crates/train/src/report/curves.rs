//! What a run's log says, as curves.

use serde_json::Value;

/// Points that a curve has at most.
pub const POINTS: usize = 300;

/// What the log's lines say: values by step.
#[derive(Default)]
pub struct Curves {
    /// Loss of the training batches.
    pub loss: Vec<(f64, f64)>,
    /// Learning rate.
    pub lr: Vec<(f64, f64)>,
    /// Norm of the gradient before clipping.
    pub grad_norm: Vec<(f64, f64)>,
    /// Real tokens a second.
    pub rate: Vec<(f64, f64)>,
    /// Seconds of all steps together.
    pub seconds: f64,
    /// Real tokens of all steps together.
    pub tokens: f64,
    /// The most memory in use after a step, in bytes.
    pub rss: f64,
    /// Loss of each task's training examples, of a mixture.
    pub tasks: Vec<(String, Vec<(f64, f64)>)>,
    /// Validation loss, then each metric by name.
    pub valid: Vec<(String, Vec<(f64, f64)>)>,
}

/// What the name of a task's validation loss ends with; what is before it is the task.
pub const TASK_LOSS: &str = "/loss";

impl Curves {
    /// Of a `train_log.jsonl`; lines that are none of its own are passed over.
    pub fn read(log: &str) -> Self {
        let mut curves = Curves::default();
        for line in log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            let number = |key: &str| line[key].as_f64().unwrap_or(f64::NAN);
            let step = number("step");
            if line.get("valid_loss").is_some() {
                for (key, value) in line.as_object().into_iter().flatten() {
                    let Some(value) = value.as_f64().filter(|_| !matches!(key.as_str(), "step" | "epoch"))
                    else {
                        continue;
                    };
                    add(&mut curves.valid, key, (step, value));
                }
                continue;
            }
            let (seconds, tokens) = (number("seconds"), number("real_tokens"));
            curves.loss.push((step, number("loss")));
            for (task, loss) in line["tasks"].as_object().into_iter().flatten() {
                if let Some(loss) = loss.as_f64() {
                    add(&mut curves.tasks, task, (step, loss));
                }
            }
            curves.lr.push((step, number("lr")));
            curves.grad_norm.push((step, number("grad_norm")));
            curves.rate.push((step, tokens / seconds.max(1e-9)));
            curves.seconds += seconds;
            curves.tokens += tokens;
            curves.rss = curves.rss.max(number("rss_bytes"));
        }
        curves
    }
}

/// Adds a point to the curve of that name.
fn add(curves: &mut Vec<(String, Vec<(f64, f64)>)>, name: &str, point: (f64, f64)) {
    match curves.iter_mut().find(|(known, _)| known == name) {
        Some((_, points)) => points.push(point),
        None => curves.push((name.to_owned(), vec![point])),
    }
}

/// At most [`POINTS`] points: means of as many stretches.
pub fn thin(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let each = points.len().div_ceil(POINTS).max(1);
    let mean = |part: &[(f64, f64)]| {
        let n = part.len() as f64;
        (part.iter().map(|p| p.0).sum::<f64>() / n, part.iter().map(|p| p.1).sum::<f64>() / n)
    };
    points.chunks(each).map(mean).collect()
}
