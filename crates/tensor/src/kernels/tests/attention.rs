//! `attend_one`.

use super::super::{attend_one, oracle};
use super::{assert_close, numbers, on_every_isa};

#[test]
fn one_position_matches_the_oracle() {
    on_every_isa(|isa| {
        for d_kv in [1, 8, 20, 64, 65] {
            for keys in [0, 1, 3, 4, 5, 64, 65, 130] {
                for heads in [0..3, 1..2, 2..2] {
                    let (k_stride, v_stride) = (3 * d_kv + 5, 6 * d_kv);
                    let (q, k) = (numbers(3 * d_kv, 1), numbers(keys * k_stride, 2));
                    let (v, bias) = (numbers(keys * v_stride, 3), numbers(3 * (keys + 7), 4));
                    for bias in [None, Some((&bias[..], keys + 7))] {
                        let mut got = vec![0.5; 3 * d_kv];
                        let mut want = got.clone();
                        let mut scratch = vec![f32::NAN; heads.len() * keys];
                        attend_one(
                            isa,
                            &mut got,
                            &q,
                            &k,
                            k_stride,
                            &v,
                            v_stride,
                            keys,
                            heads.clone(),
                            d_kv,
                            bias,
                            &mut scratch,
                        );
                        oracle::attend_one(
                            &mut want,
                            &q,
                            &k,
                            k_stride,
                            &v,
                            v_stride,
                            keys,
                            heads.clone(),
                            d_kv,
                            bias,
                        );
                        let what = format!("{} d_kv {d_kv}, {keys} keys, heads {heads:?}", isa.name());
                        assert_close(&what, &got, &want, 2e-6, 2e-6);
                    }
                }
            }
        }
    });
}
