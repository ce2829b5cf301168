//! Models on a table of examples: what they generate, the figures of it, how fast they are, and the page that shows it.
//!
//! | module | what |
//! |---|---|
//! | `outputs` | a model's texts for the sources, and how fast it decodes |
//! | `memory` | the most memory that this process has held |
//! | `evaluation` | figures of one or several models over the same examples, as JSON and as a table |
//! | `bench` | how fast a model generates by batch size and beams, beside the floor |
//! | `compare` | a model in another storage type beside the original |
//! | `tasks` | figures of models on several tasks: a suite's, or a mixture's |
//! | `tasks_page` | these as a page that leads to the pages of the tasks |
//! | `page` | an evaluation as a page: figures, sentence scores, texts beside each other |

mod bench;
mod compare;
mod evaluation;
mod memory;
mod outputs;
mod page;
mod tasks;
mod tasks_page;

pub use bench::{BenchFigures, BenchOptions, Cell, CellFigures, Floor, bench};
pub use compare::{Comparison, Judged, Likelihood, judge};
pub use evaluation::{Evaluation, ModelFigures, chance};
pub use memory::{begin_peak, peak_bytes};
pub use outputs::{Asked, Outputs, Speed, SpeedOptions, outputs};
pub use page::{page, title};
pub use tasks::{Figures, Judge, Part, TaskEvaluation};
pub use tasks_page::tasks_page;

/// The examples that models are evaluated on.
#[derive(Clone, Debug, Default)]
pub struct Examples {
    /// What the models read.
    pub sources: Vec<String>,
    /// Right texts: one list, or several where each source has several.
    pub references: Vec<Vec<String>>,
}

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Opening a model, or a text that is too long.
    #[error(transparent)]
    Pipeline(#[from] t5kit_pipeline::Error),
    /// Generating.
    #[error(transparent)]
    Generate(#[from] t5kit_generate::Error),
    /// The texts do not go with the metrics.
    #[error(transparent)]
    Figures(#[from] t5kit_eval::Error),
    /// A suite's figures.
    #[error(transparent)]
    Suite(#[from] t5kit_tasks::suite::Error),
    /// It was asked to stop.
    #[error(transparent)]
    Stopped(#[from] t5kit_formats::progress::Stopped),
}
