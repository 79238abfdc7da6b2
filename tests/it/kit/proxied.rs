//! The PROXY protocol as a receiver: the header that a connection begins with.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use portcullis::proxy_protocol;
use portcullis::proxy_protocol::Header;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;

/// A PROXY protocol header, and its vectors by their types.
#[derive(Clone, Debug)]
pub(crate) struct Proxied {
    pub(crate) header: Header,
    pub(crate) vectors: BTreeMap<u8, Vec<u8>>,
}

/// Reads as much as belongs to the header, and nothing of what follows.
pub(crate) async fn proxy_header(io: &mut (impl AsyncRead + Unpin)) -> Option<Proxied> {
    let mut bytes = Vec::new();
    loop {
        match proxy_protocol::parse(&bytes).ok()? {
            ControlFlow::Break(header) => {
                let vectors = header.tlvs(&bytes).map(|(kind, value)| (kind, value.to_vec()));
                return Some(Proxied { vectors: vectors.collect(), header });
            }
            ControlFlow::Continue(needed) => {
                let have = bytes.len();
                bytes.resize(needed, 0);
                io.read_exact(&mut bytes[have..]).await.ok()?;
            }
        }
    }
}
