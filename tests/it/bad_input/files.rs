//! What should not come in, from files: configuration, certificates, keys, addresses.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use tokio::process::Command as AsyncCommand;

use crate::kit::Ca;
use crate::kit::Issued;
use crate::kit::Leaf;
use crate::kit::Proxy;
use crate::kit::Site;
use crate::kit::command::Finished;
use crate::kit::command::binary;
use crate::kit::command::installed;
use crate::kit::command::run;
use crate::kit::portcullis;
use crate::kit::process::Process;

/// RL-3
#[tokio::test]
async fn broken_certificate_files_are_named_by_the_deep_check() {
    let whole = Ca::shared().issue(&Leaf::p256("one.test"));
    let half = whole.chain[..whole.chain.len() / 2].to_owned();
    for broken in [half.as_str(), "", "rubbish", &whole.key] {
        let site = site_with(&whole);
        site.write("certs/c.pem", broken);
        let checked = check_deep(&site).await;
        assert_ne!(checked.code, 0, "{}", checked.text());
        assert!(checked.text().contains("certs/c.pem"), "{}", checked.text());
    }
}

/// RL-3
#[tokio::test]
async fn broken_key_files_are_named_by_the_deep_check() {
    let whole = Ca::shared().issue(&Leaf::p256("one.test"));
    let half = whole.key[..whole.key.len() / 2].to_owned();
    for broken in [half.as_str(), "", "rubbish", &whole.chain] {
        let site = site_with(&whole);
        site.write("certs/c.key", broken);
        let checked = check_deep(&site).await;
        assert_ne!(checked.code, 0, "{}", checked.text());
        assert!(checked.text().contains("certs/c.key"), "{}", checked.text());
    }
}

/// RL-3
#[tokio::test]
async fn a_directory_or_nothing_where_a_file_should_be_is_named() {
    for file in ["certs/c.pem", "certs/c.key"] {
        let site = site_with(&Ca::shared().issue(&Leaf::p256("one.test")));
        fs::remove_file(site.path(file)).unwrap();
        let missing = check_deep(&site).await;
        assert_ne!(missing.code, 0, "{}", missing.text());
        assert!(missing.text().contains(file), "{}", missing.text());
        fs::create_dir(site.path(file)).unwrap();
        let directory = check_deep(&site).await;
        assert_ne!(directory.code, 0, "{}", directory.text());
        assert!(directory.text().contains(file), "{}", directory.text());
        assert!(directory.text().contains("directory"), "{}", directory.text());
    }
}

/// RL-3
#[tokio::test]
async fn an_unreadable_key_is_named() {
    let site = site_with(&Ca::shared().issue(&Leaf::p256("one.test")));
    fs::set_permissions(site.path("certs/c.key"), fs::Permissions::from_mode(0o000)).unwrap();
    let checked = check_deep(&site).await;
    if rustix::process::geteuid().is_root() {
        // Root reads everything: nothing to complain about.
        assert_eq!(checked.code, 0, "{}", checked.text());
        return;
    }
    assert_ne!(checked.code, 0, "{}", checked.text());
    assert!(checked.text().contains("certs/c.key"), "{}", checked.text());
}

/// CERT-2
#[tokio::test]
async fn a_key_of_another_certificate_is_refused_with_both_fingerprints() {
    let site = site_with(&Ca::shared().issue(&Leaf::p256("one.test")));
    site.write("certs/c.key", &Ca::shared().issue(&Leaf::p256("one.test")).key);
    let checked = check_deep(&site).await;
    assert_ne!(checked.code, 0, "{}", checked.text());
    let hexadecimal = |word: &&str| {
        let digits = word.chars().filter(|c| *c != ':').collect::<String>();
        digits.len() >= 32 && digits.chars().all(|c| c.is_ascii_hexdigit())
    };
    let text = checked.text().replace([',', '.', '(', ')', ';', '"', '`'], " ");
    let text = text.replace("sha256:", "").replace("SHA256:", "");
    let fingerprints = text.split_whitespace().filter(hexadecimal).count();
    assert_eq!(fingerprints, 2, "{}", checked.text());
}

/// DUAL
#[tokio::test]
async fn an_expired_certificate_is_a_warning_of_the_deep_check() {
    let site = site_with(&Ca::shared().issue(&Leaf::p256("one.test").expired()));
    let checked = check_deep(&site).await;
    assert_eq!(checked.code, 0, "{}", checked.text());
    assert!(checked.text().contains("expired"), "{}", checked.text());
}

/// CERT-1
#[tokio::test]
async fn every_shape_of_a_key_is_read_and_served() {
    if !installed("openssl") {
        return;
    }
    for (leaf, shape) in [
        (Leaf::p256("one.test"), "ec"),
        (Leaf::p384("one.test"), "ec"),
        (Leaf::rsa("one.test"), "rsa -traditional"),
        (Leaf::rsa("one.test"), "pkcs8 -topk8 -nocrypt"),
    ] {
        let issued = Ca::shared().issue(&leaf);
        let site = site_with(&issued);
        openssl_rewrites_the_key(&site, shape).await;
        let proxy = Proxy::run(&site).await;
        let session = proxy.client("one.test").handshake().await.unwrap();
        assert!(session.facts.served(&issued), "{shape}");
    }
}

