//! One timer for all deadlines of a connection, set as rarely as possible.

use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use tokio::time::Sleep;

use crate::http::activity::Activity;

/// A timer that is moved only when a deadline comes nearer. One that moves away, as every request
/// moves the idle deadline, is looked at again when the timer fires: a busy connection touches the
/// timer once in a while, not with each request.
#[derive(Debug, Default)]
pub struct Clock {
    sleep: Option<Pin<Box<Sleep>>>,
    armed: Option<u64>,
}

impl Clock {
    /// Whether the deadline has passed. If not, the task is woken when it may have.
    pub fn is_due(
        &mut self,
        cx: &mut Context<'_>,
        activity: &Activity,
        deadline: Option<u64>,
    ) -> bool {
        loop {
            match (deadline, self.armed) {
                (Some(deadline), None) => self.arm(cx, activity, deadline),
                (Some(deadline), Some(armed)) if deadline < armed => {
                    self.arm(cx, activity, deadline);
                }
                _ => {}
            }
            if self.armed.is_none() || !self.has_fired() {
                return false;
            }
            self.armed = None;
            match deadline {
                Some(deadline) if deadline <= activity.now() => return true,
                Some(_) => {}
                None => return false,
            }
        }
    }

    fn arm(&mut self, cx: &mut Context<'_>, activity: &Activity, deadline: u64) {
        let instant = activity.instant(deadline);
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().reset(instant),
            none => *none = Some(Box::pin(tokio::time::sleep_until(instant))),
        }
        self.armed = Some(deadline);
        if let Some(sleep) = &mut self.sleep {
            // Registers the wake-up, once: a timer asked again with each read would cost more than
            // it is worth. Unconstrained, because a used-up budget would leave it unregistered.
            let _ = std::pin::pin!(tokio::task::unconstrained(sleep.as_mut())).poll(cx);
        }
    }

    fn has_fired(&self) -> bool {
        self.sleep.as_ref().is_some_and(|sleep| sleep.is_elapsed())
    }
}

/// A time limit in the times of a connection; short enough to be added to any of them.
pub fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX / 4)
}
