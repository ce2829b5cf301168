//! The objectives against t5's own preprocessors, and what must hold whatever chance decides.

mod golden;
mod properties;
mod refusals;
mod vocabulary;
