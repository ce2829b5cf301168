//! RMSNorm and LayerNorm.

use super::super::{layer_norm, layer_norm_backward, oracle, rms_norm, rms_norm_backward};
use super::{SIZES, assert_close, numbers, on_every_isa};

#[test]
fn rms_norm_matches_the_oracle() {
    on_every_isa(|isa| {
        for cols in SIZES {
            for rows in [0, 1, 3] {
                let (x, weight) = (numbers(rows * cols, 1), numbers(cols, 2));
                let rows = if cols == 0 { 0 } else { rows };
                let (mut got, mut want) = (vec![0.0; x.len()], vec![0.0; x.len()]);
                let (mut rstd, mut rstd_want) = (vec![0.0; rows], vec![0.0; rows]);
                rms_norm(isa, &mut got, &x, &weight, 1e-6, Some(&mut rstd));
                if cols > 0 {
                    oracle::rms_norm(&mut want, &x, &weight, 1e-6, Some(&mut rstd_want));
                }
                assert_close("rms_norm", &got, &want, 1e-7, 1e-6);
                assert_close("rstd", &rstd, &rstd_want, 0.0, 1e-6);
                let mut without = vec![0.0; x.len()];
                rms_norm(isa, &mut without, &x, &weight, 1e-6, None);
                assert_eq!(without, got);

                for accumulate in [false, true] {
                    let dy = numbers(x.len(), 3);
                    let (mut dx, mut dw) = (numbers(x.len(), 4), numbers(cols, 5));
                    let (mut dx_want, mut dw_want) = (dx.clone(), dw.clone());
                    rms_norm_backward(isa, &mut dx, accumulate, &mut dw, &dy, &x, &weight, &rstd);
                    if cols > 0 {
                        oracle::rms_norm_backward(
                            &mut dx_want,
                            accumulate,
                            &mut dw_want,
                            &dy,
                            &x,
                            &weight,
                            &rstd,
                        );
                        assert_close(
                            "dx",
                            &dx,
                            &dx_want,
                            3e-5 * rstd.iter().fold(1.0, |a, &b| b.max(a)),
                            1e-5,
                        );
                        assert_close("dweight", &dw, &dw_want, 1e-6, 1e-6);
                    }
                }
            }
        }
    });
}

#[test]
fn layer_norm_matches_the_oracle() {
    on_every_isa(|isa| {
        for cols in SIZES {
            for rows in [0, 1, 3] {
                let rows = if cols == 0 { 0 } else { rows };
                // A mean far from zero.
                let x: Vec<f32> = numbers(rows * cols, 1).iter().map(|v| v + 20.0).collect();
                let (weight, bias) = (numbers(cols, 2), numbers(cols, 6));
                let (mut got, mut want) = (vec![0.0; x.len()], vec![0.0; x.len()]);
                let (mut mean, mut rstd) = (vec![0.0; rows], vec![0.0; rows]);
                let (mut mean_want, mut rstd_want) = (mean.clone(), rstd.clone());
                layer_norm(isa, &mut got, &x, &weight, &bias, 1e-5, Some((&mut mean, &mut rstd)));
                if cols == 0 {
                    continue;
                }
                oracle::layer_norm(
                    &mut want,
                    &x,
                    &weight,
                    &bias,
                    1e-5,
                    Some((&mut mean_want, &mut rstd_want)),
                );
                // One part in 2²⁴ of the mean, enlarged by the normalisation.
                let scale = rstd_want.iter().fold(1.0f32, |a, &b| a.max(b));
                assert_close("layer_norm", &got, &want, 6e-6 * scale, 1e-5);
                assert_close("mean", &mean, &mean_want, 0.0, 1e-6);
                if cols > 1 {
                    assert_close("rstd", &rstd, &rstd_want, 0.0, 1e-5);
                }

                for accumulate in [false, true] {
                    let dy = numbers(x.len(), 3);
                    let (mut dx, mut dw, mut db) = (numbers(x.len(), 4), numbers(cols, 5), numbers(cols, 7));
                    let (mut dx_want, mut dw_want, mut db_want) = (dx.clone(), dw.clone(), db.clone());
                    layer_norm_backward(
                        isa, &mut dx, accumulate, &mut dw, &mut db, &dy, &x, &weight, &mean, &rstd,
                    );
                    oracle::layer_norm_backward(
                        &mut dx_want,
                        accumulate,
                        &mut dw_want,
                        &mut db_want,
                        &dy,
                        &x,
                        &weight,
                        &mean,
                        &rstd,
                    );
                    assert_close("dx", &dx, &dx_want, 1e-5 * scale, 1e-5);
                    assert_close("dweight", &dw, &dw_want, 1e-5, 1e-5);
                    assert_close("dbias", &db, &db_want, 1e-6, 1e-6);
                }
            }
        }
    });
}

#[test]
fn gradients_agree_with_finite_differences() {
    const COLS: usize = 19;
    on_every_isa(|isa| {
        let (x, weight, bias, dy) = (numbers(COLS, 1), numbers(COLS, 2), numbers(COLS, 3), numbers(COLS, 4));
        let loss = |x: &[f32], norm: &dyn Fn(&mut [f32], &[f32])| -> f64 {
            let mut y = vec![0.0; COLS];
            norm(&mut y, x);
            y.iter().zip(&dy).map(|(&y, &dy)| f64::from(y) * f64::from(dy)).sum()
        };
        let check = |dx: &[f32], norm: &dyn Fn(&mut [f32], &[f32])| {
            for i in 0..COLS {
                let (mut up, mut down) = (x.clone(), x.clone());
                (up[i], down[i]) = (x[i] + 1e-2, x[i] - 1e-2);
                let slope = (loss(&up, norm) - loss(&down, norm)) / f64::from(up[i] - down[i]);
                assert!((slope - f64::from(dx[i])).abs() < 2e-3, "element {i}: {slope} and {}", dx[i]);
            }
        };
        let (mut y, mut dx, mut dw, mut db) =
            (vec![0.0; COLS], vec![0.0; COLS], vec![0.0; COLS], vec![0.0; COLS]);
        let (mut mean, mut rstd) = ([0.0], [0.0]);
        rms_norm(isa, &mut y, &x, &weight, 1e-6, Some(&mut rstd));
        rms_norm_backward(isa, &mut dx, false, &mut dw, &dy, &x, &weight, &rstd);
        check(&dx, &|y, x| rms_norm(isa, y, x, &weight, 1e-6, None));
        layer_norm(isa, &mut y, &x, &weight, &bias, 1e-6, Some((&mut mean, &mut rstd)));
        layer_norm_backward(isa, &mut dx, false, &mut dw, &mut db, &dy, &x, &weight, &mean, &rstd);
        check(&dx, &|y, x| layer_norm(isa, y, x, &weight, &bias, 1e-6, None));
    });
}
