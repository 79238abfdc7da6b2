//! `demo` and `serve`: what a newcomer tries first.

use std::process::Command;

use rustix::process::Signal;
use tokio::net::TcpStream;
use tokio::process::Command as AsyncCommand;

use crate::kit::Client;
use crate::kit::Origin;
use crate::kit::Site;
use crate::kit::command::binary;
use crate::kit::command::installed;
use crate::kit::command::run;
use crate::kit::eventually;
use crate::kit::portcullis;
use crate::kit::process::Process;
use crate::kit::raw_origin::unused_port;

/// OPS-1: the lines that `demo` prints work when they are pasted.
#[tokio::test]
async fn the_lines_of_the_demo_work_as_they_are_printed() {
    if !installed("curl") {
        return;
    }
    let site = Site::new();
    let mut command = Command::new(binary());
    command.arg("demo").current_dir(site.path("."));
    let mut demo = Process::start(command);
    let lines = eventually("curl lines that stay the same", async || {
        assert!(demo.exited().is_none(), "{:#?}", demo.stderr());
        let lines = curl_lines(&demo);
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        (lines.len() >= 4 && lines == curl_lines(&demo)).then_some(lines)
    })
    .await;
    let mut all = String::new();
    for line in &lines {
        let mut bash = AsyncCommand::new("bash");
        bash.current_dir(site.path("."));
        let finished = run(bash, &format!("set -o pipefail\n{line}\n")).await;
        assert_eq!(finished.code, 0, "{line}\n{}", finished.text());
        all.push_str(&finished.text());
    }
    assert!(all.contains("421"), "the misdirected request is shown: {all}");
    assert!(all.contains("portcullis_"), "the metrics are shown: {all}");
    demo.signal(Signal::TERM);
    assert_eq!(demo.exit_code().await, 0);
}

/// OPS-1
#[tokio::test]
async fn the_configuration_of_the_demo_is_valid() {
    let site = Site::new();
    let printed = portcullis(&site, &["demo", "--print-config"]).await;
    assert_eq!(printed.code, 0, "{}", printed.text());
    site.write("demo.toml", &printed.stdout);
    let checked = portcullis(&site, &["check", "demo.toml"]).await;
    assert_eq!(checked.code, 0, "{}", checked.text());
}

/// OPS-1
#[tokio::test]
async fn serve_puts_tls_in_front_of_a_url() {
    let site = Site::new();
    let origin = Origin::saying("hello from home").await;
    let port = unused_port().await;
    let mut command = Command::new(binary());
    command.args(["serve", "--from", &format!("home.localhost:{port}")]);
    command.args(["--to", &format!("http://{}", origin.endpoint())]).current_dir(site.path("."));
    let mut serve = Process::start(command);
    let address = ([127, 0, 0, 1], port).into();
    eventually("serve", async || {
        assert!(serve.exited().is_none(), "{:#?}", serve.stderr());
        TcpStream::connect(address).await.ok()
    })
    .await;
    let visit = Client::to(address).name("home.localhost").visit().await.unwrap();
    assert_eq!(visit.body, "hello from home");
    assert_eq!(visit.facts.chain.len(), 1, "a self-signed certificate");
    serve.signal(Signal::TERM);
    assert_eq!(serve.exit_code().await, 0);
}

/// OPS-1
#[tokio::test]
async fn help_and_version_are_there() {
    let site = Site::new();
    let help = portcullis(&site, &["--help"]).await;
    assert_eq!(help.code, 0);
    for command in ["run", "check", "reload", "status", "explain", "demo", "serve"] {
        assert!(help.stdout.contains(command), "{command}: {}", help.stdout);
    }
    let version = portcullis(&site, &["--version"]).await;
    assert_eq!(version.stdout.trim(), concat!("portcullis ", env!("CARGO_PKG_VERSION")));
}

fn curl_lines(demo: &Process) -> Vec<String> {
    let lines = demo.stdout();
    lines
        .iter()
        .map(|line| line.trim().to_owned())
        .filter(|line| line.starts_with("curl "))
        .collect()
}
