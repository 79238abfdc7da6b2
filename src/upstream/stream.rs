//! A connection of its own for a stream whose bytes are relayed.

use std::sync::Arc;
use std::time::Instant;

use crate::upstream::Pool;
use crate::upstream::Source;
use crate::upstream::Trace;
use crate::upstream::UpstreamError;
use crate::upstream::choose::Tried;
use crate::upstream::lease::InFlight;
use crate::upstream::pick::Picked;

pub use crate::upstream::stream_io::StreamIo;

/// An open connection to an endpoint; it counts as in flight there for as long as it lives.
#[derive(Debug)]
pub struct Stream {
    /// The bytes.
    pub io: StreamIo,
    _in_flight: InFlight,
}

impl Pool {
    /// Chooses an endpoint and connects to it; another one is tried if that fails, at most `retries`
    /// times.
    ///
    /// # Errors
    ///
    /// The last attempt's.
    pub async fn open_stream(
        &self,
        source: Source<'_>,
        trace: &mut Trace,
    ) -> Result<Stream, UpstreamError> {
        self.budget.mine().asked();
        let mut members = self.members.snapshot();
        let wish = members.wish(None, source.client.ip());
        let mut tried = Tried::default();
        let mut picked = self.pick(&mut members, &wish).await?;
        loop {
            let Picked { place, in_flight } = picked;
            let endpoint = &members.endpoints[place];
            trace.endpoint = Some(Arc::clone(endpoint));
            let started = Instant::now();
            let connected = endpoint.connect_stream(&source).await;
            trace.connect = Some(started.elapsed());
            let error = match connected {
                Ok(io) => {
                    endpoint.standing.succeeded();
                    return Ok(Stream { io, _in_flight: in_flight });
                }
                Err(error) => error,
            };
            drop(in_flight);
            endpoint.blame(&error);
            tried.add(place);
            let Some(another) = self.retry(&members, &wish, &tried, trace) else {
                return Err(error);
            };
            picked = another;
        }
    }
}
