//! Handshakes that a token signs: every type of key, both versions, two TLS libraries, and all that may
//! come with a handshake.

use std::collections::BTreeSet;

use rustls::CipherSuite;
use rustls::NamedGroup;
use rustls::SignatureScheme;
use serde_json::Value;

use crate::kit::Ca;
use crate::kit::Client;
use crate::kit::FarEnd;
use crate::kit::Issued;
use crate::kit::Leaf;
use crate::kit::Origin;
use crate::kit::Proxy;
use crate::kit::command::installed;
use crate::kit::eventually;
use crate::kit::far_end::exchange;
use crate::kit::openssl::Outcome;
use crate::kit::openssl::s_client;
use crate::kit::proxy::log_line;
use crate::kit::token::FaultModule;
use crate::tokens::token_site::EDGE;
use crate::tokens::token_site::TokenSite;
use crate::tokens::token_site::certificate;
use crate::tokens::token_site::child;
use crate::tokens::token_site::child_with;
use crate::tokens::token_site::group;

/// HSM-1, HSM-2: nothing of the keys is on disk, and openssl believes the signatures.
#[tokio::test]
async fn openssl_verifies_keys_of_each_type_in_both_versions() {
    let Some(house) = House::start().await.filter(|_| installed("openssl")) else { return };
    for (name, issued) in &house.keys {
        for (argument, version) in [("-tls1_3", "TLSv1.3"), ("-tls1_2", "TLSv1.2")] {
            let outcome = house.openssl(name, &[argument]).await;
            assert!(outcome.served(issued), "{name} {version}: {}", outcome.text);
            assert_eq!((&*outcome.verified, &*outcome.version), ("0 (ok)", version), "{name}");
        }
    }
}

/// HSM-2
#[tokio::test]
async fn rustls_verifies_keys_of_each_type_in_both_versions() {
    let Some(house) = House::start().await else { return };
    for (name, issued) in &house.keys {
        for (version, number) in VERSIONS {
            let visit = version(house.client(name)).visit().await.unwrap();
            assert!(visit.facts.served(issued), "{name} {number}");
            assert_eq!((visit.facts.version, &*visit.body), (number, *name));
        }
    }
}

/// HSM-2: whichever scheme of RSA a client wants; in TLS 1.3 it is PSS.
#[tokio::test]
async fn rsa_keys_sign_in_each_scheme() {
    let Some(house) = House::start().await else { return };
    for scheme in [
        SignatureScheme::RSA_PSS_SHA256,
        SignatureScheme::RSA_PSS_SHA384,
        SignatureScheme::RSA_PSS_SHA512,
    ] {
        for (version, number) in VERSIONS {
            let visit = version(house.client("rsa")).schemes(&[scheme]).visit().await;
            assert_eq!(visit.unwrap().body, "rsa", "{scheme:?} {number}");
        }
    }
    for scheme in [
        SignatureScheme::RSA_PKCS1_SHA256,
        SignatureScheme::RSA_PKCS1_SHA384,
        SignatureScheme::RSA_PKCS1_SHA512,
    ] {
        let visit = house.client("rsa").tls12().schemes(&[scheme]).visit().await;
        assert_eq!(visit.unwrap().body, "rsa", "{scheme:?}");
        assert!(house.client("rsa").tls13().schemes(&[scheme]).visit().await.is_err());
    }
}

/// HSM-2: the same, as openssl sees it.
#[tokio::test]
async fn openssl_verifies_each_scheme_of_rsa() {
    let Some(house) = House::start().await.filter(|_| installed("openssl")) else { return };
    for (version, scheme, digest, kind) in [
        ("-tls1_3", "rsa_pss_rsae_sha256", "SHA256", "RSA-PSS"),
        ("-tls1_3", "rsa_pss_rsae_sha384", "SHA384", "RSA-PSS"),
        ("-tls1_3", "rsa_pss_rsae_sha512", "SHA512", "RSA-PSS"),
        ("-tls1_2", "rsa_pss_rsae_sha384", "SHA384", "RSA-PSS"),
        ("-tls1_2", "rsa_pkcs1_sha256", "SHA256", "RSA"),
        ("-tls1_2", "rsa_pkcs1_sha384", "SHA384", "RSA"),
    ] {
        let text = house.openssl("rsa", &[version, "-sigalgs", scheme]).await.text;
        for line in [format!("signing digest: {digest}\n"), format!("signature type: {kind}\n")] {
            assert!(text.contains(&line), "{scheme}: {line}{text}");
        }
    }
}

/// HSM-2: the signature is made in answer to the second hello.
#[tokio::test]
async fn a_client_that_has_to_say_hello_again_is_served() {
    let Some(house) = House::start().await else { return };
    let groups = [NamedGroup::X25519, NamedGroup::secp256r1];
    let visit = house.client("retry").tls13().groups(&groups).visit().await.unwrap();
    assert_eq!((visit.facts.group, &*visit.body), (Some(NamedGroup::secp256r1), "retry"));
    if !installed("openssl") {
        return;
    }
    for (name, groups) in
        [("p384", "X448:P-256"), ("rsa", "X448:X25519"), ("ed25519", "X448:P-256")]
    {
        let outcome = house.openssl(name, &["-tls1_3", "-groups", groups, "-msg"]).await;
        assert_eq!(outcome.verified, "0 (ok)", "{}", outcome.text);
        let hellos = outcome.text.lines().filter(|line| line.ends_with(", ClientHello")).count();
        assert_eq!(hellos, 2, "{name}: {}", outcome.text);
    }
}

