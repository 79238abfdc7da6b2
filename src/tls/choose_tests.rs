//! The rule as a table (SPEC DUAL, VS-5), and what must hold for every client.

use proptest::prelude::*;

use super::*;
use crate::tls::alert::Alert;
use crate::tls::explain;
use crate::tls::reason::Reason;

const NOW: i64 = 1_000_000;
const P256: Algorithm = Algorithm::P256;
const P384: Algorithm = Algorithm::P384;
const RSA: Algorithm = Algorithm::Rsa { bits: 2048 };

const RSA_SUITES: [u16; 2] = [0xc02f, 0xc030];
const EC_SUITES: [u16; 2] = [0xc02b, 0xc02c];
const TLS13_SUITES: [u16; 2] = [0x1301, 0x1302];
const ALL_SCHEMES: [u16; 6] = [0x0403, 0x0503, 0x0804, 0x0805, 0x0401, 0x0501];

fn profile() -> ProfileFacts {
    use CipherSuite as Suite;
    ProfileFacts {
        versions: vec![TlsVersion::Tls12, TlsVersion::Tls13],
        cipher_suites: vec![
            Suite::Tls13Aes128GcmSha256,
            Suite::Tls13Aes256GcmSha384,
            Suite::EcdheEcdsaAes128GcmSha256,
            Suite::EcdheRsaAes128GcmSha256,
            Suite::EcdheEcdsaAes256GcmSha384,
            Suite::EcdheRsaAes256GcmSha384,
        ],
        groups: vec![Group::X25519MlKem768, Group::X25519, Group::Secp256r1, Group::Secp384r1],
        alpn: vec![Alpn::Http2, Alpn::Http1],
        prefer: Preference::Ec,
    }
}

fn candidate(slot: usize, algorithm: Algorithm) -> Candidate {
    Candidate { slot, algorithm, not_before: 0, not_after: 2 * NOW, signs: Signs::Fully }
}

fn expired(slot: usize, algorithm: Algorithm) -> Candidate {
    Candidate { not_after: NOW - 1, ..candidate(slot, algorithm) }
}

fn tls13() -> ClientHello {
    ClientHello {
        versions: vec![0x0304, 0x0303],
        cipher_suites: [TLS13_SUITES, EC_SUITES, RSA_SUITES].concat(),
        signature_schemes: Some(ALL_SCHEMES.to_vec()),
        groups: Some(vec![0x001d, 0x0017, 0x0018]),
        key_shares: Some(vec![0x001d]),
        ..ClientHello::default()
    }
}

fn tls12(suites: &[u16]) -> ClientHello {
    ClientHello {
        versions: vec![0x0303],
        cipher_suites: suites.to_vec(),
        key_shares: None,
        ..tls13()
    }
}

fn schemes(hello: ClientHello, schemes: &[u16]) -> ClientHello {
    ClientHello { signature_schemes: Some(schemes.to_vec()), ..hello }
}

fn groups(hello: ClientHello, groups: &[u16]) -> ClientHello {
    ClientHello { groups: Some(groups.to_vec()), ..hello }
}

/// DUAL, rows 1 to 11; the candidates are an EC certificate (slot 0) and an RSA one (slot 1).
#[test]
fn rows_of_the_table() {
    let both = [EC_SUITES, RSA_SUITES].concat();
    let rsa_first = [RSA_SUITES, EC_SUITES].concat();
    for (row, hello, ec, served, rule) in [
        (1, tls13(), P256, 0, Rule::Preferred),
        (2, schemes(tls13(), &[0x0804, 0x0805, 0x0403]), P256, 0, Rule::Preferred),
        (3, schemes(tls13(), &[0x0804]), P256, 1, Rule::Instead(Unfit::Scheme)),
        (4, schemes(tls13(), &[0x0503, 0x0804]), P256, 1, Rule::Instead(Unfit::Scheme)),
        (5, tls12(&RSA_SUITES), P256, 1, Rule::Instead(Unfit::Suite)),
        (6, tls12(&EC_SUITES), P256, 0, Rule::Preferred),
        (7, tls12(&rsa_first), P256, 0, Rule::Preferred),
        (8, groups(tls12(&both), &[0x001d]), P256, 1, Rule::Instead(Unfit::Curve)),
        (9, groups(tls12(&both), &[0x001d, 0x0017]), P384, 1, Rule::Instead(Unfit::Curve)),
        (10, schemes(tls13(), &[0x0403, 0x0804]), P384, 1, Rule::Instead(Unfit::Scheme)),
        (11, schemes(tls12(&both), &[0x0804, 0x0401]), P256, 1, Rule::Instead(Unfit::Scheme)),
    ] {
        let candidates = [candidate(0, ec), candidate(1, RSA)];
        let chosen = negotiate(&hello, &profile(), &candidates, NOW).unwrap();
        assert_eq!((chosen.certificate, chosen.rule), (served, rule), "row {row}");
        assert!(!chosen.expired, "row {row}");
    }
}

