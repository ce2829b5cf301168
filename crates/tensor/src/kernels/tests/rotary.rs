//! `rotate`.

use super::super::{oracle, rotate};
use super::{assert_close, numbers, on_every_isa};

#[test]
fn pairs_turn_there_and_back() {
    on_every_isa(|isa| {
        for width in [2, 6, 16, 64, 66] {
            for heads in [0, 1, 3, 24] {
                let (x, turns) = (numbers(heads * width, 1), numbers(width, 2));
                for back in [false, true] {
                    let (mut got, mut want) = (x.clone(), x.clone());
                    rotate(isa, &mut got, &turns, back);
                    oracle::rotate(&mut want, &turns, back);
                    assert_close(&format!("{} {heads} of {width}", isa.name()), &got, &want, 2e-7, 2e-7);
                }
            }
        }
    });
}
