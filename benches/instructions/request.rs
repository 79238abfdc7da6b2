//! The steps of a request that are not the pool's: the head, the counts, the line.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use http::HeaderValue;
use http_body_util::Empty;
use portcullis::config::log::LogTarget;
use portcullis::http::client_side::ClientSide;
use portcullis::http::exchange::Exchange;
use portcullis::http::fields;
use portcullis::http::gate;
use portcullis::http::gate::AdmittedHost;
use portcullis::http::identity::Identity;
use portcullis::message::Request;
use portcullis::service::location::Location;
use portcullis::telemetry::app_log::AppLog;
use portcullis::telemetry::app_log::LogSink;
use portcullis::telemetry::service_metrics::Protocol;
use portcullis::telemetry::service_metrics::RequestDone;

use crate::fixture;
use crate::harness::Bench;

pub(crate) fn all(bench: &mut Bench) {
    head(bench);
    exchange(bench);
    metrics(bench);
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
        fields::prepare_request(request.fields_mut(), &client, client.service(), None, &host);
        request
    });
    bench.measure_with("request: id and trace", request, |mut request| {
        let identity = Identity::establish(request.fields_mut(), true);
        (request, identity)
    });
    let host = admitted();
    bench.measure("request: who owns the host", || client.owner(black_box(&host).host()));
}

fn exchange(bench: &mut Bench) {
    let recorder = fixture::recorder();
    let log = AppLog::start(1, &recorder).expect("threads");
    let to_nowhere = LogTarget::File(Path::new("/dev/null").into());
    let sink = log.sink(&to_nowhere, 1.0).expect("a sink");
    let client = |sink| {
        let shop = fixture::service(&recorder, "shop", &[domain()], sink);
        Arc::new(ClientSide::new(fixture::connection(&recorder, shop)))
    };
    let (silent, logged) = (client(LogSink::off()), client(sink));
    let (request, host) = (request(), admitted());
    let exchange = |client: &Arc<ClientSide>| {
        let mut exchange = Exchange::begin(Arc::clone(client), &request);
        exchange.for_host(host.clone());
        exchange.served_by(None);
        exchange.answered(200);
        exchange.sent(1024);
        exchange.response_ended();
    };
    // Until the buffers of lines are as large, and as many, as they become.
    (0..MANY).for_each(|_| exchange(&logged));
    bench.measure("exchange: counts, no log", || exchange(&silent));
    bench.measure("exchange: counts and log line", || exchange(&logged));
    bench.measure_beyond("log line: a request", || exchange(&silent), || exchange(&logged));
    log.finish();
}

/// What a service counts of a request.
fn metrics(bench: &mut Bench) {
    let recorder = fixture::recorder();
    let shop = fixture::service(&recorder, "shop", &[domain()], LogSink::off());
    let done = RequestDone {
        protocol: Protocol::Http1,
        status: 200,
        duration: Duration::from_micros(700),
        upstream: Some(Duration::from_micros(400)),
        received: 0,
        sent: 1024,
    };
    bench.measure("metrics: a request begins and ends", || {
        let active = shop.metrics.request_started();
        shop.metrics.request(black_box(&done));
        active
    });
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
        request.fields_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    request
}

/// Lines that fill the buffer of a worker many times over.
const MANY: usize = 5000;

fn admitted() -> AdmittedHost {
    AdmittedHost::new(HOST).expect("a host")
}

const HOST: HeaderValue = HeaderValue::from_static("shop.example.com");
