//! Connections of one worker to one endpoint between two requests. Must not know what is said on them.

use std::task::Context;
use std::task::Waker;
use std::time::Duration;
use std::time::Instant;

use crate::telemetry::pool_metrics::IdleConnection;
use crate::upstream::http1::Connection;

/// The last one used is on top: it is the least likely to have been closed by the endpoint.
#[derive(Debug, Default)]
pub struct Stack {
    idle: Vec<Idle>,
    /// The task that is woken when something happens on one of them.
    watcher: Option<Waker>,
}

#[derive(Debug)]
struct Idle {
    /// `None` when it has been taken.
    connection: Option<Box<Connection>>,
    since: Instant,
    _counted: IdleConnection,
}

impl Stack {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.idle.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.idle.is_empty()
    }

    /// Puts one on top, unless it was closed meanwhile.
    pub fn push(&mut self, mut connection: Box<Connection>, counted: IdleConnection) {
        connection.rest();
        if let Some(watcher) = &self.watcher
            && connection.poll_unusable(&mut Context::from_waker(watcher)).is_ready()
        {
            return connection.close();
        }
        let since = Instant::now();
        self.idle.push(Idle { connection: Some(connection), since, _counted: counted });
    }

    /// The top one that is still of use.
    pub fn pop(&mut self, timeout: Duration) -> Option<Box<Connection>> {
        while let Some(mut idle) = self.idle.pop() {
            if idle.since.elapsed() < timeout && !idle.is_unusable(Waker::noop()) {
                return idle.connection.take();
            }
        }
        None
    }

    /// Closes those that have been here for too long.
    pub fn sweep(&mut self, timeout: Duration) {
        self.idle.retain(|idle| idle.since.elapsed() < timeout);
    }

    /// Drops those that are of no use, and wakes this task when there are more of them.
    pub fn watch(&mut self, watcher: &Waker) {
        match &mut self.watcher {
            Some(waker) => waker.clone_from(watcher),
            none => *none = Some(watcher.clone()),
        }
        self.idle.retain_mut(|idle| !idle.is_unusable(watcher));
    }

    /// Nobody watches them any more.
    pub fn unwatch(&mut self) {
        self.watcher = None;
    }
}

impl Idle {
    fn is_unusable(&mut self, waker: &Waker) -> bool {
        let cx = &mut Context::from_waker(waker);
        self.connection.as_mut().is_none_or(|connection| connection.poll_unusable(cx).is_ready())
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.close();
        }
    }
}
