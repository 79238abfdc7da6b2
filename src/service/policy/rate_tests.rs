//! Rate limits against the rule that they keep: never more, and never less.

use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;
use crate::config::rate_limit::Counted;
use crate::config::rate_limit::RateLimit;

const SECOND: u64 = 1_000_000_000;

fn config(amount: u32, period: u64, burst: u32, per: Per) -> RateLimit {
    let period = Duration::from_secs(period);
    RateLimit { counts: Counted::Requests, per, amount, period, burst }
}

fn client(number: u32) -> IpAddr {
    Ipv4Addr::from(number).into()
}

#[test]
fn a_burst_passes_at_once_and_then_the_rate() {
    for per in [Per::Client, Per::Service] {
        let limit = Limit::new(&config(10, 1, 5, per));
        for _ in 0..5 {
            assert_eq!(limit.take_at(client(1), 0), Ok(()));
        }
        assert_eq!(limit.take_at(client(1), 0), Err(Over(Duration::from_millis(100))));
        assert_eq!(limit.take_at(client(1), SECOND / 10 - 1), Err(Over(Duration::from_nanos(1))));
        assert_eq!(limit.take_at(client(1), SECOND / 10), Ok(()));
        assert!(limit.take_at(client(1), SECOND / 10).is_err());
    }
}

#[test]
fn clients_have_counts_of_their_own_and_a_service_has_one() {
    let each = Limit::new(&config(1, 1, 1, Per::Client));
    let all = Limit::new(&config(1, 1, 1, Per::Service));
    for limit in [&each, &all] {
        assert_eq!(limit.take_at(client(1), 0), Ok(()));
        assert!(limit.take_at(client(1), 0).is_err());
    }
    assert!(each.take_at(client(2), 0).is_ok());
    assert!(all.take_at(client(2), 0).is_err());
}

#[test]
fn an_ipv6_client_is_its_network_and_a_mapped_one_its_ipv4_address() {
    let limit = Limit::new(&config(1, 1, 1, Per::Client));
    let take = |text: &str| limit.take_at(text.parse().expect("an address"), 0).is_ok();
    assert!(take("2001:db8:0:1::1"));
    assert!(!take("2001:db8:0:1:ffff::2"), "the same /64");
    assert!(take("2001:db8:0:2::1"));
    assert!(take("192.0.2.1"));
    assert!(!take("::ffff:192.0.2.1"));
}

#[test]
fn the_time_to_wait_is_rounded_up() {
    let seconds = |millis| Over(Duration::from_millis(millis)).seconds();
    assert_eq!([0, 1, 999, 1000, 1001, 59_001].map(seconds), [1, 1, 1, 1, 2, 60]);
}

/// 64 places for 1,000 clients: those who were idle give way, and whoever comes is served.
#[test]
fn a_full_table_forgets_the_stalest_and_refuses_nobody_for_it() {
    let limit = Limit::with_sets(&config(1, 1, 3, Per::Client), 8);
    for number in 0..1_000 {
        let now = u64::from(number);
        assert_eq!(limit.take_at(client(number), now), Ok(()), "{number}");
    }
    // Of one that is kept the count is exact.
    let last = client(999);
    assert_eq!([0; 3].map(|_| limit.take_at(last, 1_000).is_ok()), [true, true, false]);
}

#[test]
fn the_table_has_the_size_that_it_says() {
    assert_eq!(size_of::<Set>() * SETS, 256 << 10);
}

#[test]
fn workers_share_a_limit_exactly() {
    for per in [Per::Client, Per::Service] {
        let limit = Limit::new(&config(1, 3600, 1_000, per));
        let passed: usize = std::thread::scope(|scope| {
            let count = || (0..500).filter(|_| limit.take_at(client(7), 0).is_ok()).count();
            let workers: Vec<_> = (0..4).map(|_| scope.spawn(count)).collect();
            workers.into_iter().map(|worker| worker.join().expect("counted")).sum()
        });
        assert_eq!(passed, 1_000, "{per:?}");
    }
}

proptest! {
    /// In every stretch of time: at most the burst, and one for each interval of it.
    #[test]
    fn never_more_than_the_burst_and_the_rate(
        amount in 1u32..2_000,
        period in prop::sample::select(vec![1u64, 60, 3600]),
        burst in 1u32..50,
        gaps in prop::collection::vec(0u64..(2 * SECOND), 1..300),
        haste in 1u64..10_000,
    ) {
        let limit = Limit::new(&config(amount, period, burst, Per::Client));
        let mut now = 0;
        let mut passed = Vec::new();
        for gap in gaps {
            now += gap / haste;
            if limit.take_at(client(1), now).is_ok() {
                passed.push(now);
            }
        }
        let interval = period * SECOND / u64::from(amount);
        for (from, first) in passed.iter().enumerate() {
            for (to, last) in passed.iter().enumerate().skip(from) {
                let count = (to - from + 1) as u64;
                let most = u64::from(burst) + (last - first) / interval;
                prop_assert!(count <= most, "{count} in {} ns", last - first);
            }
        }
    }

    /// Whoever keeps to the rate is never refused, however its requests are spread over the burst.
    #[test]
    fn never_less_than_the_rate(
        amount in 1u32..2_000,
        period in prop::sample::select(vec![1u64, 60, 3600]),
        burst in 1u32..50,
        waits in prop::collection::vec(0u64..3, 1..300),
    ) {
        let limit = Limit::new(&config(amount, period, burst, Per::Service));
        // One interval of the rate as it was written, rounded up.
        let interval = (period * SECOND).div_ceil(u64::from(amount));
        let (mut now, mut tokens) = (0, u64::from(burst));
        for wait in waits {
            now += wait * interval;
            tokens = (tokens + wait).min(burst.into());
            if tokens > 0 {
                tokens -= 1;
                prop_assert_eq!(limit.take_at(client(1), now), Ok(()));
            }
        }
    }

    /// What a refusal says is true: nothing passes before, and one passes then.
    #[test]
    fn the_time_to_wait_is_the_time_to_wait(amount in 1u32..1_000_000, burst in 1u32..20) {
        let limit = Limit::new(&config(amount, 1, burst, Per::Service));
        while limit.take_at(client(1), 0).is_ok() {}
        let Err(Over(wait)) = limit.take_at(client(1), 0) else { return Ok(()) };
        let wait = u64::try_from(wait.as_nanos()).expect("short");
        prop_assert!(limit.take_at(client(1), wait - 1).is_err());
        prop_assert!(limit.take_at(client(1), wait).is_ok());
    }
}
