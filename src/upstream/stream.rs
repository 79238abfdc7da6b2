//! A connection of its own for a stream whose bytes are relayed.

use std::sync::Arc;
use std::time::Instant;

use crate::upstream::Pool;
use crate::upstream::Side;
use crate::upstream::Source;
use crate::upstream::Trace;
use crate::upstream::UpstreamError;
use crate::upstream::choose::Tried;
use crate::upstream::choose::choose;
use crate::upstream::lease::InFlight;

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
        let members = self.members.snapshot();
        let (balance, turn) = (members.balance(), self.turn.mine());
        let mut tried = Tried::default();
        loop {
            let Some(chosen) = choose(&members.endpoints, balance, turn, tried) else {
                return Err(UpstreamError::NoEndpoint);
            };
            let endpoint = &members.endpoints[chosen];
            trace.endpoint = Some(Arc::clone(endpoint));
            let in_flight = InFlight::begin(endpoint);
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
            if error.side() == Side::Upstream {
                endpoint.standing.unreachable();
            }
            tried.add(chosen);
            if trace.retries == members.config.retries {
                return Err(error);
            }
            trace.retries += 1;
            self.metrics.retried();
        }
    }
}
