//! A kept connection of either protocol: one request for 1 KiB at a time.

use anyhow::Result;

use crate::load::counters::Counters;
use crate::load::http1;
use crate::load::http1::After;
use crate::load::http2;
use crate::load::target::Protocol;
use crate::load::target::Target;
use crate::origin;

/// A connection that has been established.
pub struct Connection {
    wire: Wire,
    counters: Counters,
}

enum Wire {
    Http1(http1::Connection, http1::Request),
    Http2(http2::Connection),
}

impl Connection {
    /// Connects with the protocol of the target.
    pub async fn open(target: &Target) -> Result<Self> {
        let stream = target.connect().await?;
        let wire = match target.protocol {
            Protocol::Http1 => Wire::Http1(
                http1::Connection::new(stream),
                http1::Request::get(&target.domain, origin::SMALL),
            ),
            Protocol::Http2 => {
                Wire::Http2(http2::Connection::new(stream, &target.domain, origin::SMALL)?)
            }
        };
        Ok(Self { wire, counters: Counters::default() })
    }

    /// A request and its answer; anything but a complete 200 is an error.
    pub async fn exchange(&mut self) -> Result<After> {
        match &mut self.wire {
            Wire::Http1(connection, request) => connection.exchange(request, &self.counters).await,
            Wire::Http2(connection) => {
                let answered = self.counters.totals().units;
                connection.fill(1).await?;
                while connection.open_streams() > 0 {
                    connection.advance(&self.counters).await?;
                }
                anyhow::ensure!(self.counters.totals().units > answered, "the stream was refused");
                Ok(if connection.is_leaving() { After::Close } else { After::KeepAlive })
            }
        }
    }

    /// Frees what it needs only while it is used: thousands stay idle.
    pub fn rest(&mut self) {
        if let Wire::Http2(connection) = &mut self.wire {
            connection.rest();
        }
    }
}
