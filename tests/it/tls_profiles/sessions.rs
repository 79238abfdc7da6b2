//! What ends the worth of a ticket although the certificate and the name are the same; and early data.

use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::process::Command;

use crate::kit::Ca;
use crate::kit::Client;
use crate::kit::Issued;
use crate::kit::Leaf;
use crate::kit::Proxy;
use crate::kit::Site;
use crate::kit::command::run;
use crate::kit::far_end::server_config;
use crate::kit::openssl::s_client;
use crate::kit::tickets::Tickets;
use crate::kit::within;

/// One certificate, in use by a parent and both of its children.
struct House {
    card: Issued,
    proxy: Proxy,
    site: Site,
}

impl House {
    async fn start() -> Self {
        let site = Site::new();
        let ca = Ca::shared();
        site.certificate("c", &ca.issue(&Leaf::p256("a.test").and("b.test").and("edge.test")));
        site.write("one.pem", ca.pem());
        site.write("two.pem", [ca.pem(), Ca::root("another").pem()].concat());
        let card = ca.issue(&Leaf::p256("member"));
        let proxy = Proxy::start(&site, &toml("a.test", "")).await;
        Self { card, proxy, site }
    }

    async fn reload(&self, domain: &str, keys: &str) {
        self.site.configure(&toml(domain, keys));
        self.proxy.reload().await;
    }
}

fn toml(domain: &str, keys: &str) -> String {
    let answer = |name: &str| format!("no_pool = {{ status = 200, body = \"{name}\" }}");
    format!(
        "[virtual_service.edge]\nlisten = [\"127.0.0.1:0\"]\ncertificates = [\"c\"]\n{}\n\
         [virtual_service.b]\nparent = \"edge\"\ndomains = [\"b.test\"]\ncertificates = [\"c\"]\n{}\n\
         [virtual_service.a]\nparent = \"edge\"\ndomains = [\"{domain}\"]\ncertificates = [\"c\"]\n{}\n{keys}",
        answer("edge"),
        answer("b"),
        answer("a"),
    )
}

const VERSIONS: [fn(Client) -> Client; 2] = [Client::tls12, Client::tls13];

/// Whether a session was resumed, by a service of this name.
async fn resumed(client: &Client, by: &str) -> bool {
    let visit = client.visit().await.expect("a handshake and an answer");
    assert_eq!(visit.body, by);
    visit.facts.resumed
}

/// TLS-2: neither between children, nor between them and their parent.
#[tokio::test]
async fn a_common_certificate_makes_no_common_sessions() {
    let house = House::start().await;
    let services = [("a.test", "a"), ("b.test", "b"), ("edge.test", "edge")];
    for version in VERSIONS {
        for (name, by) in services {
            for (other, theirs) in services {
                let client = version(house.proxy.client(name)).resuming();
                assert!(!resumed(&client, by).await);
                let again = resumed(&client.clone().name(other), theirs).await;
                assert_eq!(again, name == other, "from {name} to {other}");
            }
        }
    }
}

/// TLS-2: from off to each of the others, and to another authority; a full handshake each, no error.
#[tokio::test]
async fn each_change_of_the_client_certificate_policy_ends_sessions() {
    let house = House::start().await;
    let asking = |mode: &str, ca: &str| {
        format!(
            "tls_profile = \"own\"\n[tls_profile.own]\n\
             client_certificate = {{ mode = \"{mode}\", ca = \"{ca}.pem\" }}\n"
        )
    };
    let policies = [
        asking("request", "one"),
        asking("require", "one"),
        asking("require", "two"),
        String::new(),
    ];
    for version in VERSIONS {
        house.reload("a.test", "").await;
        let client = version(house.proxy.client("a.test")).identity(&house.card).resuming();
        assert!(!resumed(&client, "a").await && resumed(&client, "a").await);
        for policy in &policies {
            house.reload("a.test", policy).await;
            assert!(client.tickets().any());
            assert!(!resumed(&client, "a").await, "{policy}");
            assert!(resumed(&client, "a").await, "{policy}");
        }
    }
}

