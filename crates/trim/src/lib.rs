//! Corpus counting, choice of pieces, remapping of tokenizer and weights.
