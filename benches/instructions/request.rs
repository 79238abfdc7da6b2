//! The steps of a request that are not the pool's: the head, the counts, the line.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use http::HeaderValue;
use http::Request;
use http_body_util::Empty;
use portcullis::config::log::LogTarget;
use portcullis::http::client_side::ClientSide;
use portcullis::http::exchange::Exchange;
use portcullis::http::fields;
use portcullis::http::gate;
use portcullis::http::identity::Identity;
use portcullis::service::location::Location;
use portcullis::telemetry::app_log::AppLog;
use portcullis::telemetry::app_log::LogSink;

use crate::fixture;
use crate::harness::Bench;

pub(crate) fn all(bench: &mut Bench) {
    head(bench);
    exchange(bench);
    let location = Location::parse("https://www.example.com{uri}").expect("a template");
    bench.measure("redirect: location", || {
        let location = black_box(&location);
        location.render(black_box("shop.example.com"), black_box("/p/a/t/h"), Some("query=1"))
    });
}

fn head(bench: &mut Bench) {
    let recorder = fixture::recorder();
    let shop = fixture::service(&recorder, "shop", &[domain()], LogSink::off());
    let client = ClientSide::new(fixture::connection(&recorder, shop));
    bench.measure_with("request: admit", request, |mut request| {
        let host = gate::admit(&mut request);
        (request, host)
    });
    bench.measure_with("request: fields for the endpoint", request, |mut request| {
        let host = HeaderValue::from_static("shop.example.com");
        fields::prepare_request(request.headers_mut(), &client, client.service(), None, host);
        request
    });
    bench.measure_with("request: id and trace", request, |mut request| {
        let identity = Identity::establish(request.headers_mut(), true);
        (request, identity)
    });
    bench.measure("request: who owns the host", || {
        client.owner(gate::host(black_box(&HOST)).expect("a host"))
    });
}

fn exchange(bench: &mut Bench) {
    let recorder = fixture::recorder();
    let log = AppLog::start(1, &recorder).expect("threads");
    let to_nowhere = LogTarget::File(Path::new("/dev/null").to_owned());
    let sink = log.sink(&to_nowhere, 1.0).expect("a sink");
    for (name, sink) in
        [("exchange: counts, no log", LogSink::off()), ("exchange: counts and log line", sink)]
    {
        let shop = fixture::service(&recorder, "shop", &[domain()], sink);
        let client = Arc::new(ClientSide::new(fixture::connection(&recorder, shop)));
        let request = request();
        bench.measure(name, || {
            let mut exchange = Exchange::begin(Arc::clone(&client), &request);
            exchange.for_host(HOST);
            exchange.served_by(None);
            exchange.answered(200);
            exchange.sent(1024);
            exchange.response_ended();
        });
    }
    log.finish();
}

fn domain() -> String {
    "shop.example.com".to_owned()
}

/// What a browser sends, by and large.
fn request() -> Request<Empty<&'static [u8]>> {
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = http::Uri::from_static("/catalogue/items?page=2");
    for (name, value) in [
        ("host", "shop.example.com"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("accept-language", "en-US,en;q=0.5"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("referer", "https://shop.example.com/"),
        ("connection", "keep-alive"),
        ("cookie", "session=0123456789abcdef0123456789abcdef"),
    ] {
        request.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    request
}

const HOST: HeaderValue = HeaderValue::from_static("shop.example.com");