/// DUAL, row 12.
#[test]
fn a_client_that_nothing_fits_is_refused_and_told_why() {
    let only = [candidate(0, P256)];
    for (hello, reason, word) in [
        (schemes(tls13(), &[0x0804]), Reason::NoSharedSignature, "signature scheme"),
        (tls12(&RSA_SUITES), Reason::NoSharedCipher, "no TLS 1.2 suite"),
        (groups(tls12(&EC_SUITES), &[0x001d]), Reason::NoSharedGroup, "curve"),
    ] {
        let refusal = negotiate(&hello, &profile(), &only, NOW).unwrap_err();
        assert_eq!((refusal.reason, refusal.alert), (reason, Alert::HandshakeFailure));
        assert!(refusal.missing.contains("P-256") && refusal.missing.contains(word), "{refusal}");
    }
    let none = negotiate(&tls13(), &profile(), &[], NOW).unwrap_err();
    assert_eq!((none.reason, none.alert), (Reason::NoCertificate, Alert::InternalError));
}

/// DUAL, row 13, and row 14 as far as the rule goes.
#[test]
fn out_of_date_comes_after_in_date_and_before_nothing() {
    let choose = |candidates: &[Candidate]| {
        let chosen = negotiate(&tls13(), &profile(), candidates, NOW).unwrap();
        (chosen.certificate, chosen.expired, chosen.rule)
    };
    assert_eq!(
        choose(&[expired(0, P256), candidate(1, RSA)]),
        (1, false, Rule::Instead(Unfit::OutOfDate))
    );
    assert_eq!(choose(&[expired(0, P256), expired(1, RSA)]), (0, true, Rule::NothingInDate));
    let future = Candidate { not_before: NOW + 1, ..candidate(0, P256) };
    assert_eq!(choose(&[future, candidate(1, RSA)]).0, 1);
    let silent = Candidate { signs: Signs::NotNow, ..candidate(0, P256) };
    assert_eq!(choose(&[silent, candidate(1, RSA)]), (1, false, Rule::Instead(Unfit::CannotSign)));
    let ec_only = ClientHello { signature_schemes: Some(vec![0x0403]), ..tls13() };
    for candidates in [&[silent][..], &[silent, candidate(1, RSA)]] {
        let refusal = negotiate(&ec_only, &profile(), candidates, NOW).unwrap_err();
        assert_eq!((refusal.reason, refusal.alert), (Reason::SigningFailed, Alert::InternalError));
    }
}

#[test]
fn the_preference_can_be_turned_round() {
    let candidates = [candidate(0, P256), candidate(1, RSA), candidate(2, Algorithm::Ed25519)];
    let rsa = ProfileFacts { prefer: Preference::Rsa, ..profile() };
    let chosen = |profile: &ProfileFacts| {
        negotiate(&tls13(), profile, &candidates, NOW).unwrap().certificate
    };
    assert_eq!((chosen(&profile()), chosen(&rsa)), (0, 1));
}

/// VS-5: versions of a narrow and of a wide profile.
#[test]
fn the_version_is_the_highest_of_both() {
    let candidates = [candidate(0, P256)];
    let only = |version| ProfileFacts { versions: vec![version], ..profile() };
    let (wide, new, old) = (profile(), only(TlsVersion::Tls13), only(TlsVersion::Tls12));
    let newest = ClientHello { versions: vec![0x0304], ..tls13() };
    let ancient = explain::client("tls10").unwrap();
    for (hello, profile, version) in [
        (tls13(), &wide, Some(TlsVersion::Tls13)),
        (tls12(&EC_SUITES), &wide, Some(TlsVersion::Tls12)),
        (tls13(), &old, Some(TlsVersion::Tls12)),
        (tls12(&EC_SUITES), &new, None),
        (newest, &old, None),
        (ancient, &wide, None),
    ] {
        match (negotiate(&hello, profile, &candidates, NOW), version) {
            (Ok(chosen), Some(version)) => assert_eq!(chosen.version, version),
            (Err(refusal), None) => {
                assert_eq!(refusal.reason, Reason::NoSharedVersion);
                assert_eq!(refusal.alert, Alert::ProtocolVersion);
            }
            (outcome, expected) => panic!("{outcome:?} instead of {expected:?}"),
        }
    }
}

