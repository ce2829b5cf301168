//! Steps of optimizers, and the gradients that they take: by rows, and the sums of several devices.

use super::{close, device, normal, tensor};
use crate::cuda::emulated;
use crate::ops::{self, Adafactor, AdamW, Learning, Lion, NonFinite};
use crate::{Context, Gradient, Gradients, Graph, ParamId, Params, Pool, Rng, Tensor, Weight};
/// Three steps of every optimizer on parameters of many sizes, in pieces and rests of pieces, from moments of the
/// processor's on; one gradient is kept by rows, whose rows are others in each step and sometimes more.
#[test]
fn optimizers() {
    let Some(device) = device() else { return };
    let adamw = AdamW {
        lr: 1e-2,
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: 0.1,
        l2: 0.0,
        bias1: 0.1,
        bias2: 0.001,
        grad_scale: 0.5,
    };
    let adam = AdamW { weight_decay: 0.0, l2: 0.1, ..adamw };
    let lion = Lion { lr: 1e-2, beta1: 0.9, beta2: 0.99, weight_decay: 0.1, grad_scale: 0.5 };
    let adafactor = Adafactor {
        lr: 1e-2,
        beta2: 0.3,
        eps1: 1e-30,
        eps2: 1e-3,
        clip_threshold: 1.0,
        scale_parameter: true,
        weight_decay: 0.1,
        grad_scale: 0.5,
    };
    let unscaled = Adafactor { scale_parameter: false, weight_decay: 0.0, ..adafactor };
    let pool = Pool::new(1);
    let shapes: [&[usize]; 6] = [&[1, 1], &[33, 40], &[300, 70], &[517], &[90, 24], &[7]];
    let (embedding, frozen) = (4, 5);
    for (which, lazy) in (0..5).map(|which| (which, false)).chain([(0, true), (2, true)]) {
        let run = |on_device: bool| {
            let mut rng = Rng::new(11, which);
            let place = |x: Tensor| if on_device { x.to_device(&device) } else { x };
            let mut params = Params::default();
            for (i, shape) in shapes.iter().enumerate() {
                params.add(format!("p{i}"), Weight::owned(shape, normal(&mut rng, shape.iter().product())));
            }
            let ids: Vec<ParamId> = params.iter().map(|(id, _, _)| id).collect();
            if on_device {
                params.move_to(&device).unwrap();
            }
            let zeros = |shape: &&[usize]| match (which, *shape) {
                (3 | 4, &[rows, cols]) => vec![Tensor::zeros(1, rows), Tensor::zeros(1, cols)],
                (3 | 4, _) => vec![Tensor::zeros(1, shape[0])],
                (2, _) => vec![Tensor::zeros(1, shape.iter().product())],
                _ => vec![Tensor::zeros(1, shape.iter().product()); 2],
            };
            let mut state: Vec<Vec<Tensor>> = shapes.iter().map(zeros).collect();
            state.iter_mut().flatten().for_each(|t| *t = Tensor::zeros(t.rows(), t.cols()));
            let mut gradients = Gradients::new();
            gradients.keep_rows(ids[embedding]);
            let mut norms = Vec::new();
            for rows in [[&[3u32, 89, 3][..], &[0]], [&[5], &[]], [&[89, 7, 5, 6, 7], &[5, 8]]] {
                gradients.clear();
                let mut graph = Graph::training(&params, &pool, None);
                let context = graph.context;
                for (&id, shape) in ids.iter().zip(shapes).take(embedding) {
                    let (rows, cols) = if let &[rows, cols] = shape { (rows, cols) } else { (1, shape[0]) };
                    *gradients.param_mut(context, id).0 = place(tensor(&mut rng, rows, cols));
                }
                for rows in rows {
                    let y = ops::embedding(&mut graph, ids[embedding], rows);
                    gradients.put(y.node().unwrap(), place(tensor(&mut rng, rows.len(), 24)));
                }
                graph.backward(&mut gradients);
                assert!(matches!(gradients.get(ids[embedding]), Some(Gradient::Rows(_))));
                norms.push(ops::sum_squares(context, &gradients) as f32);
                let of = Learning { params: &mut params, gradients: &gradients, state: &mut state, lazy };
                match which {
                    0 => ops::adamw(&pool, &adamw, of),
                    1 => ops::adamw(&pool, &adam, of),
                    2 => ops::lion(&pool, &lion, of),
                    3 => ops::adafactor(&pool, &adafactor, of),
                    _ => ops::adafactor(&pool, &unscaled, of),
                }
            }
            let mut found = vec![norms];
            found.extend(params.iter().map(|(_, _, w)| w.to_tensor().data().to_vec()));
            found.extend(state.iter().flatten().map(|t| t.to_host().data().to_vec()));
            let start = &found[1 + frozen];
            assert!(start.iter().all(|x| x.is_finite()) && state[frozen].iter().all(|t| t.core().is_none()));
            found
        };
        for (i, (got, want)) in run(true).iter().zip(&run(false)).enumerate() {
            close(&format!("optimizer {which}, number {i}"), got, want, 2e-6);
        }
    }
}

