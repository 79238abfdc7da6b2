//! RSA or ECDSA per client: every row of the table, over real handshakes, with two TLS libraries.

mod rows;

use rustls::AlertDescription;

use crate::kit::Ca;
use crate::kit::Client;
use crate::kit::Issued;
use crate::kit::Leaf;
use crate::kit::Proxy;
use crate::kit::Site;
use crate::kit::command::installed;
use crate::kit::openssl::s_client;
use crate::kit::proxy::log_line;

use rows::ROWS;
use rows::Row;
use rows::Served;

/// DUAL, rows 1 to 13, with rustls
#[tokio::test]
async fn every_row_holds_for_rustls_clients() {
    let services = Services::start().await;
    let mut failures = Vec::new();
    for row in ROWS {
        let client = (row.rustls)(services.proxy.client(row.name));
        let got = match client.handshake().await {
            Ok(session) => {
                let leaf = &session.facts.chain[0];
                services.served(row, |issued| *leaf == issued.certificate)
            }
            Err(refused) if refused.alert == Some(AlertDescription::HandshakeFailure) => {
                Ok(Served::HandshakeFailure)
            }
            Err(refused) => Err(refused.error),
        };
        if got != Ok(row.served) {
            failures.push(format!("{row}: expected {:?}, got {got:?}", row.served));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

/// DUAL, rows 1 to 13, with OpenSSL
#[tokio::test]
async fn every_row_holds_for_openssl_clients() {
    if !installed("openssl") {
        return;
    }
    let services = Services::start().await;
    let mut failures = Vec::new();
    for row in ROWS {
        let arguments: Vec<&str> = row.openssl.split_whitespace().collect();
        let outcome = s_client(services.proxy.address("edge"), row.name, &arguments).await;
        let got = match outcome.alert {
            Some(40) => Ok(Served::HandshakeFailure),
            Some(_) => Err(outcome.text.clone()),
            None => services.served(row, |issued| outcome.served(issued)),
        };
        if got != Ok(row.served) {
            failures.push(format!("{row}: expected {:?}, got {got:?}", row.served));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

/// DUAL, row 12
#[tokio::test]
async fn what_was_missing_is_logged_and_counted_on_the_parent() {
    let services = Services::start().await;
    let client = services.proxy.client("ec.test").tls12();
    let rsa_only = client.suites(&[rustls::CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]);
    assert!(rsa_only.handshake().await.is_err());
    let line =
        log_line(&services.site, "the refusal", |line| line["tls.client.server_name"] == "ec.test")
            .await;
    assert_eq!(line["event"], "tls");
    assert_eq!(line["portcullis.virtual_service"], "edge", "failures are the parent's");
    let reason = line["error.type"].as_str().expect("a reason").to_owned();
    assert!(["no_shared_cipher", "no_certificate"].contains(&&*reason), "{line:#}");
    let text = line.to_string();
    assert!(text.contains("ECDHE_RSA"), "what the client offered: {text}");
    let labels = [("virtual_service", "edge"), ("reason", &*reason)];
    services.proxy.metric_becomes("portcullis_tls_handshake_failures_total", &labels, 1.0).await;
}

/// DUAL, row 13
#[tokio::test]
async fn an_expired_certificate_is_passed_over_and_its_status_counted() {
    let services = Services::start().await;
    let session = services.proxy.client("expired.test").handshake().await.unwrap();
    assert_eq!(session.facts.chain[0], services.rsa.certificate);
    let rsa = [("virtual_service", "expired"), ("key_type", "rsa")];
    services.proxy.metric_becomes("portcullis_tls_handshakes_total", &rsa, 1.0).await;
    let expired = [("certificate", "expired_ec"), ("status", "expired")];
    assert_eq!(services.proxy.metric("portcullis_certificate_status", &expired).await, 1.0);
}

/// DUAL: an expired certificate is better than none, and counted.
#[tokio::test]
async fn an_expired_certificate_is_served_rather_than_nothing() {
    let services = Services::start().await;
    for client in
        [services.proxy.client("allexpired.test"), services.proxy.client("allexpired.test").tls12()]
    {
        let session = client.handshake().await.unwrap();
        assert!(session.facts.served(&services.expired_ec));
    }
    let labels = [("virtual_service", "allexpired")];
    let counter = "portcullis_tls_expired_certificate_served_total";
    services.proxy.metric_becomes(counter, &labels, 2.0).await;
}

/// DUAL: `prefer = "rsa"` turns the preference round.
#[tokio::test]
async fn a_profile_may_prefer_rsa() {
    let services = Services::start().await;
    let both: [fn(Client) -> Client; 2] = [Client::tls12, Client::tls13];
    for version in both {
        let session = version(services.proxy.client("rsafirst.test")).handshake().await.unwrap();
        assert_eq!(session.facts.chain[0], services.rsa.certificate);
        let ec_only = version(services.proxy.client("rsafirst.test"))
            .schemes(&[rustls::SignatureScheme::ECDSA_NISTP256_SHA256]);
        let session = ec_only.handshake().await.unwrap();
        assert!(session.facts.served(&services.p256), "EC where the client cannot use RSA");
    }
}

/// CERT-3: leaf and intermediates in order, and the root left to the client.
#[tokio::test]
async fn what_is_served_verifies_against_the_root_alone() {
    if !installed("openssl") {
        return;
    }
    let site = Site::new();
    let root = Ca::root("Some Root");
    let issuing = root.intermediate("Some Intermediate").intermediate("Another Below");
    let issued = issuing.issue(&Leaf::p256("one.test"));
    site.certificate("c", &issued);
    // As some authorities deliver them: the leaf first, the rest in any order, the root as well.
    let mut parts: Vec<&str> =
        issued.chain.split_inclusive("-----END CERTIFICATE-----\n").collect();
    parts[1..].reverse();
    site.write("certs/c.pem", format!("{}{}", parts.concat(), root.pem()));
    site.write("root.pem", root.pem());
    let proxy = Proxy::start(
        &site,
        "[virtual_service.edge]\nlisten = [\"127.0.0.1:0\"]\ncertificates = [\"c\"]\n",
    )
    .await;
    let session = proxy.client("one.test").handshake().await.unwrap();
    assert_eq!(session.facts.chain, issued.chain_der(), "in order, and without the root");
    let ca = site.path("root.pem").display().to_string();
    let verifying = ["-CAfile", &ca, "-verify_return_error", "-verify_hostname", "one.test"];
    let outcome = s_client(proxy.address("edge"), "one.test", &verifying).await;
    assert_eq!(outcome.verified, "0 (ok)", "{}", outcome.text);
    assert_eq!(outcome.version, "TLSv1.3", "{}", outcome.text);
    assert!(outcome.cipher.starts_with("TLS_"), "{}", outcome.text);
}

/// One parent and a child for each set of certificates that the rows need.
struct Services {
    p256: Issued,
    p384: Issued,
    rsa: Issued,
    expired_ec: Issued,
    proxy: Proxy,
    site: Site,
}

impl Services {
    async fn start() -> Self {
        let site = Site::new();
        let ca = Ca::shared();
        let p256 = ca.issue(&Leaf::p256("any.test"));
        let p384 = ca.issue(&Leaf::p384("any.test"));
        let rsa = ca.issue(&Leaf::rsa("any.test"));
        let expired_ec = ca.issue(&Leaf::p256("any.test").expired());
        site.certificate("p256", &p256);
        site.certificate("p384", &p384);
        site.certificate("rsa", &rsa);
        site.certificate("expired_ec", &expired_ec);
        let mut toml = r#"
[virtual_service.edge]
listen = ["127.0.0.1:0"]
certificates = ["p256", "rsa"]

[tls_profile.rsa_first]
prefer = "rsa"
"#
        .to_owned();
        for (child, certificates, profile) in [
            ("p256", r#""p256", "rsa""#, "intermediate"),
            ("p384", r#""rsa", "p384""#, "intermediate"),
            ("ec", r#""p256""#, "intermediate"),
            ("rsa", r#""rsa""#, "intermediate"),
            ("expired", r#""expired_ec", "rsa""#, "intermediate"),
            ("allexpired", r#""expired_ec""#, "intermediate"),
            ("rsafirst", r#""p256", "rsa""#, "rsa_first"),
        ] {
            toml.push_str(&format!(
                "[virtual_service.{child}]\nparent = \"edge\"\ndomains = [\"{child}.test\"]\n\
                 certificates = [{certificates}]\ntls_profile = \"{profile}\"\n\
                 no_pool = {{ status = 200, body = \"{child}\" }}\n"
            ));
        }
        let proxy = Proxy::start(&site, &toml).await;
        Self { p256, p384, rsa, expired_ec, proxy, site }
    }

    /// Which of the certificates that a row may get was served.
    fn served(&self, row: &Row, is: impl Fn(&Issued) -> bool) -> Result<Served, String> {
        let ec = if row.name == "p384.test" { &self.p384 } else { &self.p256 };
        if is(ec) {
            Ok(Served::Ec)
        } else if is(&self.rsa) {
            Ok(Served::Rsa)
        } else if is(&self.expired_ec) {
            Err("the expired certificate".to_owned())
        } else {
            Err("a certificate of somebody else, or none".to_owned())
        }
    }
}
