//! What is asked of a group, and the answer that somebody waits for.

use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Instant;

use rustls::SignatureScheme;
use thiserror::Error;

use crate::hsm::board::Members;
use crate::hsm::key::TokenKey;
use crate::hsm::trouble::Trouble;

/// A signature or a proof. Several members may work on it; the first answer counts.
#[derive(Debug)]
pub struct Request {
    /// Tells requests apart.
    pub id: u64,
    /// The key.
    pub key: Arc<TokenKey>,
    /// What is to be done with it.
    pub task: Task,
    /// Nobody waits any longer than this.
    pub deadline: Instant,
    /// When it was asked.
    pub asked: Instant,
    /// Members that have failed at it.
    tried: AtomicU64,
    /// Written by a session's thread, awaited by the lane's or the control plane's.
    answer: Mutex<Option<Answer>>,
    came: Condvar,
}

/// What came of it: a signature, or nothing for a proof.
pub type Answer = Result<Vec<u8>, SignError>;

/// What is to be done with a key.
#[derive(Debug)]
pub enum Task {
    /// Look for it anew and have it prove itself.
    Prove,
    /// Sign a message.
    Sign {
        /// How.
        scheme: SignatureScheme,
        /// What.
        message: Vec<u8>,
    },
}

/// Why there is no signature.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[expect(missing_docs, reason = "the message of each variant says it")]
pub enum SignError {
    #[error("the group {hsm} was closed")]
    Closed { hsm: String },
    #[error("no token of the group {hsm} made the signature: {trouble}")]
    Failed { hsm: String, trouble: Trouble },
    #[error("no token of the group {hsm} made the signature in time")]
    Late { hsm: String },
    #[error("no token of the group {hsm} is up that has the key")]
    NoMember { hsm: String },
    #[error("the key went to the group {hsm} in the middle of this handshake")]
    NotOnLane { hsm: String },
    #[error("too many handshakes wait for the group {hsm}")]
    QueueFull { hsm: String },
}

impl Request {
    /// Asks for something from now until the deadline.
    pub fn new(key: Arc<TokenKey>, task: Task, deadline: Instant) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Arc::new(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            key,
            task,
            deadline,
            asked: Instant::now(),
            tried: AtomicU64::new(0),
            answer: Mutex::new(None),
            came: Condvar::new(),
        })
    }

    /// Answers it, unless somebody has.
    pub fn answer(&self, answer: Answer) {
        self.lock().get_or_insert(answer);
        self.came.notify_all();
    }

    /// Whether nobody waits any more.
    pub fn is_over(&self, now: Instant) -> bool {
        now >= self.deadline || self.lock().is_some()
    }

    /// Waits for the answer, but no longer than this.
    pub fn wait_until(&self, moment: Instant) -> Option<Answer> {
        let mut answer = self.lock();
        while answer.is_none() {
            let left = moment.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            let waited = self.came.wait_timeout(answer, left);
            answer = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        answer.clone()
    }

    /// The members that have failed at it, this one included from now on.
    pub fn tried(&self, member: usize) -> Members {
        let one = Members::default().with(member).bits();
        Members::from_bits(self.tried.fetch_or(one, Ordering::Relaxed) | one)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Answer>> {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::config::pkcs11_uri::KeySelector;
    use crate::key::Algorithm;

    fn request(within: Duration) -> Arc<Request> {
        let key = TokenKey::new(KeySelector::default(), Algorithm::P256, &[], &[]);
        Request::new(Arc::new(key), Task::Prove, Instant::now() + within)
    }

    #[test]
    fn the_first_answer_counts() {
        let request = request(Duration::from_secs(60));
        thread::scope(|scope| {
            let waiting = scope.spawn(|| request.wait_until(request.deadline));
            request.answer(Ok(vec![1]));
            request.answer(Ok(vec![2]));
            assert_eq!(waiting.join().unwrap(), Some(Ok(vec![1])));
        });
        assert!(request.is_over(Instant::now()));
    }

    #[test]
    fn nobody_waits_past_the_deadline() {
        let request = request(Duration::ZERO);
        assert_eq!(request.wait_until(request.deadline), None);
        assert!(request.is_over(Instant::now()));
    }

    #[test]
    fn those_who_failed_are_remembered() {
        let request = request(Duration::ZERO);
        assert!(!request.tried(2).has(0));
        assert!(request.tried(0).has(2));
    }
}