/// HSM-2: what comes after the handshake is as after any other.
#[tokio::test]
async fn requests_go_through_to_an_origin() {
    let Some(house) = House::start().await else { return };
    let mut http2 = house.client("web").http2().await;
    assert_eq!(http2.get("/").await.text(), "hello from the origin");
    assert_eq!(http2.post("/echo", "there and back").await.text(), "there and back");
    let mut http1 = house.client("web").tls12().http1().await;
    assert_eq!(http1.get("/").await.text(), "hello from the origin");
    assert_eq!(house.origin.seen().len(), 3);
}

/// HSM-2, TLS-1: while the client looks for its card, the handshake waits on the network.
#[tokio::test]
async fn client_certificates_are_required_as_elsewhere() {
    let Some(house) = House::start().await else { return };
    for (version, number) in VERSIONS {
        let client = version(house.client("card"));
        let refused = client.visit().await.unwrap_err();
        assert!(refused.alert.is_some(), "{number}: {refused:?}");
        let visit = client.identity(&house.card).visit().await.unwrap();
        assert_eq!(visit.body, "card", "{number}");
    }
    let labels = [("virtual_service", "edge"), ("reason", "client_certificate_missing")];
    house.proxy.metric_becomes("portcullis_tls_handshake_failures_total", &labels, 2.0).await;
}

/// HSM-2: only full handshakes cost a signature, and one each.
#[tokio::test]
async fn sessions_are_resumed_without_a_signature() {
    let Some(house) = House::start().await else { return };
    for (version, number) in VERSIONS {
        let client = version(house.client("p256")).resuming();
        assert!(!client.visit().await.unwrap().facts.resumed);
        let (signed, counted) = (house.signatures().await, house.counted().await);
        for _ in 0..4 {
            assert!(client.visit().await.unwrap().facts.resumed, "{number}");
        }
        assert_eq!((house.fault.signatures(), house.counted().await), (signed, counted));
        for _ in 0..4 {
            version(house.client("p256")).visit().await.unwrap();
        }
        assert_eq!(house.fault.signatures(), signed + 4, "{number}");
        assert_eq!(house.counted().await, counted + 4.0, "{number}");
    }
}

/// HSM-1: the token is asked for its own certificate only.
#[tokio::test]
async fn one_service_has_a_key_in_a_token_and_one_on_file() {
    let Some(house) = House::start().await else { return };
    let modern = house.client("both").visit().await.unwrap();
    assert!(modern.facts.served(house.issued("p256")));
    let signed = house.signatures().await;
    let rsa = [CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256];
    let old = house.client("both").tls12().suites(&rsa).visit().await.unwrap();
    assert!(old.facts.served(&house.on_file));
    assert_eq!(house.fault.signatures(), signed);
}

/// HSM-2, VS-11
#[tokio::test]
async fn streams_of_bytes_are_relayed() {
    let Some(house) = House::start().await else { return };
    for (version, number) in VERSIONS {
        let near = version(house.client("bytes")).handshake().await.unwrap();
        assert!(near.facts.served(house.issued("p256")), "{number}");
        let far = house.far.accept().await;
        let (at_near, at_far) =
            tokio::join!(exchange(near.stream, b"there"), exchange(far, b"back"));
        assert_eq!((&*at_near, &*at_far), (&b"back"[..], &b"there"[..]), "{number}");
    }
}

/// HSM-2, VS-9: a line does not show where the key is, but by the name of the certificate.
#[tokio::test]
async fn handshakes_are_logged_and_counted_as_others_are() {
    let Some(house) = House::start().await else { return };
    for (version, _) in VERSIONS {
        version(house.client("p256")).visit().await.unwrap();
        version(house.client("file")).visit().await.unwrap();
    }
    for (_, number) in VERSIONS {
        let line = async |name: &str| {
            let of = format!("{name}.test");
            let is = |line: &Value| {
                line["tls.client.server_name"] == *of && line["tls.protocol.version"] == number
            };
            log_line(&house.site.site, name, is).await
        };
        let (token, file) = (line("p256").await, line("file").await);
        assert_eq!(keys_of(&token), keys_of(&file));
        for key in ["tls.cipher", "tls.curve", "tls.next_protocol", "tls.pfs", "tls.resumed"] {
            assert_eq!(token[key], file[key], "{key}");
        }
        assert_eq!(token["portcullis.certificate"], "p256");
        assert_eq!(token["portcullis.key_type"], "ec");
        let handshake = &token["portcullis.duration_us.handshake"];
        assert!(handshake.as_u64().is_some_and(|took| took > 0), "{token:#}");
        let labels = [
            ("virtual_service", "p256"),
            ("version", number),
            ("key_type", "ec"),
            ("resumed", "false"),
            ("pfs", "true"),
        ];
        house.proxy.metric_becomes("portcullis_tls_handshakes_total", &labels, 1.0).await;
    }
    let active = [("hsm", "prod")];
    house.proxy.metric_becomes("portcullis_hsm_handshakes_active", &active, 0.0).await;
}

