//! Real handshakes in memory: what was predicted is what rustls does.

use std::sync::Arc;

use proptest::prelude::*;
use rustls::ClientConfig;
use rustls::HandshakeKind;
use rustls::pki_types::ServerName;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio_rustls::TlsConnector;

use crate::certificate::testing::Kind;
use crate::certificate::testing::testing;
use crate::config::tls_profile::Alpn;
use crate::config::tls_profile::Preference;
use crate::config::tls_profile::TlsProfile;
use crate::config::tls_profile::TlsVersion;
use crate::hsm::Groups;
use crate::key::KeyType;
use crate::tls::acceptor::unix_now;
use crate::tls::choose::Unfit;
use crate::tls::profile::Profile;
use crate::tls::read_hello::read_hello;
use crate::tls::reason::Reason;
use crate::tls::testing::Client;
use crate::tls::testing::Seen;
use crate::tls::testing::acceptor;
use crate::tls::testing::profile;
use crate::tls::testing::run;
use crate::tls::testing::shake;

fn check_prediction(seen: &Seen, kinds: &[Kind]) -> Result<(), TestCaseError> {
    match &seen.predicted {
        Ok(predicted) => {
            let facts = match &seen.server {
                Ok(facts) => facts,
                Err(error) => return Err(TestCaseError::fail(format!("{error}"))),
            };
            let client =
                seen.client.as_ref().map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert_eq!(facts.version, predicted.version.as_str());
            prop_assert_eq!(facts.cipher, predicted.cipher_suite.as_str());
            prop_assert_eq!(facts.group, predicted.group.as_str());
            prop_assert_eq!(facts.alpn, predicted.alpn.unwrap_or(Alpn::Http1));
            let retried = client.kind == HandshakeKind::FullWithHelloRetryRequest;
            prop_assert_eq!(retried, predicted.needs_hello_retry);
            let name = format!("{:?}", kinds[predicted.certificate]);
            prop_assert_eq!(facts.certificate.as_str(), name);
        }
        Err(refusal) => {
            prop_assert_eq!(seen.reason(), Some(refusal.reason));
            prop_assert_eq!(seen.alert(), Some(refusal.alert as u8));
        }
    }
    Ok(())
}

#[test]
fn the_preferred_certificate_is_the_one_that_the_client_sees() {
    let kinds = [Kind::P256, Kind::Rsa];
    let acceptor = acceptor(&profile(), &kinds);
    for (client, served) in [
        (Client::default(), KeyType::Ec),
        (Client { schemes: vec![0x0804], ..Client::default() }, KeyType::Rsa),
        (
            Client { versions: vec![TlsVersion::Tls12], groups: vec![0x001d], ..Client::default() },
            KeyType::Rsa,
        ),
        (Client { suites: vec![0xc02f, 0xc02b], ..Client::default() }, KeyType::Ec),
    ] {
        let seen = run(shake(&acceptor, Arc::new(client.config().unwrap())));
        check_prediction(&seen, &kinds).unwrap();
        let facts = seen.server.unwrap();
        assert_eq!(facts.key_type, served);
        let sent = seen.client.unwrap().certificate.unwrap();
        let slot = acceptor.certificates().find(|slot| *slot.name() == facts.certificate).unwrap();
        assert_eq!(sent, slot.material().unwrap().certified.cert[0]);
    }
}

#[test]
fn a_replaced_certificate_is_served_from_the_next_handshake_on() {
    let acceptor = acceptor(&profile(), &[Kind::P256]);
    let config = Arc::new(Client::default().config().unwrap());
    let first = run(shake(&acceptor, Arc::clone(&config))).client.unwrap().certificate;
    let slot = acceptor.certificates().next().unwrap();
    let renewed =
        crate::certificate::Material::load(&testing().files(Kind::P256).config(), &Groups::new())
            .unwrap();
    slot.replace(renewed);
    let config = Arc::new(Client::default().config().unwrap());
    let second = run(shake(&acceptor, config)).client.unwrap().certificate;
    assert_ne!(first, second);
    assert_eq!(second.as_ref(), slot.material().unwrap().certified.cert.first());
}

/// An error that the library finds in the hello also reaches the client.
#[test]
fn an_early_error_of_the_library_is_told_to_the_client() {
    run(async {
        let acceptor = acceptor(&profile(), &[Kind::P256]);
        let (mut server_io, mut client_io) = tokio::io::duplex(4096);
        // Null compression is not offered.
        client_io.write_all(&hello_by_hand(1, 0)).await.unwrap();
        let hello = read_hello(&mut server_io).await.unwrap();
        assert!(acceptor.choose(&hello.offer, unix_now()).map(|chosen| chosen.negotiation).is_ok());
        let client = async {
            let mut answer = Vec::new();
            client_io.read_to_end(&mut answer).await.unwrap();
            drop(client_io);
            answer
        };
        let chosen = acceptor.choose(&hello.offer, unix_now());
        let (outcome, answer) = tokio::join!(acceptor.accept(server_io, &hello, chosen), client);
        assert_eq!(outcome.err().unwrap().reason(), Reason::ProtocolViolation);
        // illegal_parameter
        assert_eq!(answer, [21, 3, 3, 0, 2, 2, 47]);
    });
}

/// What comes right behind the ClientHello is not lost, whether or not the library took it at once.
#[test]
fn bytes_behind_the_hello_are_read() {
    for padding in [0, 5000, 10_000] {
        run(async {
            let acceptor = acceptor(&profile(), &[Kind::P256]);
            // The client sends nothing more, but goes on listening.
            let (server_io, mut client_io) = tokio::io::duplex(64 * 1024);
            client_io.shutdown().await.unwrap();
            let user_canceled = [21, 3, 3, 0, 2, 2, 90];
            let mut hello = read_hello(&mut &hello_by_hand(0, padding)[..]).await.unwrap();
            hello.bytes.extend_from_slice(&user_canceled);
            let chosen = acceptor.choose(&hello.offer, unix_now());
            let error = acceptor.accept(server_io, &hello, chosen).await.err().unwrap();
            assert_eq!(error.reason(), Reason::ClientAlertOther, "{padding}");
        });
    }
}