#[test]
fn groups_follow_the_client_and_suites_follow_us() {
    let candidates = [candidate(0, P256)];
    let chosen = |hello: &ClientHello| negotiate(hello, &profile(), &candidates, NOW).unwrap();
    let mut hello = tls13();
    hello.cipher_suites.reverse();
    assert_eq!(chosen(&hello).cipher_suite, CipherSuite::Tls13Aes128GcmSha256);
    let retry = chosen(&groups(tls13(), &[0x0a0a, 0x0018, 0x001d]));
    assert_eq!((retry.group, retry.needs_hello_retry), (Group::Secp384r1, true));
    let hybrid = groups(tls12(&EC_SUITES), &[0x11ec, 0x0017]);
    assert_eq!(chosen(&hybrid).group, Group::Secp256r1);
}

#[test]
fn missing_extensions_and_protocols_are_named() {
    let refuse =
        |hello: &ClientHello| negotiate(hello, &profile(), &[candidate(0, P256)], NOW).unwrap_err();
    let without = refuse(&ClientHello { signature_schemes: None, ..tls13() });
    assert_eq!(
        (without.reason, without.alert),
        (Reason::NoSharedSignature, Alert::MissingExtension)
    );
    let without = refuse(&ClientHello { key_shares: None, ..tls13() });
    assert_eq!((without.reason, without.alert), (Reason::NoSharedGroup, Alert::MissingExtension));
    let without = refuse(&ClientHello { groups: None, ..tls12(&EC_SUITES) });
    assert_eq!((without.reason, without.alert), (Reason::NoSharedGroup, Alert::HandshakeFailure));
    let foreign = refuse(&groups(tls13(), &[0x001e, 0x0a0a]));
    assert_eq!(foreign.reason, Reason::NoSharedGroup);
    assert!(foreign.missing.contains("x448"), "{foreign}");
    let alpn = refuse(&ClientHello { alpn: vec![b"spdy/3".as_slice().into()], ..tls13() });
    assert_eq!((alpn.reason, alpn.alert), (Reason::NoSharedAlpn, Alert::NoApplicationProtocol));
}

#[test]
fn built_in_clients_get_what_they_are_known_for() {
    let candidates = [candidate(0, P256), candidate(1, RSA)];
    for (name, version, served) in [
        ("chrome", "1.3", 0),
        ("firefox", "1.3", 0),
        ("safari", "1.3", 0),
        ("curl", "1.3", 0),
        ("go", "1.3", 0),
        ("openssl_1_2", "1.2", 0),
        ("java8", "1.2", 0),
        ("android7", "1.2", 0),
        ("rsa_only", "1.3", 1),
    ] {
        let hello = explain::client(name).unwrap();
        let chosen = negotiate(&hello, &profile(), &candidates, NOW).unwrap();
        assert_eq!((chosen.version.as_str(), chosen.certificate), (version, served), "{name}");
    }
}

fn some<T: Clone + std::fmt::Debug + 'static>(all: &[T]) -> impl Strategy<Value = Vec<T>> + use<T> {
    proptest::sample::subsequence(all.to_vec(), 0..=all.len()).prop_shuffle()
}

prop_compose! {
    fn any_hello()(
        versions in some(&[0x0304, 0x0303, 0x0302, 0x0a0a]),
        cipher_suites in some(&[0x1301, 0x1302, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0x002f, 0x2a2a]),
        signature_schemes in proptest::option::weighted(0.95, some(&[0x0403, 0x0503, 0x0804, 0x0401, 0x0807, 0x0201])),
        groups in proptest::option::weighted(0.95, some(&[0x11ec, 0x001d, 0x0017, 0x0018, 0x0019])),
        key_shares in proptest::option::weighted(0.95, some(&[0x11ec, 0x001d, 0x0017])),
    ) -> ClientHello {
        ClientHello { versions, cipher_suites, signature_schemes, groups, key_shares, ..ClientHello::default() }
    }
}

