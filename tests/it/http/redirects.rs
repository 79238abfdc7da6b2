//! The plain listener: to HTTPS, as the owner of the host wants it.

use hyper::Method;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::kit::Http;
use crate::kit::Reply;
use crate::kit::TwoSites;
use crate::kit::http::empty;
use crate::kit::http::full;
use crate::kit::proxy::log_line;
use crate::kit::within;

/// SPEC PX-4.
#[tokio::test]
async fn a_host_goes_to_itself_over_https() {
    let street = plain_street("").await;
    let port = street.proxy.address("edge").port();
    for host in ["shop.test:80", "blog.test", "nobody.test"] {
        let reply = get(&street, host, "/path?query=1").await;
        assert_eq!(reply.status, 301, "{host}: {reply:?}");
        let name = host.trim_end_matches(":80");
        assert_eq!(reply.header("location"), format!("https://{name}:{port}/path?query=1"));
        // RFC 6797, section 7.2.
        assert_eq!(reply.header("strict-transport-security"), "");
    }
    let mut http = plain(&street, "shop.test").await;
    let post = http.head(Method::POST, "/form").body(full("a=b")).unwrap();
    let reply = http.send(post).await.unwrap();
    assert_eq!(reply.status, 308, "a POST stays one");
    assert!(street.shop.seen().is_empty() && street.rest.seen().is_empty());
}

/// SPEC PX-4: each child as it wants, whatever the others do.
#[tokio::test]
async fn a_child_may_send_clients_elsewhere_or_nowhere() {
    let elsewhere =
        "http_redirect = { location = \"https://new.test/old/{host}{uri}\", status = 302 }";
    let street = plain_street("http_redirect = { refuse = true }").await;
    configure_shop(&street, elsewhere).await;
    let reply = get(&street, "a.shop.test", "/p?q=1").await;
    assert_eq!(reply.status, 302);
    assert_eq!(reply.header("location"), "https://new.test/old/a.shop.test/p?q=1");
    let reply = get(&street, "blog.test", "/p").await;
    assert_eq!((reply.status.as_u16(), reply.header("location")), (404, ""));
    assert_eq!(get(&street, "nobody.test", "/").await.status, 301);
}

/// SPEC PX-4, RFC 6797, section 7.2: what is promised over TLS is not said in plain text.
#[tokio::test]
async fn a_plain_answer_has_none_of_the_fields_of_the_service() {
    let street = plain_street("").await;
    configure_shop(&street, "hsts = {}\nresponse_headers = { set = { x-own = \"1\" } }").await;
    let reply = get(&street, "shop.test", "/").await;
    assert_eq!(reply.status, 301);
    assert_eq!(reply.header("strict-transport-security"), "");
    assert_eq!(reply.header("x-own"), "");
}

/// SPEC VS-4, PX-4.
#[tokio::test]
async fn a_strict_parent_sends_nobody_to_a_refused_handshake() {
    let street = plain_street("").await;
    let toml = street.site.read("portcullis.toml");
    let strict = toml.replace("redirect_http =", "strict_sni = true\nredirect_http =");
    street.site.configure(&strict);
    street.proxy.reload().await;
    assert_eq!(get(&street, "nobody.test", "/").await.status, 404);
    assert_eq!(get(&street, "shop.test", "/").await.status, 301);
    let labels = [("virtual_service", "edge"), ("reason", "unknown_host")];
    street.proxy.metric_becomes("portcullis_http_request_failures_total", &labels, 1.0).await;
}

/// SPEC ACME-2: the path of http-01 is ours, whatever a child does with the rest.
#[tokio::test]
async fn the_path_of_acme_challenges_is_never_redirected() {
    let street = plain_street("").await;
    for host in ["shop.test", "nobody.test"] {
        let reply = get(&street, host, "/.well-known/acme-challenge/token").await;
        assert_eq!((reply.status.as_u16(), reply.header("location")), (404, ""), "{host}");
        assert!(reply.header("content-type").starts_with("text/plain"), "{reply:?}");
    }
}

/// SPEC PX-4: clients are sent to the port that TLS has now.
#[tokio::test]
async fn the_port_follows_a_reload() {
    let street = plain_street("").await;
    let toml = street.site.read("portcullis.toml");
    let moved = toml.replace("listen = [\"127.0.0.1:0\"]", "listen = [\"127.0.0.2:0\"]");
    street.site.configure(&moved);
    street.proxy.reload().await;
    let new = street.proxy.says("the new socket", |m| m["configured"] == "127.0.0.2:0").await;
    let new: std::net::SocketAddr = new["address"].as_str().unwrap().parse().unwrap();
    let reply = get(&street, "shop.test", "/").await;
    assert_eq!(reply.header("location"), format!("https://shop.test:{}/", new.port()));
}