/// TLS-2: the name is the same, and whose it is has changed.
#[tokio::test]
async fn a_ticket_does_not_follow_a_name_to_another_service() {
    let house = House::start().await;
    for version in VERSIONS {
        house.reload("a.test", "").await;
        let client = version(house.proxy.client("a.test")).resuming();
        assert!(!resumed(&client, "a").await && resumed(&client, "a").await);
        house.reload("other.test", "").await;
        assert!(!resumed(&client, "edge").await);
        assert!(resumed(&client, "edge").await);
    }
}

/// TLS-2: what could be played back is not asked for: openssl sees that it may send none.
#[tokio::test]
async fn tickets_allow_no_early_data() {
    let house = House::start().await;
    house.site.write("early", "GET / HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n");
    let (session, early) = (house.site.path("session"), house.site.path("early"));
    let (session, early) = (session.to_str().unwrap(), early.to_str().unwrap());
    let address = house.proxy.address("edge");
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &address.to_string(), "-servername", "a.test"]);
    command.args(["-tls1_3", "-ign_eof", "-sess_out", session]);
    let request = "GET / HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n";
    let first = run(command, request).await.text();
    assert!(first.contains("Max Early Data: 0"), "{first}");
    let arguments = ["-tls1_3", "-sess_in", session, "-early_data", early];
    let again = s_client(address, "a.test", &arguments).await.text;
    assert!(again.contains("Reused, TLSv1.3"), "{again}");
    assert!(!again.contains("Early data was accepted"), "{again}");
}

/// TLS-2: who sends some all the same is not heard, and the handshake goes on.
#[tokio::test]
async fn early_data_is_refused_and_the_handshake_goes_on() {
    let house = House::start().await;
    let address = house.proxy.address("edge");
    let theirs = Ca::shared().issue(&Leaf::p256("a.test"));
    let talk = tokio::task::spawn_blocking(move || {
        let config = eager_client();
        // A server that allows early data hands out a ticket that says so.
        let elsewhere = eager_server(&theirs);
        let early = b"GET /early HTTP/1.1\r\nhost: a.test\r\n\r\n";
        assert_eq!(exchange(&config, elsewhere, early), (false, "elsewhere".to_owned()));
        exchange(&config, address, early)
    });
    let (accepted, answer) = within("early data", talk).await.unwrap();
    assert!(!accepted);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\na"), "{answer}");
    let lines = async || {
        let lines = crate::kit::proxy::log_lines(&house.site, "app.log");
        (!lines.is_empty()).then_some(lines)
    };
    let lines = crate::kit::eventually("the line of the request", lines).await;
    assert!(lines.iter().all(|line| line["url.path"] != "/early"), "{lines:#?}");
}

fn eager_client() -> Arc<rustls::ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates([Ca::shared().der()]);
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.enable_early_data = true;
    config.resumption = rustls::client::Resumption::store(Arc::new(Tickets::default()));
    Arc::new(config)
}

/// Serves one connection.
fn eager_server(issued: &Issued) -> SocketAddr {
    let mut config = server_config(issued);
    config.alpn_protocols.clear();
    config.max_early_data_size = 16_384;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (tcp, _) = listener.accept().unwrap();
        let connection = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = rustls::StreamOwned::new(connection, tcp);
        let _ = stream.write_all(b"elsewhere");
        stream.conn.send_close_notify();
        let _ = stream.flush();
        let _ = stream.read(&mut [0]);
    });
    address
}

/// Whether early data was accepted, and the answer to a request after the handshake.
fn exchange(
    config: &Arc<rustls::ClientConfig>,
    address: SocketAddr,
    early: &[u8],
) -> (bool, String) {
    let name = ServerName::try_from("a.test").unwrap();
    let mut connection = rustls::ClientConnection::new(Arc::clone(config), name).unwrap();
    if let Some(mut data) = connection.early_data() {
        data.write_all(early).unwrap();
    }
    let tcp = TcpStream::connect(address).unwrap();
    let mut stream = rustls::StreamOwned::new(connection, tcp);
    stream.flush().unwrap();
    let request = b"GET / HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n";
    stream.write_all(request).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    (stream.conn.is_early_data_accepted(), answer)
}
