//! How long an endpoint may be silent in the middle of a response.

use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;

use tokio::time::Instant;
use tokio::time::Sleep;

/// A limit on each wait. Only waits count: a client that takes nothing is not the endpoint's silence.
#[derive(Debug)]
pub struct Patience {
    limit: Duration,
    waiting_since: Option<Instant>,
    /// Made with the first wait; moved when it fires, and not with each piece.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    /// Nobody waits yet.
    pub fn new(limit: Duration) -> Self {
        Self { limit, waiting_since: None, timer: None }
    }

    /// What each wait may take.
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// Something came.
    pub fn renew(&mut self) {
        self.waiting_since = None;
    }

    /// Nothing came; ready when that has been so for too long.
    pub fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let Some(due) = since.checked_add(self.limit) else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        loop {
            ready!(timer.as_mut().poll(cx));
            if due <= Instant::now() {
                return Poll::Ready(());
            }
            timer.as_mut().reset(due);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_wait_has_the_whole_limit() {
        let limit = Duration::from_secs(10);
        let mut patience = Patience::new(limit);
        for _ in 0..3 {
            let almost = tokio::time::timeout(limit - Duration::from_secs(1), wait(&mut patience));
            assert!(almost.await.is_err());
            patience.renew();
        }
        let began = Instant::now();
        wait(&mut patience).await;
        assert!(began.elapsed() >= limit);
    }

    async fn wait(patience: &mut Patience) {
        std::future::poll_fn(|cx| patience.poll_end(cx)).await;
    }
}
