//! `mode = "passthrough"`: the server name selects, and nothing is decrypted.

use rustls::pki_types::CertificateDer;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::kit::Origin;
use crate::kit::Proxy;
use crate::kit::Site;
use crate::kit::far_end;
use crate::kit::far_end::exchange;
use crate::kit::far_end::noise;
use crate::kit::openssl;
use crate::kit::within;
use crate::streams::Street;

/// SPEC VS-11.
#[tokio::test]
async fn the_client_sees_the_certificate_and_the_protocol_of_the_endpoint() {
    let street = Street::start().await;
    let client = street.proxy.client("through.test").alpn(&["stream/1"]);
    let (near, far) = tokio::join!(client.handshake(), street.through.accept_tls(&street.theirs));
    let near = near.unwrap();
    assert!(near.facts.served(&street.theirs), "nothing is decrypted on the way");
    assert_eq!(near.facts.alpn.as_deref(), Some("stream/1"));
    assert_eq!(far.get_ref().1.server_name(), Some("through.test"));
    let (at_near, at_far) = tokio::join!(exchange(near.stream, b"ping"), exchange(far, b"pong"));
    assert_eq!((&*at_near, &*at_far), (&b"pong"[..], &b"ping"[..]));
}

/// SPEC VS-11.
#[tokio::test]
async fn openssl_verifies_the_endpoints_certificate_through_the_proxy() {
    let street = Street::start().await;
    street.site.write("root.pem", crate::kit::Ca::shared().pem());
    let root = street.site.path("root.pem").display().to_string();
    let address = street.proxy.address("edge");
    let verify = ["-CAfile", &root, "-verify_hostname", "through.test"];
    let s_client = openssl::s_client(address, "through.test", &verify);
    let far = async {
        let far = street.through.accept_tls(&street.theirs).await;
        exchange(far, b"").await
    };
    let (outcome, _) = tokio::join!(s_client, far);
    let served: Option<&CertificateDer<'_>> = outcome.certificate.as_ref();
    assert_eq!(served, Some(&street.theirs.certificate), "{}", outcome.text);
    assert_eq!(outcome.verified, "0 (ok)", "{}", outcome.text);
}

/// SPEC VS-11.
#[tokio::test]
async fn a_hundred_megabytes_arrive_both_ways_as_they_were_sent() {
    let street = Street::start().await;
    let hello = street.proxy.client("through.test").hello();
    let mut near = TcpStream::connect(street.proxy.address("edge")).await.unwrap();
    near.write_all(&hello).await.unwrap();
    let mut far = street.through.accept().await;
    let mut first = vec![0; hello.len()];
    let read = tokio::io::AsyncReadExt::read_exact(&mut far, &mut first);
    within("the hello", read).await.unwrap();
    assert!(first == hello, "the hello itself, byte for byte");
    let (there, back) = (noise(100 << 20, 1), noise(100 << 20, 2));
    let (at_near, at_far) = tokio::join!(exchange(near, &there), exchange(far, &back));
    assert!(at_near == back && at_far == there, "byte for byte");
}

/// SPEC VS-11.
#[tokio::test]
async fn a_parent_may_pass_through_itself_and_needs_no_certificate() {
    let site = Site::new();
    let far = crate::kit::FarEnd::start().await;
    let proxy = Proxy::start(
        &site,
        &format!(
            "[virtual_service.edge]\nlisten = [\"127.0.0.1:0\"]\nmode = \"passthrough\"\npool = \"far\"\n\
             [pool.far]\nendpoints = [\"{}\"]\n",
            far.endpoint()
        ),
    )
    .await;
    let theirs = crate::kit::Ca::shared().issue(&crate::kit::Leaf::p256("any.test"));
    for client in [proxy.client("any.test"), crate::kit::Client::to(proxy.address("edge"))] {
        let client = client.alpn(&[]);
        let (near, _far) = tokio::join!(client.handshake(), far.accept_tls(&theirs));
        assert!(near.unwrap().facts.served(&theirs));
    }
}

/// SPEC VS-11, RL-2: streams survive reloads, even of their own service.
#[tokio::test]
async fn a_stream_outlives_the_service_that_began_it() {
    let street = Street::start().await;
    let client = street.proxy.client("through.test").alpn(&[]);
    let (near, far) = tokio::join!(client.handshake(), street.through.accept_tls(&street.theirs));
    let other = Origin::saying("hello from the other").await;
    let config = street.site.read("portcullis.toml");
    let edited = config.replace(
        "domains = [\"through.test\"]\nmode = \"passthrough\"\npool = \"through\"",
        "domains = [\"through.test\"]\ncertificates = [\"ours\"]\npool = \"other\"",
    );
    assert_ne!(config, edited);
    let pool = format!("[pool.other]\nendpoints = [\"{}\"]\n", other.endpoint());
    street.site.replace("portcullis.toml", format!("{edited}\n{pool}"));
    street.proxy.reload().await;
    let visit = street.proxy.client("through.test").visit().await.unwrap();
    assert_eq!(visit.body, "hello from the other", "new connections are the new service's");
    let near = near.unwrap().stream;
    let (at_near, at_far) = tokio::join!(exchange(near, b"still"), exchange(far, b"here"));
    assert_eq!((&*at_near, &*at_far), (&b"here"[..], &b"still"[..]));
}

/// SPEC VS-4, VS-11: a hello that is none is still refused as such.
#[tokio::test]
async fn what_is_not_tls_is_not_passed_through() {
    let street = Street::start().await;
    let mut near = TcpStream::connect(street.proxy.address("edge")).await.unwrap();
    near.write_all(b"SSH-2.0-OpenSSH_9.6\r\n").await.unwrap();
    drop(far_end::ends(&mut near).await);
    let labels = [("virtual_service", "edge"), ("reason", "not_tls")];
    street.proxy.metric_becomes("portcullis_tls_handshake_failures_total", &labels, 1.0).await;
}
