//! A row of logits of which only some is known here, because the row itself is far away: enough to choose a token from it,
//! or it says that it is not.

use std::cell::Cell;
use std::collections::BTreeMap;

/// Columns of which sums are made together.
pub(crate) const PART: usize = 4096;

/// What a row of logits is looked at for. Where rows are far away, that is what comes of them; what else is asked of such a
/// row is answered all the same, only later.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Interest {
    /// How many of the best are looked at, beside the ids named.
    pub best: usize,
    /// Ids whose scores are read or changed one by one; none twice.
    pub ids: Vec<u32>,
    /// What the scores are divided by where the sum of all their exponentials matters: for
    /// [`log_sum_exp`](crate::ops::LogitsRow::log_sum_exp), or to draw one of all.
    pub sums: Vec<f32>,
}

impl Interest {
    /// Ids and best ones from which on a row is better brought home whole.
    const MANY_IDS: usize = 1 << 12;
    const MANY_BEST: usize = 1 << 10;

    /// The same of a row of so many ids: those named in order, and none twice.
    pub(crate) fn of(mut self, ids: usize) -> Self {
        self.ids.retain(|&id| (id as usize) < ids);
        self.ids.sort_unstable();
        self.ids.dedup();
        self
    }

    pub(crate) fn is_in_few(&self) -> bool {
        self.ids.len() <= Self::MANY_IDS && self.best <= Self::MANY_BEST
    }
}

/// What is known of a row.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// Ids there are.
    len: usize,
    scores: BTreeMap<u32, Score>,
    /// The ids that are not known; none: they are impossible.
    rest: Option<Rest>,
    /// Whether something was asked that is not known: all answers since then are worth nothing.
    missed: Cell<bool>,
    /// The part that has to be known for a draw.
    wanted: Cell<Option<usize>>,
}

#[derive(Clone, Copy, Debug)]
struct Score {
    value: f32,
    /// Whether it is part of the sums of the rest.
    counted: bool,
}

#[derive(Clone, Debug)]
struct Rest {
    /// None of them is above.
    bound: f32,
    /// Those equal to the bound have ids above this one, where that is known.
    last: Option<u32>,
    /// What all scores were divided by since they came.
    divided: f32,
    /// By divisor, for each part the largest of those that are counted and the sum of the exponentials of what they are less
    /// than it.
    sums: Vec<(f32, Vec<[f32; 2]>)>,
    /// Whether one that is counted has changed.
    changed: bool,
    /// All scores of a part, as they came.
    part: Option<(usize, Vec<f32>)>,
}

impl Known {
    /// Of `len` ids these.
    pub(crate) fn new(len: usize, named: impl Iterator<Item = (u32, f32)>) -> Known {
        let scores = named.map(|(id, value)| (id, Score { value, counted: false })).collect();
        let rest = Rest {
            bound: f32::INFINITY,
            last: None,
            divided: 1.0,
            sums: Vec::new(),
            changed: false,
            part: None,
        };
        Known { len, scores, rest: Some(rest), missed: Cell::new(false), wanted: Cell::new(None) }
    }

    /// And these, the best of all others, best first and the lower id first of equals. They are all there are above −∞ if
    /// they are fewer than were `asked` for.
    pub(crate) fn add_best(&mut self, best: Vec<(f32, u32)>, asked: usize) {
        let Some(rest) = &mut self.rest else { return };
        if let Some(&(bound, last)) = best.last() {
            (rest.bound, rest.last) = (bound, Some(last));
        }
        self.scores.extend(best.iter().map(|&(value, id)| (id, Score { value, counted: true })));
        if best.len() < asked {
            (rest.bound, rest.last) = (f32::NEG_INFINITY, None);
        }
    }

    /// The sums of all ids that were not named, their scores divided by that.
    pub(crate) fn add_sums(&mut self, divisor: f32, by_part: Vec<[f32; 2]>) {
        if let Some(rest) = &mut self.rest {
            rest.sums.push((divisor, by_part));
        }
    }