fn keys_of(line: &Value) -> BTreeSet<&String> {
    line.as_object().expect("a line").keys().collect()
}

type Narrowed = fn(Client) -> Client;

const VERSIONS: [(Narrowed, &str); 2] = [(Client::tls12, "1.2"), (Client::tls13, "1.3")];

/// A child for each type of key, and some that use the P-256 key for more than a greeting. `both` has an RSA
/// key on file too, `file` has that alone.
struct House {
    /// By the names of their children and certificates.
    keys: Vec<(&'static str, Issued)>,
    on_file: Issued,
    card: Issued,
    origin: Origin,
    far: FarEnd,
    fault: FaultModule,
    proxy: Proxy,
    site: TokenSite,
}

impl House {
    async fn start() -> Option<Self> {
        let site = TokenSite::new()?;
        let token = site.softhsm.token("a").await;
        let fault = FaultModule::before(&site.softhsm);
        // One session, which has seen each key after one handshake; and nobody asks without need.
        let quiet = "sessions = 1\nprobe_interval = \"5m\"";
        let mut toml = format!(
            "{EDGE}{TABLES}{}",
            group("prod", &fault.module.path, "{ token = \"a\" }", quiet)
        );
        let mut keys = Vec::new();
        for (name, leaf) in [
            ("p256", Leaf::p256("p256.test")),
            ("p384", Leaf::p384("p384.test")),
            ("rsa", Leaf::rsa("rsa.test")),
            ("ed25519", Leaf::ed25519("ed25519.test")),
        ] {
            keys.push((name, site.issue(name, &leaf, &[&token]).await));
            toml.push_str(&certificate(name, "prod"));
            toml.push_str(&child(name, &[name]));
        }
        let members = Ca::root("Members");
        let card = members.issue(&Leaf::p256("ada"));
        let on_file = Ca::shared().issue(&Leaf::rsa("both.test"));
        site.site.certificate("file_rsa", &on_file);
        site.site.certificate("file_ec", &Ca::shared().issue(&Leaf::p256("file.test")));
        site.site.write("members.pem", members.pem());
        site.site.write("root.pem", Ca::shared().pem());
        let origin = Origin::saying("hello from the origin").await;
        let far = FarEnd::start().await;
        toml.push_str(&child("both", &["p256", "file_rsa"]));
        toml.push_str(&child("file", &["file_ec"]));
        for (name, keys) in [
            ("web", "pool = \"web\""),
            ("bytes", "mode = \"tcp\"\npool = \"far\""),
            ("card", "tls_profile = \"card\"\nno_pool = { status = 200, body = \"card\" }"),
            ("retry", "tls_profile = \"nist\"\nno_pool = { status = 200, body = \"retry\" }"),
        ] {
            toml.push_str(&child_with(name, &["p256"], keys));
        }
        for (name, endpoint) in [("web", origin.endpoint()), ("far", far.endpoint())] {
            toml.push_str(&format!("[pool.{name}]\nendpoints = [\"{endpoint}\"]\n"));
        }
        let proxy = Proxy::start(&site.site, &toml).await;
        Some(Self { keys, on_file, card, origin, far, fault, proxy, site })
    }

    fn client(&self, name: &str) -> Client {
        self.proxy.client(&format!("{name}.test"))
    }

    fn issued(&self, name: &str) -> &Issued {
        let found = self.keys.iter().find(|(other, _)| *other == name);
        &found.expect("a key of the house").1
    }

    /// openssl, which believes nothing that it has not verified.
    async fn openssl(&self, name: &str, arguments: &[&str]) -> Outcome {
        let ca = self.site.site.path("root.pem").display().to_string();
        let name = format!("{name}.test");
        let mut all = vec!["-CAfile", &*ca, "-verify_return_error", "-verify_hostname", &*name];
        all.extend(arguments);
        s_client(self.proxy.address("edge"), &name, &all).await
    }

    /// The signatures that the token has made, once those of the start are over: three handshakes cost three.
    async fn signatures(&self) -> u64 {
        eventually("a token that signs for handshakes only", async || {
            let before = self.fault.signatures();
            for _ in 0..3 {
                self.client("p256").visit().await.unwrap();
            }
            Some(self.fault.signatures()).filter(|after| *after == before + 3)
        })
        .await
    }

    /// The signatures of the group, as it counts them itself.
    async fn counted(&self) -> f64 {
        let labels = [("hsm", "prod"), ("member", "a")];
        self.proxy.metric("portcullis_hsm_sign_duration_seconds_count", &labels).await
    }
}

const TABLES: &str = r#"
[tls_profile.card]
client_certificate = { mode = "require", ca = "members.pem" }
[tls_profile.nist]
groups = ["P-256", "P-384"]
"#;
