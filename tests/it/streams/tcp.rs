//! `mode = "tcp"`: TLS ends here, and what is in it goes to the pool as bytes.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;

use crate::kit::Ca;
use crate::kit::FarEnd;
use crate::kit::Leaf;
use crate::kit::Proxy;
use crate::kit::Site;
use crate::kit::far_end::ends;
use crate::kit::far_end::exchange;
use crate::kit::far_end::noise;
use crate::kit::far_end::reads;
use crate::kit::far_end::reset;
use crate::kit::within;
use crate::streams::Street;

/// SPEC VS-11.
#[tokio::test]
async fn the_three_modes_live_under_one_parent() {
    let street = Street::start().await;
    let visit = street.proxy.client("web.test").visit().await.unwrap();
    assert!(visit.facts.served(&street.ours));
    assert_eq!(visit.body, "hello from web");
    let near = street.proxy.client("bytes.test").alpn(&[]).handshake().await.unwrap();
    assert!(near.facts.served(&street.ours));
    let far = street.bytes.accept().await;
    let (at_near, at_far) = tokio::join!(exchange(near.stream, b"there"), exchange(far, b"back"));
    assert_eq!((&*at_near, &*at_far), (&b"back"[..], &b"there"[..]));
    let through = street.proxy.client("through.test").alpn(&[]);
    let (near, _) = tokio::join!(through.handshake(), street.through.accept_tls(&street.theirs));
    assert!(near.unwrap().facts.served(&street.theirs));
    assert_eq!(street.web.seen().len(), 1);
}

/// SPEC VS-11: the default protocols are HTTP's, which is not what is spoken here.
#[tokio::test]
async fn alpn_is_not_spoken_unless_the_profile_names_protocols() {
    let profile = "[tls_profile.only_h2]\nalpn = [\"h2\"]\n";
    let street = Street::with(profile).await;
    for offer in [&["imap"][..], &["h2", "http/1.1"]] {
        let near = street.proxy.client("bytes.test").alpn(offer).handshake().await.unwrap();
        assert_eq!(near.facts.alpn, None, "{offer:?}");
    }
    let config = street.site.read("portcullis.toml");
    let edited = config.replace("mode = \"tcp\"", "mode = \"tcp\"\ntls_profile = \"only_h2\"");
    street.site.replace("portcullis.toml", edited);
    street.proxy.reload().await;
    let near = street.proxy.client("bytes.test").alpn(&["h2"]).handshake().await.unwrap();
    assert_eq!(near.facts.alpn.as_deref(), Some("h2"), "a list that was chosen is offered");
}

/// SPEC VS-11.
#[tokio::test]
async fn megabytes_arrive_both_ways_as_they_were_sent() {
    let street = Street::start().await;
    let near = street.proxy.client("bytes.test").handshake().await.unwrap().stream;
    let far = street.bytes.accept().await;
    let (there, back) = (noise(20 << 20, 1), noise(20 << 20, 2));
    let (at_near, at_far) = tokio::join!(exchange(near, &there), exchange(far, &back));
    assert!(at_near == back && at_far == there, "byte for byte");
}

/// SPEC VS-11: either side may finish first and go on reading.
#[tokio::test]
async fn a_half_close_is_kept() {
    let street = Street::start().await;
    let mut near = street.proxy.client("bytes.test").handshake().await.unwrap().stream;
    let mut far = street.bytes.accept().await;
    near.write_all(b"question").await.unwrap();
    near.shutdown().await.unwrap();
    let mut question = String::new();
    within("the question and its end", far.read_to_string(&mut question)).await.unwrap();
    assert_eq!(question, "question");
    assert_eq!(exchange(far, b"answer").await, b"");
    reads(&mut near, b"answer").await;
    ends(&mut near).await.expect("close_notify");

    let mut near = street.proxy.client("bytes.test").handshake().await.unwrap().stream;
    let mut far = street.bytes.accept().await;
    far.write_all(b"greeting").await.unwrap();
    far.shutdown().await.unwrap();
    reads(&mut near, b"greeting").await;
    ends(&mut near).await.expect("close_notify");
    near.write_all(b"late").await.unwrap();
    near.shutdown().await.unwrap();
    let mut late = String::new();
    within("what came late", far.read_to_string(&mut late)).await.unwrap();
    assert_eq!(late, "late");
}

/// SPEC VS-11: a stream that broke must not look like one that has finished.
#[tokio::test]
async fn a_reset_of_one_end_does_not_look_like_its_end_to_the_other() {
    let street = Street::start().await;
    let mut near = street.proxy.client("bytes.test").handshake().await.unwrap().stream;
    let mut far = street.bytes.accept().await;
    near.write_all(b"half of").await.unwrap();
    reads(&mut far, b"half of").await;
    reset(near.into_inner().0);
    let end = ends(&mut far).await.expect_err("a reset");
    assert_eq!(end.kind(), std::io::ErrorKind::ConnectionReset);

    let mut near = street.proxy.client("bytes.test").handshake().await.unwrap().stream;
    let mut far = street.bytes.accept().await;
    far.write_all(b"half of").await.unwrap();
    reads(&mut near, b"half of").await;
    reset(far);
    let end = ends(&mut near).await.expect_err("no close_notify");
    assert_eq!(end.kind(), std::io::ErrorKind::UnexpectedEof);
}

