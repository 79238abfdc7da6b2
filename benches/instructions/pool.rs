//! The choice of an endpoint.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use portcullis::config::balance::Balance;
use portcullis::config::balance::HashKey;
use portcullis::config::health::Ejection;
use portcullis::upstream::choose::Chooser;
use portcullis::upstream::choose::Tried;
use portcullis::upstream::circle::Circle;
use portcullis::upstream::hash;
use portcullis::upstream::standing::Rules;
use portcullis::upstream::standing::Standing;

use crate::harness::Bench;

pub(crate) fn all(bench: &mut Bench) {
    for (name, balance, is_even) in [
        ("round robin", Balance::RoundRobin, true),
        ("weighted turns", Balance::RoundRobin, false),
        ("least requests", Balance::LeastRequests, true),
        ("two choices", Balance::TwoChoices, true),
        ("consistent hash", Balance::ConsistentHash(HashKey::ClientAddress), true),
    ] {
        for count in [10, 100] {
            let chooser = chooser(&balance, count, is_even);
            let mut number = 0;
            bench.measure(&format!("pool: {name}, {count} endpoints"), || {
                number += 1;
                black_box(&chooser).choose(hash::mix(number), &Tried::default())
            });
        }
    }
}

/// Every second endpoint has twice the weight where they are not even.
fn chooser(balance: &Balance, count: u32, is_even: bool) -> Chooser {
    let ejection = Ejection { failures: 3, duration: Duration::from_secs(10) };
    let weight = |place: u32| if is_even { 1 } else { 1 + place % 2 };
    let rules =
        |place| Rules { weight: weight(place), ejection, slow_start: Duration::ZERO, limit: None };
    let circle = Circle::new();
    let standings: Vec<Arc<Standing>> =
        (0..count).map(|place| Standing::new(rules(place), &circle)).collect();
    circle.replace(standings.clone());
    let labels: Vec<String> = (0..count).map(|place| format!("10.0.0.{place}:80")).collect();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    Chooser::new(balance, standings, &labels, 1)
}