/// CERT-1
#[tokio::test]
async fn an_encrypted_key_is_read_with_its_passphrase() {
    if !installed("openssl") {
        return;
    }
    for shape in ["aes-256-cbc -v2prf hmacWithSHA256", "aes-128-cbc"] {
        let site = site_with_encrypted_key(shape).await;
        site.write("passphrase", "correct horse\n");
        let proxy = Proxy::start(&site, &encrypted(r#"{ file = "passphrase" }"#)).await;
        assert_eq!(proxy.client("one.test").visit().await.unwrap().body, "one", "{shape}");
    }
}

/// CERT-1
#[tokio::test]
async fn a_passphrase_may_come_from_the_environment() {
    if !installed("openssl") {
        return;
    }
    let site = site_with_encrypted_key("aes-256-cbc").await;
    site.configure(&encrypted(r#"{ env = "TEST_PASSPHRASE" }"#));
    let mut command = AsyncCommand::new(binary());
    command.env("TEST_PASSPHRASE", "correct horse").args(["check", "--deep"]).arg(site.config());
    let checked = run(command, "").await;
    assert_eq!(checked.code, 0, "{}", checked.text());
}

/// CERT-1
#[tokio::test]
async fn a_wrong_or_missing_passphrase_is_named_and_not_repeated() {
    if !installed("openssl") {
        return;
    }
    let site = site_with_encrypted_key("aes-256-cbc").await;
    site.write("passphrase", "battery staple");
    site.configure(&encrypted(r#"{ file = "passphrase" }"#));
    let wrong = check_deep(&site).await;
    assert_ne!(wrong.code, 0, "{}", wrong.text());
    assert!(wrong.text().contains("passphrase"), "{}", wrong.text());
    assert!(wrong.text().contains("certs/c.key"), "{}", wrong.text());
    assert!(!wrong.text().contains("staple"), "{}", wrong.text());

    site.configure(ONE);
    let missing = check_deep(&site).await;
    assert_ne!(missing.code, 0, "{}", missing.text());
    assert!(missing.text().contains("passphrase"), "{}", missing.text());
}

/// OPS-1
#[tokio::test]
async fn an_address_in_use_is_named_and_the_exit_code_is_1() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let site = site_with(&Ca::shared().issue(&Leaf::p256("one.test")));
    site.configure(&ONE.replace("127.0.0.1:0", &address));
    let mut command = Command::new(binary());
    command.arg("run").arg("--config").arg(site.config());
    let mut process = Process::start(command);
    assert_eq!(process.exit_code().await, 1);
    let said = crate::kit::eventually("a message", async || {
        let said = process.stderr().join("\n");
        said.contains(&address).then_some(said)
    })
    .await;
    assert!(said.to_ascii_lowercase().contains("in use"), "{said}");
}

/// OPS-1
#[tokio::test]
async fn garbage_as_configuration_is_refused_quickly_and_briefly() {
    let noise: Vec<u8> =
        (0..1_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let brackets = "[".repeat(1_000_000).into_bytes();
    let letters = "x".repeat(1_000_000).into_bytes();
    let lines = "nonsense = [\n".repeat(80_000).into_bytes();
    let tables: Vec<u8> = (0..50_000).flat_map(|n| format!("[t{n}]\n").into_bytes()).collect();
    for garbage in [noise, brackets, letters, lines, tables] {
        let site = Site::new();
        site.write("portcullis.toml", &garbage);
        let config = site.config();
        let checked = portcullis(&site, &["check".as_ref(), config.as_os_str()]).await;
        assert_eq!(checked.code, 78, "{:.2000}", checked.text());
        assert!(checked.text().contains("portcullis.toml"), "{:.2000}", checked.text());
        assert!(checked.text().len() < 100_000, "{} bytes of complaints", checked.text().len());
    }
}

const ONE: &str = r#"
[virtual_service.edge]
listen = ["127.0.0.1:0"]
certificates = ["c"]
no_pool = { status = 200, body = "one" }
"#;

fn site_with(issued: &Issued) -> Site {
    let site = Site::new();
    site.certificate("c", issued);
    site.configure(ONE);
    site
}

async fn check_deep(site: &Site) -> Finished {
    let config = site.config();
    portcullis(site, &["check".as_ref(), "--deep".as_ref(), config.as_os_str()]).await
}

/// The configuration with a passphrase for the key.
fn encrypted(passphrase: &str) -> String {
    format!(
        "{ONE}\n[certificate.c]\nchain = \"certs/c.pem\"\n\
         key = {{ file = \"certs/c.key\", passphrase = {passphrase} }}\n"
    )
}

async fn site_with_encrypted_key(cipher: &str) -> Site {
    let site = site_with(&Ca::shared().issue(&Leaf::p256("one.test")));
    let shape = format!("pkcs8 -topk8 -passout file:phrase -v2 {cipher}");
    site.write("phrase", "correct horse");
    openssl_rewrites_the_key(&site, &shape).await;
    assert!(site.read("certs/c.key").contains("ENCRYPTED"));
    site
}

async fn openssl_rewrites_the_key(site: &Site, shape: &str) {
    let mut command = AsyncCommand::new("openssl");
    command.args(shape.split(' ')).args(["-in", "certs/c.key", "-out", "certs/c.key.new"]);
    command.current_dir(site.path("."));
    let finished = run(command, "").await;
    assert_eq!(finished.code, 0, "{}", finished.text());
    fs::rename(site.path("certs/c.key.new"), site.path("certs/c.key")).unwrap();
}
