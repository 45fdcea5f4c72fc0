use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// The same, remembering everything.
struct Naive {
    size: u64,
    top: u64,
    seen: BTreeSet<u64>,
}

impl Naive {
    fn check(&self, number: u64) -> Result<(), Replay> {
        if number == 0 {
            Err(Replay::Impossible)
        } else if number + self.size <= self.top {
            Err(Replay::Old)
        } else if self.seen.contains(&number) {
            Err(Replay::Seen)
        } else {
            Ok(())
        }
    }

    fn accept(&mut self, number: u64) {
        self.seen.insert(number);
        self.top = self.top.max(number);
    }
}

proptest! {
    #[test]
    fn it_answers_as_one_that_remembers_everything(
        size in prop_oneof![1_u32..200, 4000_u32..4200],
        start in prop_oneof![Just(0_u64), 0_u64..1 << 40],
        steps in prop::collection::vec((-300_i64..300, any::<bool>(), any::<bool>()), 1..400),
    ) {
        let mut window = Window::new(size, true);
        let mut naive = Naive { size: u64::from(size), top: 0, seen: BTreeSet::new() };
        if start > 0 {
            window.accept(start);
            naive.accept(start);
        }
        for (offset, far, integrity) in steps {
            let offset = if far { offset * 50 } else { offset };
            let number = naive.top.saturating_add_signed(offset);
            prop_assert_eq!(window.check(number), naive.check(number), "{}", number);
            if integrity && naive.check(number).is_ok() {
                window.accept(number);
                naive.accept(number);
            }
            prop_assert_eq!(window.top(), naive.top);
        }
    }

    #[test]
    fn the_upper_half_is_found_for_any_number_around_the_window(
        size in prop_oneof![Just(0_u32), 1_u32..5000],
        top in 1_u64..1 << 50,
        ahead in 0_u64..1 << 31,
        behind in 0_u64..5000,
    ) {
        let mut window = Window::new(size, true);
        window.accept(top);
        if size == 0 {
            // Without a window only the highest number is remembered.
            prop_assert_eq!(window.top(), top);
        }
        let ahead = top + ahead;
        prop_assert_eq!(window.reconstruct((ahead & 0xffff_ffff) as u32), Ok(ahead));
        let behind = top.saturating_sub(behind.min(u64::from(size.saturating_sub(1))));
        prop_assert_eq!(window.reconstruct((behind & 0xffff_ffff) as u32), Ok(behind));
    }
}

#[test]
fn the_cases_of_rfc_4304_at_the_borders() {
    let mut window = Window::new(64, true);
    assert_eq!(window.reconstruct(1), Ok(1));
    // What would be before the first range is nothing.
    assert_eq!(window.reconstruct(0xffff_ffff), Err(Replay::Impossible));
    window.accept(0xffff_ffff);
    assert_eq!(window.reconstruct(0), Ok(0x1_0000_0000));
    assert_eq!(window.reconstruct(0xffff_ffc0), Ok(0xffff_ffc0));
    assert_eq!(window.reconstruct(0xffff_ffbf), Ok(0x1_ffff_ffbf));
    window.accept(0x1_0000_0005);
    assert_eq!(window.reconstruct(0xffff_ffff), Ok(0xffff_ffff));
    assert_eq!(window.check(0xffff_ffff), Err(Replay::Seen));
    assert_eq!(window.check(0xffff_fffe), Ok(()));
    window.accept(0xffff_ffff_ffff_fff0);
    assert_eq!(window.reconstruct(0), Err(Replay::Impossible));
}

#[test]
fn without_a_window_nothing_is_a_replay() {
    let mut window = Window::new(0, false);
    for number in [5, 5, 1, 0] {
        assert_eq!(window.check(number), Ok(()));
        window.accept(number);
    }
    assert_eq!(window.reconstruct(7), Ok(7));
}

#[test]
fn the_last_of_the_window_is_in_and_the_next_is_out() {
    let mut window = Window::new(4096, false);
    window.accept(5000);
    assert_eq!(window.check(5000 - 4095), Ok(()));
    assert_eq!(window.check(5000 - 4096), Err(Replay::Old));
    window.accept(905);
    assert_eq!(window.check(905), Err(Replay::Seen));
    // A jump over many turns of the ring forgets everything.
    window.accept(1_000_905);
    assert_eq!(window.check(1_000_904), Ok(()));
}
