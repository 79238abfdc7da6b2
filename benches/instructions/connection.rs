//! The steps of a connection before its handshake: read the hello, find the service, choose.

use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Arc;

use portcullis::config::tls_profile::TlsProfile;
use portcullis::key::Algorithm;
use portcullis::names::ServerName;
use portcullis::proxy_protocol;
use portcullis::proxy_protocol::Tlvs;
use portcullis::tls::choose::Candidate;
use portcullis::tls::choose::ProfileFacts;
use portcullis::tls::choose::Signs;
use portcullis::tls::choose::negotiate;
use portcullis::tls::hello::ClientHello;
use rustls::ClientConfig;
use rustls::ClientConnection;
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;

use crate::fixture;
use crate::harness::Bench;

pub(crate) fn all(bench: &mut Bench) {
    headers(bench);
    let bytes = client_hello();
    bench.measure("hello: parse", || ClientHello::parse(black_box(&bytes)));
    let hello = ClientHello::parse(&bytes).expect("a hello").expect("all of it");
    tables(bench);
    choice(bench, &hello);
}

/// What a proxy before this one says first.
fn headers(bench: &mut Bench) {
    let (from, to) = (SocketAddr::from(([192, 0, 2, 7], 40_000)), ([192, 0, 2, 1], 443).into());
    let version_1 = b"PROXY TCP4 192.0.2.7 192.0.2.1 40000 443\r\n".to_vec();
    let mut version_2 = Vec::new();
    let tlvs = Tlvs { authority: Some("site0.example.com"), ..Tlvs::default() };
    proxy_protocol::write_v2(&mut version_2, from, to, &tlvs);
    for (name, bytes) in [("1", version_1), ("2", version_2)] {
        bench.measure(&format!("PROXY header: parse version {name}"), || {
            proxy_protocol::parse(black_box(&bytes))
        });
    }
    bench.measure("PROXY header: write version 2", || {
        let mut bytes = Vec::new();
        proxy_protocol::write_v2(&mut bytes, black_box(from), black_box(to), &tlvs);
        bytes
    });
}

fn tables(bench: &mut Bench) {
    for count in [1, 10_000] {
        let domains: Vec<String> =
            (0..count).map(|number| format!("site{number}.example.com")).collect();
        let table = fixture::table(&domains);
        let known = server_name("site0.example.com");
        let unknown = server_name("site0.example.net");
        bench.measure(&format!("table: exact name among {count}"), || {
            black_box(&table).find(Some(black_box(&known))).matched
        });
        bench.measure(&format!("table: unknown name among {count}"), || {
            black_box(&table).find(Some(black_box(&unknown))).matched
        });
    }
    let domains: Vec<String> =
        (0..10_000).map(|number| format!("*.site{number}.example.com")).collect();
    let table = fixture::table(&domains);
    let name = server_name("a.b.site0.example.com");
    bench.measure("table: wildcard two labels up, among 10000", || {
        black_box(&table).find(Some(black_box(&name))).matched
    });
}

fn choice(bench: &mut Bench, hello: &ClientHello) {
    let profile = ProfileFacts::from(&TlsProfile::intermediate());
    let candidate = |slot, algorithm| Candidate {
        slot,
        algorithm,
        not_before: 0,
        not_after: i64::MAX,
        signs: Signs::Fully,
    };
    let both = [candidate(0, Algorithm::P256), candidate(1, Algorithm::Rsa { bits: 2048 })];
    for (name, candidates) in [("one", &both[..1]), ("two", &both)] {
        bench.measure(&format!("choose: certificate out of {name}"), || {
            negotiate(black_box(hello), black_box(&profile), black_box(candidates), 1)
        });
    }
}

fn server_name(name: &str) -> ServerName {
    name.parse().expect("a name")
}

/// What a rustls client with its defaults says first.
fn client_hello() -> Vec<u8> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let name = "site0.example.com".try_into().expect("a name");
    let mut client = ClientConnection::new(Arc::new(config), name).expect("a client");
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).expect("a hello");
    bytes
}
