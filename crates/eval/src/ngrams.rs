//! n-grams of a list of numbers, counted: each gram packed into one number, sorted.

/// Different n-grams with how often each occurs, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(Vec<(u128, u32)>);

impl Counts {
    /// The n-grams of `ids`, each below `2^bits`; `n · bits` is at most 128.
    pub fn of(ids: &[u32], n: usize, bits: u32) -> Self {
        debug_assert!(n as u32 * bits <= 128 && ids.iter().all(|&id| u64::from(id) < 1 << bits));
        let pack = |gram: &[u32]| gram.iter().fold(0, |key: u128, &id| key << bits | u128::from(id));
        let mut grams: Vec<u128> = ids.windows(n).map(pack).collect();
        grams.sort_unstable();
        let mut counts: Vec<(u128, u32)> = Vec::with_capacity(grams.len());
        for gram in grams {
            match counts.last_mut() {
                Some((last, count)) if *last == gram => *count += 1,
                _ => counts.push((gram, 1)),
            }
        }
        Counts(counts)
    }

    /// How many n-grams of `self` the other has too, each counted at most as often as it occurs there.
    pub fn matched(&self, other: &Counts) -> u64 {
        let (mut i, mut j, mut sum) = (0, 0, 0);
        while i < self.0.len() && j < other.0.len() {
            let ((a, n), (b, m)) = (self.0[i], other.0[j]);
            match a.cmp(&b) {
                std::cmp::Ordering::Less => i += 1,
                std::cmp::Ordering::Greater => j += 1,
                std::cmp::Ordering::Equal => (i, j, sum) = (i + 1, j + 1, sum + u64::from(n.min(m))),
            }
        }
        sum
    }

    /// Each n-gram as often as it occurs most in one of the two.
    pub fn most(self, other: Counts) -> Counts {
        let mut all = self.0;
        all.extend(other.0);
        all.sort_unstable_by_key(|&(gram, count)| (gram, std::cmp::Reverse(count)));
        all.dedup_by_key(|(gram, _)| *gram);
        Counts(all)
    }
}

/// How many n-grams so many tokens make.
pub fn total(tokens: usize, n: usize) -> usize {
    (tokens + 1).saturating_sub(n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_matches_and_unions() {
        let (a, b) = (Counts::of(&[1, 1, 1, 2], 1, 32), Counts::of(&[1, 1, 3], 1, 32));
        assert_eq!((a.matched(&b), b.matched(&a)), (2, 2));
        assert_eq!(a.clone().most(b.clone()), b.most(a));
        let long = Counts::of(&[5, 6, 7, 8, 9, 10, 5, 6, 7, 8, 9, 10], 6, 21);
        assert_eq!((long.matched(&long), total(12, 6), total(3, 6)), (7, 7, 0));
        assert_eq!(Counts::of(&[1], 2, 32), Counts::default());
    }
}
