//! Instruction-set code: every inner loop of the crate, safe functions that check sizes, run-time dispatch.
