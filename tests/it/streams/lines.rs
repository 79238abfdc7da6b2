//! What a stream leaves behind: counts and one log line.

use crate::kit::far_end::exchange;
use crate::kit::portcullis;
use crate::kit::proxy::log_line;
use crate::streams::Street;

/// SPEC VS-7, VS-9, OBS-1.
#[tokio::test]
async fn a_stream_is_counted_and_logged_on_its_service() {
    let street = Street::start().await;
    let near = street.proxy.client("bytes.test").handshake().await.unwrap().stream;
    let far = street.bytes.accept().await;
    let of = [("virtual_service", "bytes")];
    street.proxy.metric_becomes("portcullis_connections_active", &of, 1.0).await;
    tokio::join!(exchange(near, b"12345"), exchange(far, b"123"));
    let line = log_line(&street.site, "a stream", |line| line["event"] == "stream").await;
    for (field, value) in [
        ("portcullis.virtual_service", "bytes"),
        ("portcullis.parent", "edge"),
        ("portcullis.mode", "tcp"),
        ("portcullis.pool", "bytes"),
        ("portcullis.endpoint", &*street.bytes.endpoint()),
        ("client.address", "127.0.0.1"),
        ("tls.client.server_name", "bytes.test"),
        ("tls.protocol.version", "1.3"),
        ("portcullis.certificate", "ours"),
    ] {
        assert_eq!(line[field], value, "{field}: {line}");
    }
    assert_eq!(
        (&line["portcullis.received_bytes"], &line["portcullis.sent_bytes"]),
        (&5.into(), &3.into())
    );
    assert_eq!(line["portcullis.retries"], 0);
    for field in ["portcullis.duration_us.upstream_connect", "portcullis.duration_us.total"] {
        assert!(line[field].is_u64(), "{field}: {line}");
    }
    assert!(line.get("error.type").is_none(), "a clean end has no reason: {line}");
    assert!(line.get("tls.next_protocol").is_none(), "none was agreed on: {line}");
    street.proxy.metric_becomes("portcullis_connections_active", &of, 0.0).await;
    assert_eq!(street.proxy.metric("portcullis_received_bytes_total", &of).await, 5.0);
    assert_eq!(street.proxy.metric("portcullis_sent_bytes_total", &of).await, 3.0);
    assert_eq!(street.proxy.metric("portcullis_connections_total", &of).await, 1.0);
}

/// SPEC VS-9.
#[tokio::test]
async fn an_endpoint_that_refuses_is_the_reason() {
    let street = Street::start().await;
    street.proxy.client("gone.test").handshake().await.map(|s| s.facts).unwrap_err();
    let line = log_line(&street.site, "a stream", |line| line["event"] == "stream").await;
    assert_eq!(line["error.type"], "connect_refused", "{line}");
    assert_eq!(line["portcullis.mode"], "passthrough");
    assert_eq!(line["tls.client.server_name"], "gone.test");
    assert!(line.get("tls.cipher").is_none(), "TLS is not ended here: {line}");
    let labels = [("virtual_service", "gone"), ("reason", "connect_refused")];
    street.proxy.metric_becomes("portcullis_stream_failures_total", &labels, 1.0).await;
}

/// SPEC TLS-5.
#[tokio::test]
async fn explain_and_status_say_the_mode() {
    let street = Street::start().await;
    let config = ["explain", "--config", "portcullis.toml"];
    let through = portcullis(&street.site, &[&config[..], &["through.test"]].concat()).await;
    assert_eq!(through.code, 0, "{}", through.text());
    assert!(through.stdout.contains("is not ended here"), "{}", through.text());
    let bytes = portcullis(&street.site, &[&config[..], &["bytes.test"]].concat()).await;
    let alpn = bytes.stdout.lines().find(|line| line.starts_with("ALPN")).unwrap_or_default();
    assert!(alpn.ends_with("(none)"), "{}", bytes.text());
    let admin = street.proxy.admin().to_string();
    let status = portcullis(&street.site, &["status", "--admin", &admin]).await;
    let row = status.stdout.lines().find(|line| line.starts_with("through")).unwrap_or_default();
    assert!(row.contains("passthrough"), "{}", status.text());
}
