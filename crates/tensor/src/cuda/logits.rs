//! What is looked at of rows of logits: single ones, the best, sums. Whole rows stay where they are.

use std::sync::Arc;

use super::device::THREADS;
use super::{Core, Memory};
use crate::Tensor;
use crate::ops::{Interest, Known, PART};

/// The row of what is named in no row.
const NOWHERE: u32 = u32::MAX;
/// Numbers of ids named are multiples of this: steps that name a few more are alike.
const NAMED: usize = 256;
/// Of a part so many of the best are found one after another, which takes two barriers each; more by sorting, which takes
/// about sixty to eighty however many they are.
const FEW_OF_THE_BEST: usize = 32;

/// Of some rows of logits, each with what it is wanted for, what is wanted: one wait for the device.
pub(crate) fn look(logits: &mut Tensor, rows: &[(usize, &Interest)]) -> Vec<Known> {
    let device = logits.core().expect("logits on a device").clone();
    let (cols, parts) = (logits.cols(), logits.cols().div_ceil(PART));
    let to = logits.address_mut();

    let (mut in_row, mut columns) = (Vec::new(), Vec::new());
    for (row, interest) in rows {
        in_row.extend(std::iter::repeat_n(number(*row), interest.ids.len()));
        columns.extend_from_slice(&interest.ids);
    }
    let named = columns.len().next_multiple_of(NAMED);
    in_row.resize(named, NOWHERE);
    columns.resize(named, 0);
    // Rows that somebody wants the best of, and sums by row and divisor.
    let best: Vec<usize> = (0..rows.len()).filter(|&i| rows[i].1.best > 0).collect();
    let count = best.iter().map(|&i| rows[i].1.best).max().unwrap_or(0);
    let sums: Vec<(usize, f32)> =
        (0..rows.len()).flat_map(|i| rows[i].1.sums.iter().map(move |&divisor| (i, divisor))).collect();

    let sizes = [named, best.len() * count, best.len() * count, 2 * sums.len() * parts];
    let all = device.allocate(4 * sizes.iter().sum::<usize>());
    let mut first = all.at();
    let [at_named, at_values, at_places, at_sums] = sizes.map(|size| {
        first += 4 * size as u64;
        first - 4 * size as u64
    });
    let (in_row, columns) = (device.upload(&in_row), device.upload(&columns));
    let name = |back: bool| {
        let arguments = arguments![
            at at_named, at to, &in_row, &columns, cols as u32, named as u32, back as u32
        ];
        device.launch_each("take_named", named, &arguments);
    };
    name(false);
    if count > 0 {
        let of: Vec<u32> = best.iter().map(|&i| number(rows[i].0)).collect();
        top(&device, [at_values, at_places], to, &device.upload(&of), best.len(), cols, count);
    }
    if !sums.is_empty() {
        let of: Vec<u32> = sums.iter().map(|&(i, _)| number(rows[i].0)).collect();
        let divisors: Vec<f32> = sums.iter().map(|&(_, divisor)| divisor).collect();
        let (of, divisors) = (device.upload(&of), device.upload(&divisors));
        let arguments = arguments![at at_sums, at to, &of, &divisors, cols as u32, PART as u32];
        device.launch("sum_exp", [parts, sums.len(), 1], THREADS, 0, &arguments);
    }
    name(true);

    let mut words = vec![0u32; all.bytes() / 4];
    all.read(bytemuck::cast_slice_mut(&mut words));
    let (values, rest) = words.split_at(named);
    let (top_values, rest) = rest.split_at(sizes[1]);
    let (top_places, by_part) = rest.split_at(sizes[2]);
    let mut values = values.iter();
    let mut known: Vec<Known> = rows
        .iter()
        .map(|(_, interest)| {
            let named = interest.ids.iter().zip(values.by_ref());
            Known::new(cols, named.map(|(&id, &bits)| (id, f32::from_bits(bits))))
        })
        .collect();
    for (place, &i) in best.iter().enumerate() {
        let of = |all: &'_ [u32]| all[place * count..][..rows[i].1.best].to_vec();
        let found = of(top_values).into_iter().map(f32::from_bits).zip(of(top_places));
        known[i].add_best(found.filter(|&(_, id)| id != NOWHERE).collect(), rows[i].1.best);
    }
    for (&(i, divisor), sums) in sums.iter().zip(by_part.chunks_exact((2 * parts).max(1))) {
        let pairs = sums.chunks_exact(2).map(|pair| [pair[0], pair[1]].map(f32::from_bits));
        known[i].add_sums(divisor, pairs.collect());
    }
    known
}

/// The `count` best of some rows, by rounds: those of every part, and then those of so many parts together.
fn top(device: &Arc<Core>, to: [u64; 2], x: u64, of: &Memory, rows: usize, cols: usize, count: usize) {
    let (mut from, mut named, mut listed, mut cols) = (x, 0, of.at(), cols);
    // What a round has found lives until the next one reads it.
    let mut held: Vec<[Memory; 2]> = Vec::new();
    loop {
        let parts = cols.div_ceil(PART);
        let found = (parts > 1).then(|| [(); 2].map(|()| device.allocate(4 * rows * parts * count)));
        let [values, places] = found.as_ref().map_or(to, |found| [found[0].at(), found[1].at()]);
        let mut arguments = Vec::from(arguments![
            at values, at places, at from, at named, at listed, cols as u32, PART as u32, count as u32
        ]);
        let kernel = match count <= FEW_OF_THE_BEST {
            true => "top",
            false => {
                arguments.push((count.next_power_of_two() as u32).into());
                "top_many"
            }
        };
        device.launch(kernel, [parts, rows, 1], THREADS, 0, &arguments);
        let Some(found) = found else { return };
        (from, named, listed, cols) = (values, places, 0, parts * count);
        held.push(found);
    }
}

/// Some parts of rows of logits: for each its row and its number; [`PART`] numbers each.
pub(crate) fn parts(logits: &Tensor, of: &[(usize, usize)]) -> Tensor {
    let device = logits.core().expect("logits on a device");
    let list = |which: fn(&(usize, usize)) -> usize| {
        device.upload(&of.iter().map(|pair| number(which(pair))).collect::<Vec<u32>>())
    };
    let (rows, parts) = (list(|&(row, _)| row), list(|&(_, part)| part));
    let mut out = Tensor::on(device, of.len(), PART);
    let arguments = arguments![&mut out, logits, &rows, &parts, logits.cols() as u32, PART as u32];
    device.launch("take_parts", [PART.div_ceil(THREADS as usize), of.len(), 1], THREADS, 0, &arguments);
    out.to_host()
}

fn number(n: usize) -> u32 {
    u32::try_from(n).expect("rows of logits")
}