/// SPEC VS-7, VS-9: lines and counts are those of the service that answered.
#[tokio::test]
async fn an_answer_is_logged_and_counted_on_the_owner_of_the_host() {
    let street = plain_street("").await;
    get(&street, "shop.test", "/p?secret=1").await;
    let line = log_line(&street.site, "the redirect", |line| line["event"] == "http").await;
    for (key, value) in [
        ("portcullis.virtual_service", "shop"),
        ("portcullis.parent", "edge"),
        ("client.address", "127.0.0.1"),
        ("url.scheme", "http"),
        ("http.request.method", "GET"),
        ("server.address", "shop.test"),
        ("url.path", "/p"),
        ("network.protocol.version", "1.1"),
    ] {
        assert_eq!(line[key], value, "{key} in {line:#}");
    }
    assert_eq!(line["http.response.status_code"], 301);
    assert!(line.get("tls.protocol.version").is_none() && line.get("error.type").is_none());
    let labels = [("virtual_service", "shop"), ("code", "3xx"), ("protocol", "http/1.1")];
    street.proxy.metric_becomes("portcullis_http_requests_total", &labels, 1.0).await;
    let edge = [("virtual_service", "edge")];
    assert_eq!(street.proxy.metric("portcullis_listener_connections_total", &edge).await, 1.0);
}

/// SPEC PX-5: what is no request is refused, with a line and a count on the parent.
#[tokio::test]
async fn what_is_no_request_is_refused() {
    let street = plain_street("").await;
    for (bytes, reason, status) in [
        ("GARBAGE\r\n\r\n", "malformed_request", 400),
        ("GET / HTTP/1.1\r\nHost: user@shop.test\r\n\r\n", "bad_host", 400),
        ("GET / HTTP/1.1\r\n\r\n", "bad_host", 400),
        ("GET / HTTP/1.1\r\nHost: shop.test\r\nHost: blog.test\r\n\r\n", "bad_host", 400),
        (
            "CONNECT shop.test:443 HTTP/1.1\r\nHost: shop.test:443\r\n\r\n",
            "method_not_allowed",
            405,
        ),
    ] {
        let text = say(&street, bytes).await;
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{bytes}: {text}");
        assert!(!text.contains("location"), "{text}");
        let line = log_line(&street.site, reason, |line| line["error.type"] == reason).await;
        assert_eq!(line["portcullis.virtual_service"], "edge", "{line:#}");
        assert_eq!(line["url.scheme"], "http", "{line:#}");
        let labels = [("virtual_service", "edge"), ("reason", reason)];
        assert!(
            street.proxy.metric("portcullis_http_request_failures_total", &labels).await >= 1.0
        );
    }
}

/// SPEC PX-5.
#[tokio::test]
async fn a_head_that_does_not_end_has_a_time_limit() {
    let street = plain_street("\n[timeouts]\nrequest_head = \"200ms\"").await;
    let text = say(&street, "GET / HTTP/1.1\r\nHost: shop.t").await;
    assert!(text.starts_with("HTTP/1.1 408 "), "{text}");
    let labels = [("virtual_service", "edge"), ("reason", "request_head_timeout")];
    street.proxy.metric_becomes("portcullis_http_request_failures_total", &labels, 1.0).await;
}

/// The street with a plain listener, and more keys of `blog` or more tables.
async fn plain_street(more: &str) -> TwoSites {
    let street = TwoSites::start().await;
    let plain = "[virtual_service.edge]\nredirect_http = [\"127.0.0.1:0\"]";
    let toml = street.toml(more).replace("[virtual_service.edge]", plain);
    street.site.configure(&toml);
    street.proxy.reload().await;
    street.proxy.says("the plain listener", |message| message["kind"] == "redirect").await;
    street
}

/// Gives `shop` these keys.
async fn configure_shop(street: &TwoSites, keys: &str) {
    let toml = street.site.read("portcullis.toml");
    let shop = format!("[virtual_service.shop]\n{keys}");
    street.site.configure(&toml.replace("[virtual_service.shop]", &shop));
    street.proxy.reload().await;
}

async fn connect(street: &TwoSites) -> TcpStream {
    let address = street.proxy.listening("redirect", "edge")[0];
    within("a plain connection", TcpStream::connect(address)).await.unwrap()
}

async fn plain(street: &TwoSites, host: &str) -> Http {
    Http::http1(connect(street).await, host, None).await
}

async fn get(street: &TwoSites, host: &str, path: &str) -> Reply {
    let mut http = plain(street, host).await;
    let request = http.head(Method::GET, path).body(empty()).unwrap();
    http.send(request).await.unwrap()
}

/// Bytes as they are, and what comes back until a response has ended or the connection.
async fn say(street: &TwoSites, bytes: &str) -> String {
    let mut stream = connect(street).await;
    within("to send", stream.write_all(bytes.as_bytes())).await.unwrap();
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        match within("to receive", stream.read_u8()).await {
            Ok(byte) => text.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(text).unwrap()
}
