//! Sockets that the service manager opened, and what it is told.

use std::net::TcpListener;
use std::net::UdpSocket;
use std::os::fd::OwnedFd;
use std::process::Command;
use std::process::Stdio;

use rustix::process::Signal;
use tokio::net::UnixDatagram;

use crate::kit::Ca;
use crate::kit::Leaf;
use crate::kit::Proxy;
use crate::kit::Site;
use crate::kit::command::binary;
use crate::kit::eventually;
use crate::kit::process::Process;
use crate::kit::within;

/// OPS-3
#[tokio::test]
async fn a_passed_socket_is_used_in_place_of_a_new_one() {
    let site = site();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    // Waits in the queue of the socket until the proxy serves.
    let early = tokio::net::TcpStream::connect(address).await.unwrap();
    let proxy = Proxy::start_by(passing(socket), &site, &toml(&address.to_string())).await;
    assert_eq!(proxy.address("edge"), address);
    drop(early);
    for _ in 0..8 {
        assert_eq!(proxy.client("one.test").visit().await.unwrap().body, "one");
    }
    proxy.reload().await;
    assert_eq!(proxy.client("one.test").visit().await.unwrap().body, "one");
    let accepted = proxy.metric("portcullis_listener_connections_total", &[]).await;
    assert_eq!(accepted, 10.0, "the early one too");
}

/// OPS-3
#[tokio::test]
async fn the_admin_address_can_be_passed_too() {
    let site = site();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let toml = format!("[admin]\nlisten = \"{address}\"\n{}", toml("127.0.0.1:0"));
    let proxy = Proxy::start_by(passing(socket), &site, &toml).await;
    assert_eq!(proxy.admin(), address);
    assert_eq!(proxy.ask("/livez").await.status, 200);
}

/// OPS-3
#[tokio::test]
async fn a_passed_socket_that_nobody_wants_is_told_and_closed() {
    let site = site();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let proxy = Proxy::start_by(passing(socket), &site, &toml("127.0.0.1:0")).await;
    let told = |message: &serde_json::Value| message["address"] == address.to_string();
    assert_eq!(proxy.says("a warning", told).await["level"], "WARN");
    TcpListener::bind(address).expect("the address is free again");
}

/// OPS-3
#[tokio::test]
async fn a_socket_of_the_wrong_kind_is_refused() {
    let site = site();
    site.configure(&toml("127.0.0.1:0"));
    let (mut command, stdin) = passing(UdpSocket::bind("127.0.0.1:0").unwrap());
    command.arg("run").arg(site.config());
    let mut process = Process::start_reading(command, stdin);
    assert_eq!(process.exit_code().await, 1);
    eventually("a message", async || {
        Some(()).filter(|()| process.stderr().join("\n").contains("descriptor 3 is a socket of"))
    })
    .await;
}

/// OPS-3: what was meant for the parent process is not ours.
#[tokio::test]
async fn sockets_for_another_process_are_left_alone() {
    let site = site();
    let mut command = Command::new(binary());
    command.env("LISTEN_PID", std::process::id().to_string()).env("LISTEN_FDS", "7");
    let proxy = Proxy::start_by((command, Stdio::null()), &site, &toml("127.0.0.1:0")).await;
    assert_eq!(proxy.client("one.test").visit().await.unwrap().body, "one");
}

/// OPS-3
#[tokio::test]
async fn the_service_manager_is_told_when_it_serves_reloads_and_stops() {
    let site = site();
    let manager = UnixDatagram::bind(site.path("notify")).unwrap();
    let mut command = Command::new(binary());
    command.env("NOTIFY_SOCKET", site.path("notify"));
    let proxy = Proxy::start_by((command, Stdio::null()), &site, &toml("127.0.0.1:0")).await;
    let told = async || {
        let mut buffer = [0; 256];
        let length = within("a notification", manager.recv(&mut buffer)).await.unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    assert_eq!(told().await, "READY=1");
    proxy.reload().await;
    assert!(told().await.starts_with("RELOADING=1\nMONOTONIC_USEC="));
    assert_eq!(told().await, "READY=1");
    proxy.signal(Signal::TERM);
    assert_eq!(told().await, "STOPPING=1");
}

/// As a service manager does: the socket is descriptor 3, and the process that is meant is the one that is
/// executed. A shell moves it there from its standard input.
fn passing(socket: impl Into<OwnedFd>) -> (Command, Stdio) {
    let script = "exec 3<&0 0</dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\"";
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).arg(binary());
    (command, Stdio::from(socket.into()))
}

fn site() -> Site {
    let site = Site::new();
    site.certificate("c", &Ca::shared().issue(&Leaf::p256("one.test")));
    site
}

fn toml(listen: &str) -> String {
    format!(
        "[virtual_service.edge]\nlisten = [\"{listen}\"]\ncertificates = [\"c\"]\n\
         no_pool = {{ status = 200, body = \"one\" }}\n"
    )
}
