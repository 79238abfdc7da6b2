//! When checks make an endpoint go down or come up again, and when the next one is: no clock, no
//! network, no endpoint.

use std::time::Duration;

use crate::config::health::HealthCheck;

/// The verdict on one endpoint, and how near it is to the other one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Verdict {
    is_up: bool,
    /// Checks in a row that said the opposite.
    against: u32,
    rise: u32,
    fall: u32,
}

/// What changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Transition {
    /// It is up from now on.
    Up,
    /// It is down from now on.
    Down,
}

impl Verdict {
    /// As it was before; what nobody has checked is up.
    pub fn new(check: &HealthCheck, is_up: bool) -> Self {
        Self { is_up, against: 0, rise: check.rise, fall: check.fall }
    }

    /// Takes one more check into account.
    pub fn add(&mut self, is_good: bool) -> Option<Transition> {
        if is_good == self.is_up {
            self.against = 0;
            return None;
        }
        self.against += 1;
        let needed = if self.is_up { self.fall } else { self.rise };
        if self.against < needed {
            return None;
        }
        (self.is_up, self.against) = (is_good, 0);
        Some(if is_good { Transition::Up } else { Transition::Down })
    }

    /// Whether it is up.
    pub fn is_up(&self) -> bool {
        self.is_up
    }
}

/// From the end of a check to the next one, so that the checks of many endpoints spread out. `random`
/// is any number.
pub fn pause(check: &HealthCheck, random: u64) -> Duration {
    let jitter = check.interval.mul_f64(f64::from(check.jitter_permille.min(1000)) / 1000.0);
    // From 0 to 2.
    let part = (random >> 32) as f64 / f64::from(u32::MAX) * 2.0;
    check.interval.saturating_sub(jitter) + jitter.mul_f64(part)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::health::Probe;

    fn check(rise: u32, fall: u32) -> HealthCheck {
        HealthCheck {
            probe: Probe::Tcp,
            interval: Duration::from_secs(10),
            jitter_permille: 100,
            timeout: Duration::from_secs(2),
            rise,
            fall,
            port: None,
        }
    }

    /// SPEC PX-2.
    #[test]
    fn it_falls_after_some_bad_checks_in_a_row_and_rises_after_some_good_ones() {
        let mut verdict = Verdict::new(&check(2, 3), true);
        let checks = [
            (false, None),
            (false, None),
            (true, None),
            (false, None),
            (false, None),
            (false, Some(Transition::Down)),
            (false, None),
            (true, None),
            (false, None),
            (true, None),
            (true, Some(Transition::Up)),
            (true, None),
        ];
        for (step, (is_good, transition)) in checks.into_iter().enumerate() {
            assert_eq!(verdict.add(is_good), transition, "{step}");
        }
        assert!(verdict.is_up());
    }

    #[test]
    fn one_check_is_enough_where_one_is_asked_for() {
        let mut verdict = Verdict::new(&check(1, 1), true);
        assert_eq!(verdict.add(false), Some(Transition::Down));
        assert_eq!(verdict.add(true), Some(Transition::Up));
        assert_eq!(pause(&check(1, 1), 0), Duration::from_secs(9));
        assert_eq!(pause(&check(1, 1), u64::MAX), Duration::from_secs(11));
    }

    proptest! {
        /// It is up exactly when the latest run that was long enough was a good one.
        #[test]
        fn the_latest_run_that_is_long_enough_decides(
            rise in 1..5_u32,
            fall in 1..5_u32,
            checks in proptest::collection::vec(any::<bool>(), 0..60),
        ) {
            let mut verdict = Verdict::new(&check(rise, fall), true);
            let (mut run, mut expected) = ((true, 0), true);
            for is_good in checks {
                run = if run.0 == is_good { (is_good, run.1 + 1) } else { (is_good, 1) };
                if run.1 >= if is_good { rise } else { fall } {
                    expected = is_good;
                }
                verdict.add(is_good);
                prop_assert_eq!(verdict.is_up(), expected);
            }
        }

        #[test]
        fn a_pause_is_within_the_jitter(random: u64) {
            let pause = pause(&check(1, 1), random);
            prop_assert!(pause >= Duration::from_secs(9) && pause <= Duration::from_secs(11));
        }
    }
}
