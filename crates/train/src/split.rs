//! A share of the examples set aside for validation.

use std::collections::HashMap;

use crate::Error;
use crate::examples::{Building, Examples, Placement};

impl Examples {
    /// Sets about `share` of the examples aside, chosen by the seed: the rest, and those. Examples of the same source
    /// stay together, so that no validation source has been trained on; both keep their order. The references, if they
    /// were kept, go with the examples set aside; what was seen while reading stays with the rest.
    ///
    /// # Errors
    /// [`Error::Split`] where nothing would be left on one side; those of keeping ids on the disk.
    pub fn split(self, share: f64, seed: u64, placement: &Placement) -> Result<(Self, Self), Error> {
        let keys: Vec<u64> = (0..self.len())
            .map(|i| self.source(i).iter().fold(seed, |hash, &id| t5kit_tensor::mix(hash, u64::from(id))))
            .collect();
        let mut groups: HashMap<u64, usize> = HashMap::new();
        keys.iter().for_each(|&key| *groups.entry(key).or_default() += 1);
        let mut order: Vec<(u64, usize)> = groups.into_iter().collect();
        order.sort_unstable();
        let wanted = ((share * self.len() as f64).round() as usize).max(1);
        let (mut taken, mut last) = (0, None);
        for (key, count) in order {
            // The group that brings the number nearer is still taken.
            if taken > 0 && (taken >= wanted || (taken + count).abs_diff(wanted) > wanted - taken) {
                break;
            }
            taken += count;
            last = Some(key);
        }
        let aside = |key: u64| last.is_some_and(|last| key <= last);
        if taken == 0 || taken == self.len() {
            return Err(Error::Split { examples: self.len(), share });
        }
        let mut sides = [Building::new(placement.clone()), Building::new(placement.clone())];
        for (i, &key) in keys.iter().enumerate() {
            let (source, target) = (self.source(i), self.target(i));
            let side = &mut sides[usize::from(aside(key))];
            side.push(&[source, target].concat(), &[source.len() as u32, target.len() as u32])?;
        }
        let [rest, valid] = sides;
        let (mut rest, mut valid) = (rest.finish()?, valid.finish()?);
        let references = self.references.into_iter().zip(&keys);
        valid.references = references.filter(|(_, key)| aside(**key)).map(|(text, _)| text).collect();
        rest.facts = self.facts;
        Ok((rest, valid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn examples(sources: &[u32]) -> Examples {
        let targets: Vec<u32> = (0..sources.len() as u32).collect();
        let pairs =
            sources.iter().zip(&targets).map(|(s, t)| (std::slice::from_ref(s), std::slice::from_ref(t)));
        let mut examples = Examples::from_ids(pairs);
        examples.references = targets.iter().map(u32::to_string).collect();
        examples
    }

    fn sources(examples: &Examples) -> Vec<u32> {
        (0..examples.len()).map(|i| examples.source(i)[0]).collect()
    }

    #[test]
    fn by_the_seed_and_never_overlapping() {
        // Every source three times.
        let all: Vec<u32> = (0..300).map(|i| i * 7 % 100).collect();
        let mut chosen = HashSet::new();
        for seed in 0..5 {
            let (rest, valid) = examples(&all).split(0.05, seed, &Placement::Memory).unwrap();
            assert_eq!((rest.len(), valid.len()), (285, 15));
            let both: HashSet<u32> = sources(&valid).into_iter().collect();
            assert!(sources(&rest).iter().all(|source| !both.contains(source)));
            let again = examples(&all).split(0.05, seed, &Placement::Memory).unwrap();
            assert_eq!((sources(&rest), sources(&valid)), (sources(&again.0), sources(&again.1)));
            assert_eq!(valid.references, (0..15).map(|i| valid.target(i)[0].to_string()).collect::<Vec<_>>());
            assert!(valid.references.is_sorted_by_key(|text| text.parse::<u32>().unwrap()));
            chosen.insert(sources(&valid));
        }
        assert_eq!(chosen.len(), 5, "another seed, another choice");
    }

    #[test]
    fn something_is_left_on_both_sides() {
        let (rest, valid) = examples(&[1, 2]).split(0.01, 0, &Placement::Memory).unwrap();
        assert_eq!((rest.len(), valid.len()), (1, 1));
        for (sources, share) in [(&[1, 1][..], 0.5), (&[1], 0.5), (&[], 0.5), (&[1, 2], 1.0)] {
            let error = examples(sources).split(share, 0, &Placement::Memory).unwrap_err().to_string();
            assert!(error.contains("`valid_split`"), "{error}");
        }
    }
}
