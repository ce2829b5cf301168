//! Choosing from rows of logits of which only some comes home, against the same from whole rows.

use super::{close, device};
use crate::ops::{Interest, LogitsRow, choose_rows, each_row};
use crate::{Graph, Params, Pool, Regime, Rng, Tensor};

/// Several parts, the last of them not whole.
const COLS: usize = 10_001;

/// Rows with many equals, some that end early, nothing at all, and what is not a number.
fn rows() -> Vec<f32> {
    let mut rng = Rng::new(12, 0);
    let mut x: Vec<f32> = (0..5 * COLS).map(|_| (rng.normal() * 24.0).round() as f32 / 8.0).collect();
    x[COLS..2 * COLS].fill(f32::NEG_INFINITY);
    (x[COLS + 3], x[COLS + 9000], x[COLS + 5000]) = (2.0, 2.0, 1.0);
    x[2 * COLS..3 * COLS].fill(f32::NEG_INFINITY);
    x[3 * COLS..4 * COLS].fill(f32::NAN);
    for x in &mut x[4 * COLS..] {
        *x = 1.0 + (rng.normal() * 0.01) as f32;
    }
    x
}

type Answer = (Vec<(f32, u32)>, Vec<f32>);
type Look<'f> = &'f (dyn Fn(&mut LogitsRow<'_>) -> Answer + Sync);

/// The same answers from what comes home of rows as from rows; whether some of them took less than a whole row.
fn check(what: &str, few: bool, interest: &Interest, look: Look<'_>) {
    let Some(device) = device() else { return };
    let (params, pool) = (Params::default(), Pool::new(1));
    let graph = Graph::inference(&params, &pool, Regime::Steps);
    let host = Tensor::from_vec(5, COLS, rows());
    let mut logits = host.to_device(&device);
    let want = each_row(&graph, &mut Tensor::from_vec(5, COLS, rows()), |_, row| look(row));
    let got = choose_rows(&graph, &mut logits, |_| Some(interest.clone()), |_, row| look(row));
    for (row, ((got, numbers), (want, other))) in got.iter().zip(&want).enumerate() {
        assert_eq!(got, want, "{what}, row {row}");
        let finite = |x: &[f32]| x.iter().map(|x| if x.is_finite() { *x } else { 77.0 }).collect::<Vec<_>>();
        close(&format!("{what}, row {row}"), &finite(numbers), &finite(other), 2e-6);
    }
    let brought = device.counts().bytes;
    assert_eq!(brought < (2 * 4 * COLS) as u64, few, "{what}: {brought} bytes");
    // They are as they were.
    let same = |a: &f32, b: &f32| a.to_bits() == b.to_bits();
    let after = logits.to_host();
    assert!(after.data().iter().zip(host.data()).all(|(a, b)| same(a, b)), "{what}: logits have changed");
}

fn best(count: usize) -> Interest {
    Interest { best: count, ..Interest::default() }
}

/// NaN rows have no sums here, and no row of them is asked for.
fn sum(row: &LogitsRow<'_>) -> f32 {
    row.log_sum_exp()
}

#[test]
fn the_best() {
    check("argmax", true, &best(1), &|row| {
        let (id, x) = row.argmax();
        let found = if x > f32::NEG_INFINITY { vec![(x, id)] } else { Vec::new() };
        (found, Vec::new())
    });
    for count in [1, 2, 7, 32, 33, 40, 264, 1024] {
        check("top", true, &best(count), &|row| (row.top(count), Vec::new()));
    }
    // Some too few, and only one row has so few.
    check("too few asked for", false, &best(3), &|row| (row.top(5), Vec::new()));
}

#[test]
fn single_ones_are_read_changed_and_forbidden() {
    let ids: Vec<u32> = (0..COLS as u32).step_by(31).chain([10_000, 20_000, 3, 3, 9000]).collect();
    let interest = Interest { best: 6, ids: ids.clone(), sums: Vec::new() };
    let look = |row: &mut LogitsRow<'_>| {
        let before: Vec<f32> = ids.iter().map(|&id| row.get(id).unwrap_or(7.0)).collect();
        ids.iter().filter(|&&id| id % 2 == 0).for_each(|&id| row.set(id, f32::NEG_INFINITY));
        for &id in &ids[..9] {
            row.set(id, row.get(id).unwrap() + 3.0);
        }
        (row.top(6), before)
    };
    check("processors", true, &interest, &look);
    check("ids that were not named", false, &best(6), &look);
    check("only these", true, &interest, &|row| {
        let kept: Vec<(u32, f32)> = ids[..5].iter().map(|&id| (id, row.get(id).unwrap())).collect();
        row.clear();
        kept.iter().for_each(|&(id, x)| row.set(id, x));
        (row.possible(), Vec::new())
    });
    let bits = [0b1001u64, 1 << 29];
    check("only those with a bit", true, &Interest { ids: vec![0, 3, 93], ..best(1) }, &|row| {
        row.keep_where(&bits);
        (row.possible(), Vec::new())
    });
}

#[test]
fn sums() {
    let interest = Interest { best: 1, ids: vec![5, 6, 8000], sums: vec![1.0, 0.7] };
    let numbers =
        |row: &mut LogitsRow<'_>| if row.get(5).unwrap().is_nan() { Vec::new() } else { vec![sum(row)] };
    check("a sum", true, &interest, &|row| (Vec::new(), numbers(row)));
    check("after changes", true, &interest, &|row| {
        row.set(5, f32::NEG_INFINITY);
        row.set(8000, 2.5);
        row.divide(0.7);
        (Vec::new(), if row.get(6).unwrap().is_nan() { Vec::new() } else { vec![sum(row)] })
    });
    check("divided by what nobody has named", false, &interest, &|row| {
        row.divide(0.5);
        (Vec::new(), if row.get(6).unwrap().is_nan() { Vec::new() } else { vec![sum(row)] })
    });
}

#[test]
fn draws() {
    let ids = vec![4, 5000, 9999];
    let drawn = |row: &mut LogitsRow<'_>, uniform: f64| {
        // What is not a number draws nothing that could be compared.
        if row.get(4).unwrap().is_nan() {
            return None;
        }
        row.set(5000, 3.0);
        row.set(4, f32::NEG_INFINITY);
        row.divide(0.9);
        row.draw(uniform)
    };
    let found = |id: Option<u32>| (id.map(|id| (0.0, id)).into_iter().collect(), Vec::new());
    for uniform in [0.0, 1e-9, 0.123, 0.5, 0.77, 0.999, 0.999_999_999] {
        let all = Interest { best: 0, ids: ids.clone(), sums: vec![0.9] };
        // A part of each row that has one.
        check("a draw of all", true, &all, &|row| found(drawn(row, uniform)));
        let some = Interest { best: 60, ids: ids.clone(), sums: Vec::new() };
        check("a draw of the best", true, &some, &|row| {
            if row.get(4).unwrap().is_nan() {
                return found(None);
            }
            row.set(4, f32::NEG_INFINITY);
            row.divide(0.9);
            if let Some(&(least, _)) = row.top(50).last() {
                row.keep_from(least);
            }
            found(row.draw(uniform))
        });
    }
}
