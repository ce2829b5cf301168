//! Greedy decoding with caches, and scoring of given targets.
