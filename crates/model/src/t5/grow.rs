//! Rows for new pieces.

use crate::{Seq2Seq, T5};

impl T5 {
    /// Gives embedding and softmax at least `rows` rows: row `means[i].0` begins as the mean of the rows `means[i].1`.
    pub(super) fn grow_to(&mut self, rows: usize, means: &[(usize, Vec<u32>)]) {
        self.config.vocab_size = self.config.vocab_size.max(rows);
        let (shared, softmax) = (self.shared(), self.softmax().weight);
        for id in [Some(shared), Some(softmax).filter(|&id| id != shared)].into_iter().flatten() {
            let grown = self.params.get(id).with_rows(self.config.vocab_size, means);
            *self.params.get_mut(id) = grown;
        }
    }
}
