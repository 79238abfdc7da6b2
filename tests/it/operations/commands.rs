//! `check`, `status`, `reload` and `explain`.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rustls::CipherSuite;
use rustls::NamedGroup;
use rustls::SignatureScheme;

use crate::kit::Client;
use crate::kit::Proxy;
use crate::kit::Site;
use crate::kit::TwoSites;
use crate::kit::command::Finished;
use crate::kit::portcullis;
use crate::kit::raw_origin::unused_port;

/// OPS-1
#[tokio::test]
async fn check_accepts_what_run_accepts() {
    let street = TwoSites::start().await;
    let config = street.site.config();
    for arguments in [&["check"][..], &["check", "--deep"]] {
        let mut arguments: Vec<&std::ffi::OsStr> =
            arguments.iter().map(std::ffi::OsStr::new).collect();
        arguments.push(config.as_os_str());
        let checked = portcullis(&street.site, &arguments).await;
        assert_eq!(checked.code, 0, "{}", checked.text());
    }
}

/// OPS-1
#[tokio::test]
async fn check_lists_all_complaints_with_their_lines() {
    let site = Site::new();
    site.configure(
        r#"
[virtual_service.edge]
listen = ["127.0.0.1:99999"]
certificates = ["nowhere"]
tls_profile = "intermediat"

[virtual_service.shop]
parent = "edge"
domains = ["shop..test"]
certificats = []
pool = "shop"
"#,
    );
    let config = site.config();
    let checked = portcullis(&site, &["check".as_ref(), config.as_os_str()]).await;
    assert_eq!(checked.code, 78, "{}", checked.text());
    for wrong in
        ["127.0.0.1:99999", "\"nowhere\"", "intermediat\"", "shop..test", "certificats", "pool ="]
    {
        let place = format!("portcullis.toml:{}:", site.line_of(wrong));
        assert!(checked.text().contains(&place), "{wrong}: {}", checked.text());
    }
    for hint in ["intermediate", "certificates"] {
        assert!(checked.text().contains(hint), "did you mean {hint}: {}", checked.text());
    }
}

/// OPS-1
#[tokio::test]
async fn a_configuration_that_is_not_there_is_named() {
    let site = Site::new();
    for command in ["check", "run"] {
        let arguments: &[&str] = if command == "run" {
            &["run", "--config", "none.toml"]
        } else {
            &["check", "none.toml"]
        };
        let finished = portcullis(&site, arguments).await;
        assert_ne!(finished.code, 0, "{}", finished.text());
        assert!(finished.text().contains("none.toml"), "{}", finished.text());
    }
}

/// OPS-1
#[tokio::test]
async fn run_refuses_an_invalid_configuration_with_78() {
    let site = Site::new();
    site.configure("[virtual_service.edge]\nlisten = [\"nonsense\"]\n");
    let config = site.config();
    let finished =
        portcullis(&site, &["run".as_ref(), "--config".as_ref(), config.as_os_str()]).await;
    assert_eq!(finished.code, 78, "{}", finished.text());
    assert!(finished.text().contains("nonsense"), "{}", finished.text());
}

/// OPS-1
#[tokio::test]
async fn status_shows_services_and_certificates() {
    let street = TwoSites::start().await;
    let admin = street.proxy.admin().to_string();
    let text = portcullis(&street.site, &["status", "--admin", &admin]).await;
    assert_eq!(text.code, 0, "{}", text.text());
    let json = portcullis(&street.site, &["status", "--admin", &admin, "--json"]).await;
    assert_eq!(json.code, 0, "{}", json.text());
    let parsed: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    for word in ["edge", "shop", "blog", "shop_ec", "shop_rsa"] {
        assert!(text.stdout.contains(word), "{word}: {}", text.stdout);
        assert!(parsed.to_string().contains(word), "{word}: {parsed:#}");
    }
}

/// OPS-1
#[tokio::test]
async fn commands_say_when_nobody_answers() {
    let site = Site::new();
    let nobody = format!("127.0.0.1:{}", unused_port().await);
    for command in ["status", "reload"] {
        let finished = portcullis(&site, &[command, "--admin", &nobody]).await;
        assert_ne!(finished.code, 0, "{command}");
        assert!(finished.stderr.contains(&nobody), "{command}: {}", finished.stderr);
    }
}