/// SPEC VS-10, VS-11.
#[tokio::test]
async fn the_pool_may_speak_tls_too() {
    let site = Site::new();
    let far = FarEnd::start().await;
    let theirs = Ca::shared().issue(&Leaf::p256("127.0.0.1"));
    site.certificate("c", &Ca::shared().issue(&Leaf::p256("edge.test")));
    site.write("internal.pem", Ca::shared().pem());
    let proxy = Proxy::start(
        &site,
        &format!(
            "[virtual_service.edge]\nlisten = [\"127.0.0.1:0\"]\ncertificates = [\"c\"]\n\
             mode = \"tcp\"\npool = \"far\"\n\
             [pool.far]\nendpoints = [\"{}\"]\ntls = {{ ca = \"internal.pem\" }}\n",
            far.endpoint()
        ),
    )
    .await;
    let near = proxy.client("edge.test").handshake().await.unwrap().stream;
    let far = far.accept_tls(&theirs).await;
    let (there, back) = (noise(3 << 20, 1), noise(3 << 20, 2));
    let (at_near, at_far) = tokio::join!(exchange(near, &there), exchange(far, &back));
    assert!(at_near == back && at_far == there, "byte for byte");
}

/// SPEC PX-5.
#[tokio::test]
async fn silence_in_both_directions_ends_a_stream() {
    let street = Street::with("[timeouts]\ntunnel_idle = \"100ms\"\n").await;
    let mut near = street.proxy.client("bytes.test").handshake().await.unwrap().stream;
    let mut far = street.bytes.accept().await;
    drop(ends(&mut near).await);
    drop(ends(&mut far).await);
    failed(&street, "tunnel_idle").await;
}

/// SPEC PX-5: a service's own patience goes before everybody's.
#[tokio::test]
async fn a_service_says_how_long_its_streams_may_be_silent() {
    let street = Street::start().await;
    let config = street.site.read("portcullis.toml");
    let edited = config.replace("mode = \"tcp\"", "mode = \"tcp\"\ntunnel_idle = \"100ms\"");
    street.site.replace("portcullis.toml", edited);
    street.proxy.reload().await;
    let mut near = street.proxy.client("bytes.test").handshake().await.unwrap().stream;
    let mut far = street.bytes.accept().await;
    drop(ends(&mut near).await);
    drop(ends(&mut far).await);
    failed(&street, "tunnel_idle").await;
}

/// SPEC PX-5: what it says itself keeps no stream open for a client that does not listen.
#[tokio::test]
async fn a_client_that_takes_nothing_ends_its_stream() {
    let street =
        Street::with("[timeouts]\nresponse_write = \"300ms\"\ntunnel_idle = \"1h\"\n").await;
    let near = street.proxy.client("bytes.test").handshake().await.unwrap().stream;
    let (mut hears, mut speaks) = street.bytes.accept().await.into_split();
    let (_deaf, mut says) = tokio::io::split(near);
    let talking = async {
        let mut words = tokio::time::interval(Duration::from_millis(50));
        while says.write_all(b"x").await.is_ok() && says.flush().await.is_ok() {
            words.tick().await;
        }
    };
    let flood = async { while speaks.write_all(&[0; 1 << 16]).await.is_ok() {} };
    let hearing = async { while hears.read(&mut [0; 64]).await.is_ok_and(|count| count > 0) {} };
    within("the end of the stream", async { tokio::join!(talking, flood, hearing) }).await;
    failed(&street, "client_write_timeout").await;
}

async fn failed(street: &Street, reason: &str) {
    let labels = [("virtual_service", "bytes"), ("reason", reason)];
    street.proxy.metric_becomes("portcullis_stream_failures_total", &labels, 1.0).await;
    let is_it = |line: &serde_json::Value| line["error.type"] == reason;
    crate::kit::proxy::log_line(&street.site, "the stream", is_it).await;
}

/// An idle stream has two sockets, and no pipe.
#[tokio::test]
async fn an_idle_stream_holds_no_pipes() {
    let street = Street::start().await;
    let hello = street.proxy.client("through.test").hello();
    let before = street.proxy.descriptors().await;
    let mut streams = Vec::new();
    for _ in 0..40 {
        let address = street.proxy.address("edge");
        let mut near = tokio::net::TcpStream::connect(address).await.unwrap();
        near.write_all(&hello).await.unwrap();
        let mut far = street.through.accept().await;
        let bulk = noise(1 << 20, 3);
        let writing = async { far.write_all(&bulk).await.unwrap() };
        let mut received = vec![0; bulk.len()];
        let reading = async { near.read_exact(&mut received).await.unwrap() };
        within("bulk", async { tokio::join!(writing, reading) }).await;
        streams.push((near, far));
    }
    let idle = street.proxy.descriptors().await - before;
    // Two sockets each; what the two workers keep to spare are a pipe or two.
    assert!((80..=100).contains(&idle), "{idle} descriptors for {} streams", streams.len());
}

/// SPEC OPS-2: what has not ended by then is cut, and says so.
#[tokio::test]
async fn a_stream_is_cut_when_the_time_to_drain_is_over() {
    let mut street = Street::with("[timeouts]\ndrain = \"200ms\"\n").await;
    let mut near = street.proxy.client("bytes.test").handshake().await.unwrap().stream;
    let mut far = street.bytes.accept().await;
    near.write_all(b"open").await.unwrap();
    reads(&mut far, b"open").await;
    let asked = std::time::Instant::now();
    street.proxy.signal(rustix::process::Signal::TERM);
    street.proxy.exit_code().await;
    assert!(asked.elapsed() >= Duration::from_millis(200), "it had its time");
    drop(ends(&mut near).await);
    let line =
        crate::kit::proxy::log_line(&street.site, "the stream", |line| line["event"] == "stream");
    assert_eq!(line.await["error.type"], "drain_timeout");
}