prop_compose! {
    fn any_candidate()(
        algorithm in proptest::sample::select(vec![P256, P384, RSA, Algorithm::Ed25519]),
        not_before in prop_oneof![Just(0), Just(NOW + 1)],
        not_after in prop_oneof![Just(2 * NOW), Just(NOW - 1)],
        signs in prop::sample::select(vec![Signs::Fully, Signs::NotNow]),
    ) -> Candidate {
        Candidate { slot: 0, algorithm, not_before, not_after, signs }
    }
}

/// Eligibility once more, written down straight from the specification.
fn is_eligible(hello: &ClientHello, version: TlsVersion, candidate: &Candidate) -> bool {
    let has =
        |list: &Option<Vec<u16>>, code| list.as_ref().is_some_and(|list| list.contains(&code));
    let suite = |codes: &[u16]| codes.iter().any(|code| hello.cipher_suites.contains(code));
    let (scheme, curve) = match candidate.algorithm {
        Algorithm::P256 => (has(&hello.signature_schemes, 0x0403), Some(0x0017)),
        Algorithm::P384 => (has(&hello.signature_schemes, 0x0503), Some(0x0018)),
        Algorithm::P521 => (has(&hello.signature_schemes, 0x0603), Some(0x0019)),
        Algorithm::Ed25519 => (has(&hello.signature_schemes, 0x0807), None),
        Algorithm::Rsa { .. } => {
            let pkcs1 = version == TlsVersion::Tls12 && has(&hello.signature_schemes, 0x0401);
            (pkcs1 || has(&hello.signature_schemes, 0x0804), None)
        }
    };
    let rest = match version {
        TlsVersion::Tls13 => suite(&TLS13_SUITES),
        TlsVersion::Tls12 if candidate.algorithm.key_type() == KeyType::Rsa => suite(&RSA_SUITES),
        TlsVersion::Tls12 => {
            let curve =
                curve.is_none_or(|curve| hello.groups.is_none() || has(&hello.groups, curve));
            suite(&EC_SUITES) && curve
        }
    };
    scheme && rest && candidate.signs == Signs::Fully
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn an_eligible_certificate_is_served_whenever_there_is_one(
        hello in any_hello(),
        mut candidates in proptest::collection::vec(any_candidate(), 0..4),
    ) {
        for (slot, candidate) in candidates.iter_mut().enumerate() {
            candidate.slot = slot;
        }
        let profile = profile();
        let Some(version) = shared_version(&hello, &profile) else {
            let refusal = negotiate(&hello, &profile, &candidates, NOW).unwrap_err();
            prop_assert_eq!(refusal.reason, Reason::NoSharedVersion);
            return Ok(());
        };
        let eligible: Vec<_> =
            candidates.iter().filter(|candidate| is_eligible(&hello, version, candidate)).collect();
        let in_date = eligible.iter().any(|candidate| candidate.is_in_date(NOW));
        match negotiate(&hello, &profile, &candidates, NOW) {
            Ok(chosen) => {
                let served = &candidates[chosen.certificate];
                prop_assert!(eligible.contains(&served));
                prop_assert_eq!(chosen.expired, !in_date);
                prop_assert_eq!(served.is_in_date(NOW), in_date);
            }
            // The certificate was not at fault: key exchange is left.
            Err(refusal) if !eligible.is_empty() => {
                prop_assert_eq!(refusal.reason, Reason::NoSharedGroup, "{}", refusal);
            }
            Err(refusal) => prop_assert!(!refusal.missing.is_empty()),
        }
    }
}

#[test]
fn a_token_without_pss_serves_rsa_to_tls12_alone() {
    let rsa = Candidate { signs: Signs::Pkcs1Only, ..candidate(0, RSA) };
    let refusal = negotiate(&tls13(), &profile(), &[rsa], NOW).unwrap_err();
    assert_eq!(refusal.reason, Reason::NoSharedSignature);
    assert!(negotiate(&tls12(&RSA_SUITES), &profile(), &[rsa], NOW).is_ok());
    let rsa = Candidate { signs: Signs::PssOnly, ..rsa };
    let only_pkcs1 = schemes(tls12(&RSA_SUITES), &RSA_PKCS1);
    assert!(negotiate(&only_pkcs1, &profile(), &[rsa], NOW).is_err());
    assert!(negotiate(&tls13(), &profile(), &[rsa], NOW).is_ok());
}
