//! `portcullis demo`: the main job with nothing to prepare.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use crate::cli::demo_origin;
use crate::cli::run;
use crate::cli::throw_away;
use crate::cli::throw_away::Ca;
use crate::cli::throw_away::Leaf;

/// Makes a CA and certificates, starts two origins and the proxy, and prints what to try.
#[derive(Debug, clap::Args)]
pub struct Demo {
    /// Print the configuration instead, for `portcullis run`; makes the certificates it names.
    #[arg(long)]
    print_config: bool,
    /// Where the throw-away CA, the certificates and the configuration go.
    #[arg(long, value_name = "DIRECTORY", default_value = "portcullis-demo")]
    dir: PathBuf,
    /// The port of the TLS listener; 0 takes any free one.
    #[arg(long, default_value_t = 8443)]
    port: u16,
    /// The port of the plain listener that redirects to HTTPS; 0 takes any free one.
    #[arg(long, default_value_t = 8080)]
    http_port: u16,
    /// The port of the metrics; 0 takes any free one.
    #[arg(long, default_value_t = 9901)]
    admin_port: u16,
    /// The port of the first built-in origin; the second has the next one. 0 takes any free ones.
    #[arg(long, default_value_t = 9001)]
    origin_port: u16,
}

impl Demo {
    /// Runs until it is told to stop.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let directory = self.make_directory()?;
        self.make_certificates(&directory)?;
        if self.print_config {
            let second = self.origin_port.saturating_add(1);
            let origins =
                [self.origin_port, second].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
            print!("{}", self.config(&directory, origins));
            return Ok(ExitCode::SUCCESS);
        }
        let origins = demo_origin::start(["shop", "blog"], self.origin_port)?;
        let file = directory.join("portcullis.toml");
        throw_away::write(&file, &self.config(&directory, origins), throw_away::PUBLIC)?;
        let ca = directory.join("ca.pem");
        run::serve(&file, move |addresses| {
            let tls = addresses.tls.map_or(0, |address| address.port());
            print!("{}", what_to_try(&ca, tls, &addresses.admin.to_string()));
        })
    }

    fn make_directory(&self) -> anyhow::Result<PathBuf> {
        let said = || format!("cannot make the directory {}", self.dir.display());
        fs::create_dir_all(&self.dir).with_context(said)?;
        fs::canonicalize(&self.dir).with_context(said)
    }

    fn make_certificates(&self, directory: &Path) -> anyhow::Result<()> {
        let ca = Ca::new("Portcullis demo CA")?;
        throw_away::write(&directory.join("ca.pem"), ca.pem(), throw_away::PUBLIC)?;
        ca.issue(directory, "wildcard-ec", Leaf::Ec, &PARENT_NAMES)?;
        ca.issue(directory, "wildcard-rsa", Leaf::Rsa, &PARENT_NAMES)?;
        ca.issue(directory, "shop-ec", Leaf::Ec, &["shop.localhost"])?;
        ca.issue(directory, "shop-rsa", Leaf::Rsa, &["shop.localhost"])?;
        ca.issue(directory, "blog-ec", Leaf::Ec, &["blog.localhost"])
    }

    fn config(&self, directory: &Path, origins: [SocketAddr; 2]) -> String {
        let Self { port, http_port, admin_port, .. } = self;
        let [shop, blog] = origins;
        let directory = directory.display();
        format!(
            r#"# Two sites behind one listener, as `portcullis demo` runs them.
workers = 2
state_dir = "{directory}/state"

[admin]
listen = "127.0.0.1:{admin_port}"

[log]
application = "{directory}/application.log"

# The parent owns the sockets and serves the names that no child owns.
[virtual_service.edge]
listen = ["127.0.0.1:{port}"]
redirect_http = ["127.0.0.1:{http_port}"]
certificates = ["wildcard_ec", "wildcard_rsa"]
tls_profile = "intermediate"
no_pool = {{ status = 404, body = "no such site\n" }}

# A child with both key types: each client gets the one that it can use, ECDSA first.
[virtual_service.shop]
parent = "edge"
domains = ["shop.localhost", "*.shop.localhost"]
certificates = ["shop_ec", "shop_rsa"]
pool = "shop"

# A child with a stricter profile than its parent: TLS 1.3 only.
[virtual_service.blog]
parent = "edge"
domains = ["blog.localhost"]
certificates = ["blog_ec"]
tls_profile = "modern"
pool = "blog"

[certificate.wildcard_ec]
chain = "{directory}/wildcard-ec.pem"
key = {{ file = "{directory}/wildcard-ec.key" }}

[certificate.wildcard_rsa]
chain = "{directory}/wildcard-rsa.pem"
key = {{ file = "{directory}/wildcard-rsa.key" }}

[certificate.shop_ec]
chain = "{directory}/shop-ec.pem"
key = {{ file = "{directory}/shop-ec.key" }}

[certificate.shop_rsa]
chain = "{directory}/shop-rsa.pem"
key = {{ file = "{directory}/shop-rsa.key" }}

[certificate.blog_ec]
chain = "{directory}/blog-ec.pem"
key = {{ file = "{directory}/blog-ec.key" }}

# The origins that are built into `portcullis demo`; put your own address here.
[pool.shop]
endpoints = ["{shop}"]

[pool.blog]
endpoints = ["{blog}"]
"#
        )
    }
}

/// The lines to paste. Each of them is run by a test.
fn what_to_try(ca: &Path, port: u16, admin: &str) -> String {
    let ca = ca.display();
    format!(
        r#"
Portcullis serves two sites on 127.0.0.1:{port}. Paste these into another terminal:

  # a site, with an ECDSA certificate
  curl --cacert {ca} https://shop.localhost:{port}/

  # the other site; its profile is TLS 1.3 only
  curl --cacert {ca} https://blog.localhost:{port}/

  # the first site for a client that can only use RSA: same name, RSA certificate
  curl -sv --cacert {ca} --tls-max 1.2 --ciphers ECDHE-RSA-AES128-GCM-SHA256 https://shop.localhost:{port}/ 2>&1 | grep -E 'SSL connection|Hello'

  # a request for one site on a connection of the other: 421, and no origin sees it
  curl -s -o /dev/null -w '%{{http_code}}\n' --cacert {ca} -H 'Host: blog.localhost' https://shop.localhost:{port}/

  # a name that nobody owns is the parent's
  curl --cacert {ca} https://nobody.localhost:{port}/

  # what Prometheus sees
  curl -s http://{admin}/metrics | grep handshakes_total

Ctrl-C stops it. `portcullis demo --print-config` prints its configuration.
"#
    )
}

/// What the parent's certificates cover. Some clients take no wildcard directly below a top level,
/// so the name of the last line to paste is spelt out.
const PARENT_NAMES: [&str; 3] = ["*.localhost", "localhost", "nobody.localhost"];
