//! Rows for new pieces.

use t5kit_tensor::Weight;

use super::Bert;

impl Bert {
    /// Gives embedding and softmax at least `rows` rows: row `means[i].0` begins as the mean of the rows `means[i].1`,
    /// and so does its bias.
    pub(super) fn grow_to(&mut self, rows: usize, means: &[(usize, Vec<u32>)]) {
        self.config.vocab_size = self.config.vocab_size.max(rows);
        let rows = self.config.vocab_size;
        let (words, softmax) = (self.network.words, self.network.softmax);
        for id in [Some(words), Some(softmax.weight).filter(|&id| id != words)].into_iter().flatten() {
            let grown = self.params.get(id).with_rows(rows, means);
            *self.params.get_mut(id) = grown;
        }
        if let Some(bias) = softmax.bias {
            let numbers = self.params.get(bias).to_tensor().data().to_vec();
            let column = Weight::owned(&[numbers.len(), 1], numbers);
            let grown = column.with_rows(rows, means).to_tensor();
            *self.params.get_mut(bias) = Weight::owned(&[rows], grown.data().to_vec());
        }
    }
}
