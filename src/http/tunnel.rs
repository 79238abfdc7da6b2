//! An exchange that has become a tunnel: it lives, is counted and gets its line as long as bytes pass.
//!
//! A reload does not end a tunnel, as its client would have to begin anew what it cannot resume; the end
//! of the drain does.

use bytes::Bytes;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;

use crate::http::client_side::ClientSide;
use crate::http::exchange::Exchange;
use crate::http::relay::End;
use crate::http::relay::Relay;
use crate::upstream::Switch;

/// Both have agreed to switch protocols; the client's side follows.
#[derive(Debug)]
pub struct Switched {
    switch: Switch,
    exchange: Box<Exchange>,
}

/// What is written however the tunnel ends: also when it is dropped, because the drain is over.
struct Account {
    relay: Relay,
    exchange: Box<Exchange>,
    end: End,
}

impl Switched {
    /// The exchange of a response that switches protocols.
    pub fn new(switch: Switch, exchange: Box<Exchange>) -> Self {
        Self { switch, exchange }
    }

    /// Relays until the end. `first` is what the client has said already.
    pub async fn relay<C>(self, mut io: C, first: Bytes, client: &ClientSide)
    where
        C: AsyncRead + AsyncWrite + Unpin,
    {
        let mut account =
            Account { relay: Relay::new(first), exchange: self.exchange, end: End::Drained };
        let Ok(mut upstream) = self.switch.open().await else {
            account.end = End::UpstreamFailed;
            return;
        };
        let idle = client.settings().timeouts.tunnel_idle;
        account.end = account.relay.run(&mut io, &mut upstream, idle).await;
        if account.end == End::Idle {
            // Farewells are not waited for: nobody has listened for long.
            let farewell = std::pin::pin!(io.shutdown());
            drop(tokio::time::timeout(std::time::Duration::ZERO, farewell).await);
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.exchange.tunnelled(self.relay.received(), self.relay.sent(), self.end.reason());
    }
}
