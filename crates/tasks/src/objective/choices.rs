//! Where the random choices of an objective come from: the caller.

/// Random choices. The objectives ask for them in a fixed order, so that the same ones give the same example; a test
/// can hand in those that another program made.
pub trait Choices {
    /// Uniform in [0, 1).
    fn uniform(&mut self) -> f64;

    /// Uniform below `n` (n > 0).
    fn below(&mut self, n: usize) -> usize;

    /// A random order of `n` things: the place from which each is taken (Fisher and Yates).
    fn order(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            order.swap(i, self.below(i + 1));
        }
        order
    }
}
