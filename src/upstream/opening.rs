//! What a connection begins with, before TLS to the endpoint: a PROXY protocol header, where the pool
//! wants one (SPEC PX-3).

use crate::proxy_protocol;
use crate::proxy_protocol::Ssl;
use crate::proxy_protocol::Tlvs;
use crate::tls::facts::TlsFacts;
use crate::upstream::source::Source;

/// The header for a client's request or stream.
pub fn for_client(source: &Source<'_>) -> Vec<u8> {
    let facts = source.facts;
    let tlvs = Tlvs {
        alpn: facts.and_then(|facts| facts.agreed_alpn).map(|alpn| alpn.as_str().as_bytes()),
        authority: source.server_name.map(|name| name.as_str()),
        ssl: facts.map(ssl),
    };
    let mut header = Vec::with_capacity(ROOM);
    proxy_protocol::write_v2(&mut header, source.client, source.local, &tlvs);
    header
}

/// The header for a connection of our own.
pub fn for_ourselves() -> Vec<u8> {
    let mut header = Vec::new();
    proxy_protocol::write_local(&mut header);
    header
}

fn ssl(facts: &TlsFacts) -> Ssl<'_> {
    let certificate = facts.client_certificate.as_ref();
    Ssl {
        // As OpenSSL writes it, which is what endpoints look for.
        version: if facts.version == "1.2" { "TLSv1.2" } else { "TLSv1.3" },
        cipher: facts.cipher,
        client_certificate: certificate.is_some(),
        common_name: certificate.and_then(|certificate| certificate.common_name.as_deref()),
    }
}

/// For most headers.
const ROOM: usize = 192;