/// Gradients on two devices become their sum on both: dense, by rows that both have or one, dense here and by rows there,
/// and of a device without any.
#[test]
fn gradients_of_two_devices() {
    let Some(devices) = emulated::devices(2) else { return };
    let (dense, rows, mixed) = (0, 1, 2);
    for lacking in [false, true] {
        let mut rng = Rng::new(14, 0);
        let mut params = Params::default();
        for name in ["dense", "by rows", "mixed"] {
            params.add(name, Weight::owned(&[9, 33], normal(&mut rng, 9 * 33)));
        }
        let ids: Vec<ParamId> = params.iter().map(|(id, _, _)| id).collect();
        let copies: Vec<Params> =
            devices.all().iter().map(|device| params.copied_to(device).unwrap()).collect();
        let pool = Pool::new(1);
        let pass = |params: &Params, gradients: &mut Gradients, which: usize, rng: &mut Rng| {
            let mut graph = Graph::training(params, &pool, None);
            let met: [&[u32]; 2] = [&[3, 8, 3], &[0, 8]];
            for id in [ids[rows], ids[mixed]] {
                let y = ops::embedding(&mut graph, id, met[which]);
                let dy = tensor(rng, met[which].len(), 33);
                gradients.put(y.node().unwrap(), params.device().map_or(dy.clone(), |d| dy.to_device(d)));
            }
            let context = graph.context;
            graph.backward(gradients);
            let g = tensor(rng, 9, 33);
            let g = params.device().map_or(g.clone(), |d| g.to_device(d));
            for id in [ids[dense], ids[mixed]].into_iter().take(2 - which) {
                let sum = gradients.param_add(context, id);
                let mut own = std::mem::replace(sum, Tensor::zeros(0, 0)).into_unique();
                on!(context => elementwise::add_in_place(context, &mut own, &g));
                *sum = own;
            }
        };
        let keeping = || {
            let mut gradients = Gradients::new();
            ids.iter().skip(rows).for_each(|&id| gradients.keep_rows(id));
            gradients
        };
        let (mut host, mut there) = (keeping(), [keeping(), keeping()]);
        for which in 0..if lacking { 1 } else { 2 } {
            host.next_pass();
            pass(&params, &mut host, which, &mut Rng::new(15, which as u64));
            pass(&copies[which], &mut there[which], which, &mut Rng::new(15, which as u64));
        }
        let contexts: Vec<Context<'_>> = copies.iter().map(|params| Context::new(params, &pool)).collect();
        devices.add_up(&contexts, &mut there.each_mut());
        let values = |gradients: &Gradients, id| match gradients.get(id).expect("a gradient") {
            Gradient::Dense(dense) => dense.to_host().data().to_vec(),
            Gradient::Rows(rows) => {
                let mut dense = Tensor::zeros(9, 33);
                rows.to_host().write_to(&mut dense);
                dense.data().to_vec()
            }
        };
        for (&id, what) in ids.iter().zip(["dense", "by rows", "mixed"]) {
            let [first, second] = there.each_ref().map(|gradients| values(gradients, id));
            assert!(first == second, "{what}");
            close(what, &first, &values(&host, id), 1e-6);
        }
        assert!(there.iter().all(|g| matches!(g.get(ids[rows]), Some(Gradient::Rows(_)))));
    }
}

/// A gradient by rows becomes a dense one where something else contributes to it, and where it is not a number is said.
#[test]
fn gradients_by_rows() {
    let Some(device) = device() else { return };
    let run = |on_device: bool, by_rows: bool, dense: bool| {
        let mut rng = Rng::new(13, 0);
        let mut params = Params::default();
        let id = params.add("shared", Weight::owned(&[9, 33], normal(&mut rng, 9 * 33)));
        if on_device {
            params.move_to(&device).unwrap();
        }
        let pool = Pool::new(1);
        let mut gradients = Gradients::new();
        if by_rows {
            gradients.keep_rows(id);
        }
        for ids in [&[8u32, 0, 8, 1][..], &[2, 0]] {
            gradients.next_pass();
            let mut graph = Graph::training(&params, &pool, None);
            let y = ops::embedding(&mut graph, id, ids);
            let mut dy = tensor(&mut rng, ids.len(), 33);
            if dense && ids.len() == 2 {
                dy.data_mut()[5] = f32::INFINITY;
            }
            let place = |x: Tensor| if on_device { x.to_device(&device) } else { x };
            gradients.put(y.node().unwrap(), place(dy));
            graph.backward(&mut gradients);
        }
        let found = NonFinite::find(gradients.get(id).unwrap());
        if dense {
            gradients.param_add(Context::new(&params, &pool), id);
        }
        let values = match gradients.get(id).unwrap() {
            Gradient::Dense(dense) => dense.to_host().data().to_vec(),
            Gradient::Rows(rows) => {
                let (rows, mut dense) = (rows.to_host(), Tensor::zeros(9, 33));
                assert_eq!(rows.sorted().iter().map(|&(row, _)| row).collect::<Vec<_>>(), [0, 1, 2, 8]);
                rows.write_to(&mut dense);
                dense.data().to_vec()
            }
        };
        (values, found)
    };
    for dense in [false, true] {
        let want = run(false, false, dense);
        assert_eq!(want.1.is_some(), dense);
        for on_device in [false, true] {
            assert!(run(on_device, true, dense) == want, "on the device: {on_device}, dense: {dense}");
        }
    }
}
