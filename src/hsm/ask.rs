//! Asks members of a group on threads of their own: whoever hangs in its module keeps nobody else waiting.
//!
//! For what an operator asks, once; threads of sessions have their own ways.

use std::sync::Arc;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use crate::config::hsm::Hsm;
use crate::config::hsm::Member;
use crate::hsm::trouble::Trouble;

/// Asks every member at once; the answers come in the order of the configuration.
pub fn all<T: Send + 'static>(
    hsm: &Arc<Hsm>,
    ask: impl Fn(&Hsm, &Member) -> Result<T, Trouble> + Clone + Send + 'static,
) -> Vec<Result<T, Trouble>> {
    let deadline = Instant::now() + WITHIN;
    let begin = |index: usize| {
        let (hsm, ask) = (Arc::clone(hsm), ask.clone());
        begin(move || ask(&hsm, &hsm.members[index]))
    };
    let begun: Vec<_> = (0..hsm.members.len()).map(begin).collect();
    begun.into_iter().map(|answer| wait(answer, deadline)).collect()
}

/// Asks one; what hangs is left behind.
///
/// # Errors
/// What it says, or [`Trouble::Hangs`].
pub fn one<T: Send + 'static>(
    within: Duration,
    ask: impl FnOnce() -> Result<T, Trouble> + Send + 'static,
) -> Result<T, Trouble> {
    let deadline = Instant::now() + within;
    wait(begin(ask), deadline)
}

/// A question that has been asked.
pub(super) type Begun<T> = Result<Receiver<Result<T, Trouble>>, Trouble>;

/// Asks, and does not wait.
pub(super) fn begin<T: Send + 'static>(
    ask: impl FnOnce() -> Result<T, Trouble> + Send + 'static,
) -> Begun<T> {
    let (answer, receiver) = mpsc::channel();
    let thread = thread::Builder::new().name("hsm-ask".to_owned());
    // Nobody may be there any more to hear it.
    let started = thread.spawn(move || drop(answer.send(ask())));
    started.map(|_| receiver).map_err(|_| Trouble::of_system("no_thread"))
}

/// Waits for the answer, but no longer than this.
pub(super) fn wait<T>(begun: Begun<T>, deadline: Instant) -> Result<T, Trouble> {
    let left = deadline.saturating_duration_since(Instant::now());
    begun?.recv_timeout(left).unwrap_or(Err(Trouble::Hangs))
}

/// As long as a start waits: long for a network, short for whoever waits.
pub const WITHIN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_hangs_is_left_behind() {
        let (sender, never) = mpsc::channel::<()>();
        let hangs = one(Duration::from_millis(1), move || {
            let _ = never.recv();
            Ok(())
        });
        assert_eq!(hangs, Err(Trouble::Hangs));
        assert_eq!(one(WITHIN, || Ok(7)), Ok(7));
        assert_eq!(one::<()>(WITHIN, || Err(Trouble::TokenAbsent)), Err(Trouble::TokenAbsent));
        drop(sender);
    }
}
