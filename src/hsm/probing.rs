//! How many signatures a token makes: signs as fast as it can, with as many sessions as the proxy would have.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use crate::config::hsm::Hsm;
use crate::config::hsm::Member;
use crate::hsm::ask;
use crate::hsm::connection::Connection;
use crate::hsm::key::TokenKey;
use crate::hsm::trouble::Trouble;

/// How fast a key signs at a member.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// All sessions together.
    pub per_second: f64,
    /// What half of the signatures took, or less.
    pub p50: Duration,
    /// What 99 of 100 took, or less.
    pub p99: Duration,
}

/// Opens the sessions of a member, as many as configured.
///
/// # Errors
/// What keeps one of them from that.
pub fn open(hsm: &Hsm, member: &Member) -> Result<Vec<Connection>, Trouble> {
    (0..hsm.sessions).map(|_| Connection::open(member, hsm.world_readable)).collect()
}

/// Has a key prove itself in each session and then sign for so long. Gives back the sessions that are good.
pub fn measure(
    sessions: Vec<Connection>,
    key: &Arc<TokenKey>,
    duration: Duration,
) -> (Vec<Connection>, Result<Rate, Trouble>) {
    let within = duration + ask::WITHIN;
    let begin = |mut session: Connection| {
        let key = Arc::clone(key);
        ask::begin(move || {
            let signed = sign_for(&mut session, &key, duration);
            Ok((session, signed))
        })
    };
    let begun: Vec<_> = sessions.into_iter().map(begin).collect();
    let deadline = Instant::now() + within;
    let mut kept = Vec::new();
    let mut taken = Vec::new();
    let mut per_second = 0.0;
    let mut trouble = None;
    for answer in begun {
        match ask::wait(answer, deadline) {
            Ok((session, Ok(Signed { each, took }))) => {
                per_second += each.len() as f64 / took.as_secs_f64();
                taken.extend(each);
                kept.push(session);
            }
            Ok((session, Err(error))) => {
                kept.push(session);
                trouble = trouble.or(Some(error));
            }
            Err(error) => trouble = trouble.or(Some(error)),
        }
    }
    taken.sort_unstable();
    let [p50, p99] = [50, 99].map(|percent| percentile(&taken, percent));
    let rate = trouble.map_or(Ok(Rate { per_second, p50, p99 }), Err);
    (kept, rate)
}

/// What one session has done.
struct Signed {
    each: Vec<Duration>,
    took: Duration,
}

fn sign_for(
    session: &mut Connection,
    key: &TokenKey,
    duration: Duration,
) -> Result<Signed, Trouble> {
    session.prove(key)?;
    let scheme = session.scheme_of(key.algorithm)?;
    let started = Instant::now();
    let mut each = Vec::new();
    while each.is_empty() || started.elapsed() < duration {
        let begun = Instant::now();
        session.sign(key, scheme, &each.len().to_be_bytes())?;
        each.push(begun.elapsed());
    }
    Ok(Signed { each, took: started.elapsed() })
}

/// The nearest rank of what is sorted; zero of nothing.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_seen() {
        let millis = |range: std::ops::RangeInclusive<u64>| range.map(Duration::from_millis);
        let hundred: Vec<_> = millis(1..=100).collect();
        assert_eq!(percentile(&hundred, 50), Duration::from_millis(50));
        assert_eq!(percentile(&hundred, 99), Duration::from_millis(99));
        let three: Vec<_> = millis(1..=3).collect();
        assert_eq!(percentile(&three, 50), Duration::from_millis(2));
        assert_eq!(percentile(&three, 99), Duration::from_millis(3));
        assert_eq!(percentile(&[], 99), Duration::ZERO);
    }
}
