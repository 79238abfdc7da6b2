//! The fields that tell about the client's certificate: ours alone, whatever a client sends.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::kit::Ca;
use crate::kit::Client;
use crate::kit::Leaf;
use crate::kit::Origin;
use crate::kit::Proxy;
use crate::kit::Site;
use crate::kit::http::empty;
use crate::kit::origin::Seen;

/// SPEC PX-3.
#[tokio::test]
async fn the_endpoint_is_told_who_has_shown_which_certificate() {
    let site = Site::new();
    let members = Ca::root("Members");
    let member = members.issue(&Leaf::p256("ada"));
    site.write("members.pem", members.pem());
    site.certificate("c", &Ca::shared().issue(&Leaf::p256("any.test")));
    let origin = Origin::saying("welcome").await;
    let proxy = Proxy::start(
        &site,
        &format!(
            r#"
[pool.shop]
endpoints = ["{}"]
[tls_profile.members]
client_certificate = {{ mode = "request", ca = "members.pem" }}
[virtual_service.edge]
listen = ["127.0.0.1:0"]
certificates = ["c"]
tls_profile = "members"
[virtual_service.told]
parent = "edge"
domains = ["told.test"]
certificates = ["c"]
client_certificate_headers = true
pool = "shop"
[virtual_service.silent]
parent = "edge"
domains = ["silent.test"]
certificates = ["c"]
pool = "shop"
"#,
            origin.endpoint()
        ),
    )
    .await;

    for client in [Client::tls13, Client::tls12] {
        let told = client(proxy.client("told.test"));
        let seen = ask(&origin, told.clone().identity(&member)).await;
        assert_eq!(seen.header("x-client-cert-verify"), "SUCCESS");
        assert_eq!(seen.header("x-client-cert-subject"), "CN=ada");
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &member.certificate);
        let hex: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(seen.header("x-client-cert-fingerprint"), hex);
        let pem = unescaped(seen.header("x-client-cert"));
        assert_eq!(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap(), member.certificate);

        let seen = ask(&origin, told).await;
        assert_eq!(seen.header("x-client-cert-verify"), "NONE");
        forged_nothing(&seen);

        let seen = ask(&origin, client(proxy.client("silent.test")).identity(&member)).await;
        assert!(!seen.headers.contains_key("x-client-cert-verify"), "{:?}", seen.headers);
        forged_nothing(&seen);
    }
}

/// A request with every field forged.
async fn ask(origin: &Origin, client: Client) -> Seen {
    let mut http = client.http1().await;
    let request = http
        .head(hyper::Method::GET, "/")
        .header("x-client-cert", "forged")
        .header("x-client-cert-verify", "forged")
        .header("x-client-cert-subject", "forged")
        .header("x-client-cert-subject", "forged")
        .header("x-client-cert-fingerprint", "forged")
        .header("x_client_cert_verify", "forged")
        .header("x-client_cert", "forged");
    http.send(request.body(empty()).unwrap()).await.unwrap();
    let seen = origin.last();
    assert!(!format!("{:?}", seen.headers).contains("forged"), "{:?}", seen.headers);
    seen
}

fn forged_nothing(seen: &Seen) {
    for name in ["x-client-cert", "x-client-cert-subject", "x-client-cert-fingerprint"] {
        assert!(!seen.headers.contains_key(name), "{name}");
    }
}

fn unescaped(text: &str) -> String {
    let mut plain = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'%' => {
                let hex = [bytes.next().unwrap(), bytes.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap()
            }
            other => other,
        });
    }
    String::from_utf8(plain).unwrap()
}
