use super::Nonces;

fn nonces(ni: &[u8], nr: &[u8]) -> Nonces {
    Nonces { ni: ni.into(), nr: nr.into() }
}

/// Each end compares its own exchange with the other's. Were both to give way there would be
/// no SA left, and were neither, two.
#[test]
fn of_two_exchanges_exactly_one_loses_at_both_ends() {
    let all: [&[u8]; 6] = [&[0; 16], &[0; 17], &[1; 16], &[1; 32], &[0xff; 16], &[0, 1]];
    let pairs = || all.into_iter().flat_map(|ni| all.into_iter().map(move |nr| nonces(ni, nr)));
    for west in pairs() {
        for east in pairs() {
            for west_began in [true, false] {
                let at_west = west.loses_to(&east, west_began);
                let at_east = east.loses_to(&west, !west_began);
                assert!(at_west != at_east, "{west:?} {east:?} {west_began}");
            }
        }
    }
}

#[test]
fn who_has_the_lowest_nonce_loses_and_of_equals_who_did_not_begin_the_ike_sa() {
    let low = nonces(&[9; 16], &[1; 16]);
    let high = nonces(&[2; 16], &[8; 16]);
    let swapped = nonces(&[1; 16], &[9; 16]);
    // What ends first is the lower.
    let longer = nonces(&[1; 17], &[9; 16]);
    for began in [true, false] {
        assert!(low.loses_to(&high, began) && !high.loses_to(&low, began));
        assert!(low.loses_to(&longer, began) && !longer.loses_to(&low, began));
        assert_eq!(low.loses_to(&low, began), !began);
        assert_eq!(low.loses_to(&swapped, began), !began);
    }
}