/// A TLS 1.2 hello with this compression method and this much padding (RFC 7685).
fn hello_by_hand(compression: u8, padding: usize) -> Vec<u8> {
    let mut extensions = Vec::new();
    let zeros = vec![0; padding];
    for (kind, content) in [(10_u16, &[0_u8, 2, 0, 0x17][..]), (13, &[0, 2, 4, 3]), (21, &zeros)] {
        extensions.extend_from_slice(&kind.to_be_bytes());
        extensions.extend_from_slice(&(content.len() as u16).to_be_bytes());
        extensions.extend_from_slice(content);
    }
    let mut body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0xc0, 0x2b, 1, compression]].concat();
    body.extend_from_slice(&(extensions.len() as u16).to_be_bytes());
    body.extend_from_slice(&extensions);
    let mut record = vec![22, 3, 1];
    record.extend_from_slice(&(body.len() as u16 + 4).to_be_bytes());
    record.extend_from_slice(&[1, 0]);
    record.extend_from_slice(&(body.len() as u16).to_be_bytes());
    record.extend_from_slice(&body);
    record
}

fn some<T: Clone + std::fmt::Debug + 'static>(all: &[T]) -> impl Strategy<Value = Vec<T>> + use<T> {
    proptest::sample::subsequence(all.to_vec(), 1..=all.len()).prop_shuffle()
}

prop_compose! {
    fn any_client()(
        versions in some(&[TlsVersion::Tls12, TlsVersion::Tls13]),
        suites in some(&[0x1301, 0x1302, 0x1303, 0xc02b, 0xc02c, 0xcca9, 0xc02f, 0xc030, 0xcca8]),
        groups in some(&[0x11ec, 0x001d, 0x0017, 0x0018]),
        schemes in some(&[0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0807]),
        alpn in prop_oneof![Just(vec![]), some(&["h2", "http/1.1", "spdy/3"])],
    ) -> Client {
        Client { versions, suites, groups, schemes, alpn }
    }
}

prop_compose! {
    fn any_profile()(
        versions in some(&profile().versions),
        cipher_suites in some(&profile().cipher_suites),
        groups in some(&profile().groups),
        alpn in prop_oneof![Just(vec![]), some(&[Alpn::Http1, Alpn::Http2])],
        prefer in prop_oneof![Just(Preference::Ec), Just(Preference::Rsa)],
    ) -> Option<TlsProfile> {
        // As the configuration demands: a suite for each version, and a group.
        let usable = |version: &TlsVersion| {
            cipher_suites.iter().any(|suite| suite.version() == *version)
                && groups.iter().any(|group| group.usable_in(*version))
        };
        let sound = versions.iter().all(usable);
        sound.then(|| TlsProfile { versions, cipher_suites, groups, alpn, prefer, ..profile() })
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_global_rejects: 10_000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_predicted_is_what_happens(
        client in any_client(),
        profile in any_profile().prop_filter_map("unsound", |profile| profile),
        kinds in some(&[Kind::P256, Kind::Rsa, Kind::Ed25519]),
        p384 in any::<bool>(),
    ) {
        let larger = |kind| if p384 && kind == Kind::P256 { Kind::P384 } else { kind };
        let kinds: Vec<_> = kinds.into_iter().map(larger).collect();
        let Some(config) = client.config() else { return Ok(()) };
        let seen = run(shake(&acceptor(&profile, &kinds), Arc::new(config.clone())));
        check_prediction(&seen, &kinds)?;
        // Where we refuse, the library alone would have found nothing either, with any of the certificates.
        // A curve that the client does not offer is the exception: the library does not look at it.
        if let Err(refusal) = &seen.predicted {
            let curve = crate::tls::describe::unfit(Unfit::Curve, TlsVersion::Tls12);
            prop_assume!(!refusal.missing.contains(curve));
            for kind in kinds {
                prop_assert!(!run(plain_rustls(&profile, kind, config.clone())), "{}", refusal);
            }
        }
    }
}

/// Whether rustls without the chooser finishes the handshake.
async fn plain_rustls(profile: &TlsProfile, kind: Kind, client: ClientConfig) -> bool {
    let profile = Profile::compile(profile).unwrap();
    let mut config = profile.base().clone();
    config.cert_resolver = Arc::new(crate::tls::resolver::Slot(testing().slot(kind, -1, 30)));
    let (server_io, client_io) = tokio::io::duplex(64 * 1024);
    let name = ServerName::try_from("shop.example.com").unwrap();
    let server = tokio_rustls::TlsAcceptor::from(Arc::new(config)).accept(server_io);
    let client = TlsConnector::from(Arc::new(client)).connect(name, client_io);
    let (server, client) = tokio::join!(server, client);
    server.is_ok() && client.is_ok()
}

/// Workers may run on any flavour of runtime.
#[test]
fn the_handshake_can_move_between_threads() {
    fn is_send<T: Send>(_: &T) {}
    let acceptor = acceptor(&profile(), &[Kind::P256]);
    let (mut io, _client) = tokio::io::duplex(64);
    is_send(&read_hello(&mut io));
    let hello = crate::tls::read_hello::Hello { offer: Default::default(), bytes: Vec::new() };
    let chosen = acceptor.choose(&hello.offer, unix_now());
    is_send(&acceptor.accept(io, &hello, chosen));
}
