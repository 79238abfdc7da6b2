//! A place in flight at an endpoint, for a request or a stream: chosen, waited for where endpoints have
//! a limit, or refused.

use std::net::IpAddr;
use std::sync::Arc;

use crate::config::queue::Limit;
use crate::message::Fields;
use crate::upstream::Members;
use crate::upstream::Pool;
use crate::upstream::UpstreamError;
use crate::upstream::choose::Choice;
use crate::upstream::choose::Tried;
use crate::upstream::lease::InFlight;
use crate::upstream::sticky::Token;

/// What a request or a stream has to say about its endpoint.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish {
    /// For a consistent hash.
    key: u64,
    /// Out of the sticky cookie.
    token: Option<Token>,
}

/// An endpoint, and a place in flight there.
#[derive(Debug)]
pub struct Picked {
    /// Its place among the members.
    pub place: usize,
    /// Given back when it is dropped.
    pub in_flight: InFlight,
}

impl Members {
    /// What is asked for by a request with these fields, or by a stream, which has none.
    pub(super) fn wish(&self, fields: Option<&Fields>, client: IpAddr) -> Wish {
        let key = self.key.as_ref().map_or(0, |key| key.key(fields, client));
        let token = self.sticky.as_ref().and_then(|sticky| sticky.read(fields?));
        Wish { key, token }
    }

    /// Tells the client who answered, where the pool is sticky and the client does not know.
    pub(super) fn mark(&self, wish: &Wish, place: usize, fields: &mut Fields) {
        if let Some(sticky) = &self.sticky {
            sticky.mark(wish.token, place, fields);
        }
    }

    /// An endpoint with a place in flight, if there is one now.
    pub(super) fn try_pick(&self, wish: &Wish, tried: &Tried) -> Result<Picked, Choice> {
        if let Some(picked) = self.stuck_to(wish, tried) {
            return Ok(picked);
        }
        loop {
            match self.chooser.choose(wish.key, tried) {
                Choice::Place(place) => {
                    // Another worker may just have taken the last place.
                    if let Some(in_flight) = InFlight::begin(&self.endpoints[place]) {
                        return Ok(Picked { place, in_flight });
                    }
                }
                none => return Err(none),
            }
        }
    }

    /// Whether there is somebody for a further attempt; nothing is taken yet.
    pub(super) fn has_another(&self, wish: &Wish, tried: &Tried) -> bool {
        matches!(self.chooser.choose(wish.key, tried), Choice::Place(_))
    }

    /// The endpoint of the client's cookie, if it is up; it may be drained. One that is full does not
    /// keep its clients waiting while others are free.
    fn stuck_to(&self, wish: &Wish, tried: &Tried) -> Option<Picked> {
        let place = self.sticky.as_ref()?.place(&wish.token?)?;
        let endpoint = &self.endpoints[place];
        let standing = &endpoint.standing;
        if tried.has(place) || standing.is_down() || standing.is_left_out() {
            return None;
        }
        Some(Picked { place, in_flight: InFlight::begin(endpoint)? })
    }

    fn has_room(&self) -> bool {
        let mut standings = self.chooser.standings().iter();
        standings.any(|standing| standing.is_available() && standing.has_room())
    }

    /// There is nobody to ask.
    fn nobody(&self) -> UpstreamError {
        let is_down = self.endpoints.iter().any(|endpoint| endpoint.standing.is_down());
        match &self.config.health {
            Some(check) if is_down => {
                UpstreamError::AllDown(check.interval.saturating_mul(check.rise.max(1)))
            }
            _ => UpstreamError::NoEndpoint,
        }
    }
}

impl Pool {
    /// An endpoint for a first attempt. Where all are full, waits for a place, and then the members may
    /// be others.
    pub(super) async fn pick(
        &self,
        members: &mut Arc<Members>,
        wish: &Wish,
    ) -> Result<Picked, UpstreamError> {
        let limit = members.config.limit;
        if limit.is_none() || self.queue.is_empty() {
            match members.try_pick(wish, &Tried::default()) {
                Ok(picked) => return Ok(picked),
                Err(Choice::Full) => {}
                Err(Choice::Nobody | Choice::Place(_)) => return Err(self.refuse(members.nobody())),
            }
        }
        // Without a limit nobody is full.
        let Some(limit) = limit else { return Err(self.refuse(UpstreamError::NoEndpoint)) };
        // Boxed: rare among requests.
        Box::pin(self.wait(limit, members, wish)).await.map_err(|error| self.refuse(error))
    }

    async fn wait(
        &self,
        limit: Limit,
        members: &mut Arc<Members>,
        wish: &Wish,
    ) -> Result<Picked, UpstreamError> {
        let entered = self.queue.enter(limit.queue, &self.metrics);
        let waiting = entered.ok_or(UpstreamError::QueueFull)?;
        let picking = self.pick_in_turn(waiting.is_first, members, wish);
        let picked = tokio::time::timeout(limit.queue_timeout, picking).await;
        drop(waiting);
        let picked = picked.unwrap_or(Err(UpstreamError::QueueTimeout(limit.queue_timeout)))?;
        // Several places may have become free at once, and only one was told: pass it on.
        if !self.queue.is_empty() && members.has_room() {
            self.circle.vacated();
        }
        Ok(picked)
    }

    /// Whoever is told first tries first. What is given back from here on is heard of: a place that was
    /// given back before has left word for the next one who listens.
    async fn pick_in_turn(
        &self,
        is_first: bool,
        members: &mut Arc<Members>,
        wish: &Wish,
    ) -> Result<Picked, UpstreamError> {
        let mut may_try = is_first;
        loop {
            let mut vacancy = std::pin::pin!(self.circle.vacancy().notified());
            may_try |= vacancy.as_mut().enable();
            if may_try {
                // A reload may have brought other endpoints.
                *members = self.members.snapshot();
                match members.try_pick(wish, &Tried::default()) {
                    Ok(picked) => return Ok(picked),
                    Err(Choice::Nobody) => return Err(members.nobody()),
                    Err(Choice::Full | Choice::Place(_)) => {}
                }
            }
            vacancy.await;
            may_try = true;
        }
    }

    fn refuse(&self, error: UpstreamError) -> UpstreamError {
        self.metrics.rejected(error.reason());
        error
    }
}
