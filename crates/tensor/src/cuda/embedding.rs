//! Rows by id, and adding to rows by id.

use super::device::{THREADS, stored_as};
use super::matrix::{device, grid_of_rows};
use crate::{Context, Tensor, Weight};

/// The rows `ids` of a weight in f32.
pub(crate) fn gather(context: Context<'_>, weight: &Weight, ids: &[u32]) -> Tensor {
    let mut y = Tensor::on(device(context), ids.len(), weight.cols());
    embed(context, &mut y, 1.0, weight, ids, false);
    y
}

/// `y += factor ·` the rows `ids` of a weight.
pub(crate) fn add_gathered(context: Context<'_>, y: &mut Tensor, factor: f32, weight: &Weight, ids: &[u32]) {
    embed(context, y, factor, weight, ids, true);
}

fn embed(context: Context<'_>, y: &mut Tensor, factor: f32, weight: &Weight, ids: &[u32], add: bool) {
    let (device, placed, cols) = (device(context), weight.placed(), weight.cols());
    assert_eq!((y.rows(), y.cols()), (ids.len(), cols), "an id a row");
    assert!(ids.iter().all(|&id| (id as usize) < weight.rows()), "ids with a row");
    let list = device.upload(ids);
    let arguments = arguments![
        y, add as u32, factor, &list, at placed.at, at placed.scales, stored_as(placed.dtype), ids.len() as u32,
        cols as u32
    ];
    device.launch("embed", grid_of_rows(ids.len(), cols), THREADS, 0, &arguments);
}

/// `row ids[t] of dw += dy[t]` for every `t`, in that order.
pub(crate) fn add_rows(context: Context<'_>, dw: &mut Tensor, ids: &[u32], dy: &Tensor) {
    let device = device(context);
    assert_eq!((ids.len(), dw.cols()), (dy.rows(), dy.cols()), "a row of the derivative for every id");
    assert!(ids.iter().all(|&id| (id as usize) < dw.rows()), "ids with a row");
    // Sorted by row, a row's in the order of the tokens: each row is one block's.
    let mut sources: Vec<u32> = (0..ids.len() as u32).collect();
    sources.sort_by_key(|&t| ids[t as usize]);
    let (mut rows, mut starts) = (Vec::new(), Vec::new());
    for (at, &t) in sources.iter().enumerate() {
        let id = ids[t as usize];
        if rows.last() != Some(&id) {
            rows.push(id);
            starts.push(at as u32);
        }
    }
    starts.push(sources.len() as u32);
    let count = rows.len();
    let [rows, starts, sources] = [rows, starts, sources].map(|list| device.upload(&list));
    let cols = dy.cols();
    let arguments = arguments![dw, &rows, &starts, &sources, dy, count as u32, cols as u32];
    device.launch("add_to_rows", grid_of_rows(count, cols), THREADS, 0, &arguments);
}

/// `row rows[t] of dw += dy[t]` for every `t`, in that order.
pub(crate) fn add_to_rows(context: Context<'_>, dw: &mut Tensor, rows: &[usize], dy: &Tensor) {
    let rows: Vec<u32> = rows.iter().map(|&row| u32::try_from(row).expect("a row's number")).collect();
    add_rows(context, dw, &rows, dy);
}
