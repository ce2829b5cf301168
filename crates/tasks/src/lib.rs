//! From documents and tables to examples: the unsupervised objectives, supervised tasks and their mixtures, and the
//! suites of the papers (what seqio is to T5).

pub mod mixture;
pub mod objective;
pub mod suite;
pub mod template;
