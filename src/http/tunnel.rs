//! An exchange that has become a tunnel: it lives, is counted and gets its line as long as bytes pass.
//!
//! A reload does not end a tunnel, as its client would have to begin anew what it cannot resume; the end
//! of the drain does.

use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;

use crate::http::client_side::ClientSide;
use crate::http::exchange::Exchange;
use crate::relay::side::Side;
use crate::relay::ways::Ending;
use crate::relay::ways::Party;
use crate::relay::ways::Patience;
use crate::relay::ways::Ways;
use crate::upstream::Switch;

/// Both have agreed to switch protocols; the client's side follows.
#[derive(Debug)]
pub struct Switched {
    switch: Switch,
    exchange: Box<Exchange>,
}

/// What is written however the tunnel ends: also when it is dropped, because the drain is over.
struct Account {
    ways: Ways,
    exchange: Box<Exchange>,
    /// One stable word for the log line.
    end: &'static str,
}

impl Switched {
    /// The exchange of a response that switches protocols.
    pub fn new(switch: Switch, exchange: Box<Exchange>) -> Self {
        Self { switch, exchange }
    }

    /// Relays until the end. `first` is what the client has said already.
    pub async fn relay<C>(self, io: C, first: Bytes, client: &ClientSide)
    where
        C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let ways = Ways::starting_with(first);
        let mut account = Account { ways, exchange: self.exchange, end: "drained" };
        let mut client_io = Side::Other(Box::new(io));
        let mut upstream = Side::Other(Box::new(self.switch.open()));
        let settings = client.settings();
        let patience = Patience {
            idle: account.exchange.service().tunnel_idle(settings),
            unread: settings.timeouts.response_write,
        };
        let ending = account.ways.run(&mut client_io, &mut upstream, patience, |_, _| {}).await;
        account.end = word(&ending);
        if matches!(ending, Ending::Idle) {
            // Farewells are not waited for: nobody has listened for long.
            let farewell = std::pin::pin!(client_io.shutdown());
            drop(tokio::time::timeout(Duration::ZERO, farewell).await);
        }
    }
}

fn word(ending: &Ending) -> &'static str {
    match ending {
        Ending::Broken(Party::Client, _) => "client_failed",
        Ending::Broken(Party::Upstream, _) => "upstream_failed",
        Ending::Finished(Party::Client) => "client_closed",
        Ending::Finished(Party::Upstream) => "upstream_closed",
        Ending::Idle => "tunnel_idle",
        Ending::Unread => "client_write_timeout",
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.exchange.tunnelled(self.ways.received(), self.ways.sent(), self.end);
    }
}
