//! `openssl` as a second opinion: arguments in, what it saw out.

use std::net::SocketAddr;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::process::Command;

use super::ca::Issued;
use super::command::Finished;
use super::command::run;
use super::site::Site;

/// What `openssl s_client` reported.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The leaf that was served.
    pub(crate) certificate: Option<CertificateDer<'static>>,
    /// `TLSv1.2`, `TLSv1.3`; empty where there was no handshake.
    pub(crate) version: String,
    pub(crate) cipher: String,
    /// The number of the alert that the server sent.
    pub(crate) alert: Option<u8>,
    /// What verification said: `0 (ok)`.
    pub(crate) verified: String,
    /// Everything, for the message of a failing test.
    pub(crate) text: String,
}

impl Outcome {
    /// Whether this certificate was served.
    pub(crate) fn served(&self, issued: &Issued) -> bool {
        self.certificate.as_ref() == Some(&issued.certificate)
    }
}

/// `openssl s_client -connect ADDRESS -servername NAME ARGUMENTS`, with an empty input.
pub(crate) async fn s_client(address: SocketAddr, name: &str, arguments: &[&str]) -> Outcome {
    let mut command = Command::new("openssl");
    command.arg("s_client").arg("-connect").arg(address.to_string());
    command.args(["-servername", name]).args(arguments);
    parse(run(command, "").await.text())
}

/// `openssl ARGUMENTS` in the directory of a site, with this on its standard input.
pub(crate) async fn openssl(site: &Site, arguments: &[&str], input: &str) -> Finished {
    let mut command = Command::new("openssl");
    command.current_dir(site.path(".")).args(arguments);
    run(command, input).await
}

fn parse(text: String) -> Outcome {
    // "New, TLSv1.3, Cipher is TLS_AES_256_GCM_SHA384"; "New, (NONE), Cipher is (NONE)".
    let agreed = text.lines().find(|line| line.contains(", Cipher is ")).unwrap_or_default();
    let mut words = agreed.split(", ").skip(1);
    let version = words.next().unwrap_or_default().replace("(NONE)", "");
    let cipher = words.next().unwrap_or_default().replace("Cipher is ", "").replace("(NONE)", "");
    let alert = text
        .split_once("SSL alert number ")
        .and_then(|(_, rest)| rest.split_whitespace().next()?.parse().ok());
    let verified = text
        .split_once("Verify return code: ")
        .and_then(|(_, rest)| rest.lines().next())
        .unwrap_or_default()
        .to_owned();
    let certificate = CertificateDer::from_pem_slice(text.as_bytes()).ok();
    Outcome { certificate, version, cipher, alert, verified, text }
}
