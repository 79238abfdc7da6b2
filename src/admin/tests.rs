//! Facts of the admin address over real sockets, through the client of the command line.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;

use super::*;
use crate::admin::client::Answer;
use crate::admin::client::call;
use crate::config::admin::AdminListen;
use crate::config::metrics::Metrics;
use crate::runtime::report::ReloadComplaint;
use crate::runtime::report::ReloadOutcome;
use crate::telemetry::catalog::Family;

struct Kit {
    address: AdminListen,
    ready: Arc<AtomicBool>,
    reopened: Arc<AtomicUsize>,
}

impl Kit {
    /// Serves on a thread of its own, which ends with the test process.
    fn serve(listen: &AdminListen) -> Self {
        let recorder =
            Recorder::new(&Metrics { request_buckets: vec![1.0], handshake_buckets: vec![1.0] });
        recorder.collector(|families| {
            for name in ["shop", "blog"] {
                families.add(Family::Connections, &[("virtual_service", name)], 1.0);
            }
        });
        let ready = Arc::new(AtomicBool::new(false));
        let reopened = Arc::new(AtomicUsize::new(0));
        let (reload, requests) = mpsc::channel(1);
        let (ready_too, reopened_too) = (ready.clone(), reopened.clone());
        let state = AdminState {
            recorder,
            status: Arc::new(|| Status { version: "0.0.0".to_owned(), ..Status::default() }),
            readiness: Arc::new(move || match ready_too.load(SeqCst) {
                true => Readiness { ready: true, reasons: Vec::new() },
                false => Readiness { ready: false, reasons: vec!["draining".to_owned()] },
            }),
            reload,
            reopen_logs: Arc::new(move || {
                reopened_too.fetch_add(1, SeqCst);
            }),
        };
        let listener = AdminListener::bind(listen).unwrap();
        let address = listener.address();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async move {
                tokio::spawn(answer_reloads(requests));
                serve(listener, Arc::new(state)).await.unwrap();
            });
        });
        Self { address, ready, reopened }
    }

    fn tcp() -> Self {
        Self::serve(&AdminListen::Tcp("127.0.0.1:0".parse().unwrap()))
    }

    fn call(&self, method: &str, path: &str) -> Answer {
        call(&self.address, method, path, Duration::from_secs(10)).unwrap()
    }
}

/// The first reload is applied, the second refused; then the process is ending.
async fn answer_reloads(mut requests: mpsc::Receiver<oneshot::Sender<ReloadReport>>) {
    let complaint = ReloadComplaint { message: "no such pool".to_owned(), ..Default::default() };
    let refused = vec![complaint];
    for (outcome, complaints) in
        [(ReloadOutcome::Applied, Vec::new()), (ReloadOutcome::Refused, refused)]
    {
        let Some(request) = requests.recv().await else { return };
        let _ = request.send(ReloadReport { outcome, complaints, ..Default::default() });
    }
}

#[test]
fn metrics_can_be_filtered() {
    let kit = Kit::tcp();
    let all = kit.call("GET", "/metrics");
    assert_eq!(all.status, 200);
    assert_eq!(all.body.lines().count(), 4, "{}", all.body);
    let shop = kit.call("GET", "/metrics?virtual_service=shop");
    assert_eq!(
        shop.body.lines().last(),
        Some("portcullis_connections_total{virtual_service=\"shop\"} 1")
    );
    assert_eq!(kit.call("GET", "/metrics?name%5B%5D=portcullis_workers").body, "");
}

#[test]
fn readiness_has_reasons_and_liveness_does_not_ask() {
    let kit = Kit::tcp();
    let answer = kit.call("GET", "/readyz");
    assert_eq!(answer.status, 503);
    assert_eq!(answer.body, "{\"ready\":false,\"reasons\":[\"draining\"]}\n");
    for path in ["/healthz", "/livez"] {
        assert_eq!(kit.call("GET", path).status, 200);
    }
    kit.ready.store(true, SeqCst);
    assert_eq!(kit.call("GET", "/readyz").status, 200);
}

#[test]
fn a_reload_answers_with_its_own_result() {
    let kit = Kit::tcp();
    let applied = kit.call("POST", "/reload");
    assert_eq!(applied.status, 200);
    let report: ReloadReport = serde_json::from_str(&applied.body).unwrap();
    assert_eq!(report.outcome, ReloadOutcome::Applied);
    let refused = kit.call("POST", "/reload");
    assert_eq!(refused.status, 422);
    let report: ReloadReport = serde_json::from_str(&refused.body).unwrap();
    assert_eq!(report.complaints[0].message, "no such pool");
    assert_eq!(kit.call("POST", "/reload").status, 503);
}

#[test]
fn status_and_log_reopening_work_over_a_socket_file() {
    let directory = tempfile::tempdir().unwrap();
    let kit = Kit::serve(&AdminListen::Unix(directory.path().join("admin.sock")));
    let status: Status = serde_json::from_str(&kit.call("GET", "/status").body).unwrap();
    assert_eq!(status.version, "0.0.0");
    assert_eq!(kit.call("POST", "/log/reopen").status, 202);
    assert_eq!(kit.reopened.load(SeqCst), 1);
}

#[test]
fn wrong_paths_and_methods_are_json_errors_and_set_nothing_off() {
    let kit = Kit::tcp();
    for (method, path, status, reason) in [
        ("GET", "/", 404, "not_found"),
        ("GET", "/reload", 405, "method_not_allowed"),
        ("GET", "/log/reopen", 405, "method_not_allowed"),
        ("DELETE", "/metrics", 405, "method_not_allowed"),
    ] {
        let answer = kit.call(method, path);
        assert_eq!(answer.status, status, "{method} {path}");
        let value: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(value["error"], reason);
    }
    assert_eq!(kit.reopened.load(SeqCst), 0);
}