/// OPS-4
#[tokio::test]
async fn the_admin_address_may_be_a_unix_socket() {
    let street = TwoSites::start().await;
    street.site.configure(&street.toml("[admin]\nlisten = \"unix:admin.sock\""));
    let second = Proxy::run(&street.site).await;
    let status = portcullis(&street.site, &["status", "--admin", "unix:admin.sock"]).await;
    assert_eq!(status.code, 0, "{}", status.text());
    assert!(status.stdout.contains("shop"), "{}", status.stdout);
    let reload = portcullis(&street.site, &["reload", "--admin", "unix:admin.sock"]).await;
    assert_eq!(reload.code, 0, "{}", reload.text());
    let mode = fs::metadata(street.site.path("admin.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "for its owner alone");
    drop(second);
}

/// TLS-5
#[tokio::test]
async fn explain_agrees_with_live_handshakes() {
    let street = TwoSites::start().await;
    let rsa = CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256;
    let clients = [
        street.client("shop.test"),
        street.client("shop.test").tls12(),
        street.client("shop.test").tls12().suites(&[rsa]),
        street.client("shop.test").tls12().groups(&[NamedGroup::X25519]),
        street.client("shop.test").tls13().schemes(&[SignatureScheme::RSA_PSS_SHA256]),
        street.client("shop.test").tls13().groups(&[NamedGroup::secp384r1]),
        street.client("deep.shop.test"),
        street.client("blog.test"),
        street.client("nobody.test"),
    ];
    for (number, client) in clients.iter().enumerate() {
        let explained = explain_hello(&street, client).await;
        assert_eq!(explained.code, 0, "client {number}: {}", explained.text());
        let facts = client.handshake().await.unwrap().facts;
        let leaf = &facts.chain[0];
        let certificates = [
            ("shop", "shop_ec", &street.shop_ec),
            ("shop", "shop_rsa", &street.shop_rsa),
            ("blog", "blog_ec", &street.blog_ec),
            ("edge", "edge_ec", &street.edge_ec),
        ];
        let served = certificates.iter().find(|(_, _, issued)| issued.certificate == *leaf);
        let (service, certificate, _) = served.expect("one of ours");
        let suite = format!("{:?}", facts.suite).replace("TLS13_", "TLS_");
        let group = format!("{:?}", facts.group.expect("a group"));
        let group = group.replace("secp256r1", "P-256").replace("secp384r1", "P-384");
        // What it would choose, not what the client offers.
        let text = explained.stdout.lines().filter(|line| !line.starts_with("offers"));
        let text = text.collect::<Vec<_>>().join("\n").to_lowercase();
        for word in [service, certificate, facts.version, &*suite, &*group] {
            assert!(text.contains(&word.to_lowercase()), "client {number}: {word} in {text}");
        }
    }
}

/// TLS-5
#[tokio::test]
async fn explain_says_why_nothing_fits() {
    let street = TwoSites::start().await;
    let rsa_only = street
        .client("blog.test")
        .tls12()
        .suites(&[CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]);
    assert!(rsa_only.handshake().await.is_err());
    let explained = explain_hello(&street, &rsa_only).await;
    assert!(explained.text().contains("handshake_failure"), "{}", explained.text());
}

/// TLS-5
#[tokio::test]
async fn explain_knows_usual_clients_by_name() {
    let street = TwoSites::start().await;
    let config = street.site.config().display().to_string();
    for (client, certificate) in [
        ("chrome", "shop_ec"),
        ("firefox", "shop_ec"),
        ("curl", "shop_ec"),
        ("rsa_only", "shop_rsa"),
    ] {
        let arguments = ["explain", "--config", &config, "shop.test", "--client", client];
        let explained = portcullis(&street.site, &arguments).await;
        assert_eq!(explained.code, 0, "{client}: {}", explained.text());
        assert!(explained.stdout.contains(certificate), "{client}: {}", explained.stdout);
    }
    let arguments = ["explain", "--config", &config, "shop.test", "--client", "netscape"];
    let unknown = portcullis(&street.site, &arguments).await;
    assert_ne!(unknown.code, 0);
    assert!(unknown.text().contains("chrome"), "the names that exist: {}", unknown.text());
}

async fn explain_hello(street: &TwoSites, client: &Client) -> Finished {
    let hex: String = client.hello().iter().map(|byte| format!("{byte:02x}")).collect();
    street.site.write("hello.hex", hex);
    let config = street.site.config().display().to_string();
    let name = client.server_name_text();
    let arguments = ["explain", "--config", &config, name, "--hello", "hello.hex"];
    portcullis(&street.site, &arguments).await
}