    /// All scores of a part.
    pub(crate) fn add_part(&mut self, part: usize, scores: Vec<f32>) {
        if let Some(rest) = &mut self.rest {
            rest.part = Some((part, scores));
        }
    }

    /// Whether an answer was not known.
    pub(crate) fn missed(&self) -> bool {
        self.missed.get()
    }

    /// The part that has to be known before a draw is.
    pub(crate) fn wanted(&self) -> Option<usize> {
        self.wanted.get()
    }

    /// Remembers that something was asked that is not known.
    pub(crate) fn miss(&self) {
        self.missed.set(true);
    }

    /// Whether there may be others than those known.
    fn open(&self) -> Option<&Rest> {
        self.rest.as_ref().filter(|rest| rest.bound > f32::NEG_INFINITY)
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get(&self, id: u32) -> Option<f32> {
        if id as usize >= self.len {
            return None;
        }
        let value = self.scores.get(&id).map(|score| score.value);
        value.or_else(|| self.in_part(id)).or_else(|| {
            if self.open().is_some() {
                self.miss();
            }
            Some(f32::NEG_INFINITY)
        })
    }

    fn in_part(&self, id: u32) -> Option<f32> {
        let rest = self.open()?;
        let (part, scores) = rest.part.as_ref()?;
        let at = (id as usize).checked_sub(part * PART)?;
        scores.get(at).map(|x| x / rest.divided)
    }

    pub(crate) fn set(&mut self, id: u32, value: f32) {
        if id as usize >= self.len {
            return;
        }
        let old = self.scores.insert(id, Score { value, counted: false });
        if let Some(rest) = &mut self.rest {
            rest.changed |= old.is_none_or(|old| old.counted);
        }
    }

    pub(crate) fn divide(&mut self, divisor: f32) {
        self.scores.values_mut().for_each(|score| score.value /= divisor);
        if let Some(rest) = &mut self.rest {
            // Others may become equal to the bound.
            (rest.bound, rest.last) = (rest.bound / divisor, None);
            if rest.divided != 1.0 {
                self.missed.set(true);
            }
            rest.divided *= divisor;
        }
    }

    /// Makes all impossible.
    pub(crate) fn clear(&mut self) {
        self.scores.values_mut().for_each(|score| score.value = f32::NEG_INFINITY);
        self.rest = None;
    }

    /// Makes those below impossible.
    pub(crate) fn keep_from(&mut self, least: f32) {
        for score in self.scores.values_mut().filter(|score| score.value < least) {
            score.value = f32::NEG_INFINITY;
        }
        match self.open() {
            Some(rest) if rest.bound >= least => self.miss(),
            _ => self.rest = None,
        }
    }

    /// Makes those impossible whose bit is not set.
    pub(crate) fn keep_where(&mut self, kept: impl Fn(u32) -> bool, all_kept: impl Iterator<Item = u32>) {
        for (_, score) in self.scores.iter_mut().filter(|(id, _)| !kept(**id)) {
            score.value = f32::NEG_INFINITY;
        }
        let len = self.len;
        if self.open().is_some()
            && !all_kept.take_while(|&id| (id as usize) < len).all(|id| self.scores.contains_key(&id))
        {
            self.miss();
        }
        self.rest = None;
    }

    /// As [`LogitsRow::top`](crate::ops::LogitsRow::top).
    pub(crate) fn top(&self, count: usize) -> Vec<(f32, u32)> {
        let mut all = self.possible_known();
        all.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        all.truncate(count);
        if let Some(rest) = self.open() {
            let before = |&(value, id): &(f32, u32)| {
                value > rest.bound || value == rest.bound && rest.last.is_some_and(|last| id <= last)
            };
            if all.len() < count || !all.iter().all(before) {
                self.miss();
            }
        }
        all
    }

    fn possible_known(&self) -> Vec<(f32, u32)> {
        let scores = self.scores.iter().map(|(&id, score)| (score.value, id));
        scores.filter(|&(value, _)| value > f32::NEG_INFINITY).collect()
    }

    /// Those above −∞, by id.
    pub(crate) fn possible(&self) -> Vec<(f32, u32)> {
        if self.open().is_some() {
            self.miss();
        }
        self.possible_known()
    }

    /// The sums of the rest as scores are divided now; without them something is missed.
    fn sums(&self) -> &[[f32; 2]] {
        let Some(rest) = self.open() else { return &[] };
        let sums = rest.sums.iter().find(|(divisor, _)| *divisor == rest.divided && !rest.changed);
        let sums = sums.map_or(&[][..], |(_, sums)| sums);
        // What is not a number is seen in the sum.
        if sums.is_empty() || sums.iter().any(|sum| sum[1].is_nan()) {
            self.miss();
        }
        sums
    }

    /// The scores that are in no sum, and the largest of all.
    fn beside_sums(&self, sums: &[[f32; 2]]) -> (Vec<(f32, u32)>, f64) {
        let all_are_here = self.open().is_none();
        let here = |score: &Score| score.value > f32::NEG_INFINITY && (all_are_here || !score.counted);
        let beside: Vec<(f32, u32)> = self
            .scores
            .iter()
            .filter(|(_, score)| here(score))
            .map(|(&id, score)| (score.value, id))
            .collect();
        let all = beside.iter().map(|&(value, _)| value).chain(sums.iter().map(|sum| sum[0]));
        let largest = all.fold(f32::NEG_INFINITY, f32::max);
        (beside, f64::from(largest))
    }

    pub(crate) fn log_sum_exp(&self) -> f32 {
        let sums = self.sums();
        let (beside, largest) = self.beside_sums(sums);
        if largest == f64::NEG_INFINITY {
            return f32::NEG_INFINITY;
        }
        let own: f64 = beside.iter().map(|&(x, _)| (f64::from(x) - largest).exp()).sum();
        (largest + (own + sums.iter().map(|&sum| share(sum, largest)).sum::<f64>()).ln()) as f32
    }

    /// As [`LogitsRow::draw`](crate::ops::LogitsRow::draw).
    pub(crate) fn draw(&self, uniform: f64) -> Option<u32> {
        let sums = self.sums();
        let (beside, largest) = self.beside_sums(sums);
        if sums.is_empty() {
            let shares = beside.iter().map(|&(x, id)| (id, (f64::from(x) - largest).exp()));
            let total: f64 = shares.clone().map(|(_, share)| share).sum();
            return pick(shares, uniform * total);
        }
        let mut by_part: Vec<f64> = sums.iter().map(|&sum| share(sum, largest)).collect();
        for &(x, id) in &beside {
            by_part[id as usize / PART] += (f64::from(x) - largest).exp();
        }
        let mut wanted = uniform * by_part.iter().sum::<f64>();
        let part = pick((0..).zip(by_part.iter().copied()), wanted)? as usize;
        wanted -= by_part[..part].iter().sum::<f64>();
        let Some((_, scores)) = self.open()?.part.as_ref().filter(|(there, _)| *there == part) else {
            self.wanted.set(Some(part));
            self.miss();
            return None;
        };
        let ids = (part * PART..self.len.min((part + 1) * PART)).map(|id| id as u32).take(scores.len());
        let shares =
            ids.map(|id| (id, (f64::from(self.get(id).unwrap_or(f32::NEG_INFINITY)) - largest).exp()));
        pick(shares, wanted)
    }
}

/// A part's sum beside the largest of all.
fn share([of_part, sum]: [f32; 2], largest: f64) -> f64 {
    if sum == 0.0 { 0.0 } else { f64::from(sum) * (f64::from(of_part) - largest).exp() }
}

/// The first behind which more than `wanted` has come, or the last that has a share.
pub(crate) fn pick(shares: impl Iterator<Item = (u32, f64)>, wanted: f64) -> Option<u32> {
    let (mut sum, mut last) = (0.0, None);
    for (id, share) in shares.filter(|&(_, share)| share > 0.0) {
        sum += share;
        last = Some(id);
        if sum > wanted {
            break;
        }
    }
    last
}
