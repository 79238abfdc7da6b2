//! `portcullis serve`: TLS in front of one address, in one line.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use anyhow::bail;

use crate::cli::run;
use crate::cli::throw_away;
use crate::names::EndpointAddr;

/// Makes a self-signed certificate for a name and proxies it to a URL.
#[derive(Debug, clap::Args)]
pub struct Serve {
    /// The name and port to serve, such as `shop.localhost:8443`.
    #[arg(long, value_name = "NAME:PORT")]
    from: String,
    /// Where requests go, such as `http://127.0.0.1:3000` or `https://app.internal`.
    #[arg(long, value_name = "URL")]
    to: String,
    /// Where the certificate and the configuration go; a good start for a file of your own.
    #[arg(long, value_name = "DIRECTORY", default_value = "portcullis-serve")]
    dir: PathBuf,
    /// The address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    listen: std::net::IpAddr,
    /// Print the configuration instead of serving it; makes the certificate that it names.
    #[arg(long)]
    print_config: bool,
}

impl Serve {
    /// Runs until it is told to stop.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let (name, port) = self.from.rsplit_once(':').context("--from needs NAME:PORT")?;
        let port: u16 =
            port.parse().context("--from needs a port from 0 to 65535 after the colon")?;
        let name: crate::names::ServerName = name.parse().context("--from needs a domain name")?;
        let to = Destination::parse(&self.to)?;

        let said = || format!("cannot make the directory {}", self.dir.display());
        fs::create_dir_all(&self.dir).with_context(said)?;
        let directory = fs::canonicalize(&self.dir).with_context(said)?;
        throw_away::self_signed(&directory, "self-signed", name.as_str())?;

        let listen = std::net::SocketAddr::new(self.listen, port);
        let config = config(&directory.display().to_string(), &listen.to_string(), &name, &to);
        if self.print_config {
            print!("{config}");
            return Ok(ExitCode::SUCCESS);
        }
        let file = directory.join("portcullis.toml");
        throw_away::write(&file, &config, throw_away::PUBLIC)?;
        let certificate = directory.join("self-signed.pem");
        run::serve(&file, move |addresses| {
            let port = addresses.tls.map_or(port, |address| address.port());
            println!(
                "https://{name}:{port}/ is served with a self-signed certificate. Try:\n\n  \
                 curl --cacert {} --connect-to {name}:{port}:127.0.0.1:{port} https://{name}:{port}/\n",
                certificate.display()
            );
        })
    }
}

/// The scheme, host and port of `--to`.
struct Destination {
    tls: bool,
    endpoint: EndpointAddr,
}

impl Destination {
    fn parse(url: &str) -> anyhow::Result<Self> {
        let uri: http::Uri =
            url.parse().context("--to needs a URL, such as http://127.0.0.1:3000")?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => bail!("--to needs a URL that starts with http:// or https://"),
        };
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            bail!("--to takes no path: requests keep the path that the client asked for");
        }
        let host = uri.host().context("--to needs a host")?;
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let endpoint = format!("{host}:{port}").parse().context("--to needs a host and a port")?;
        Ok(Self { tls, endpoint })
    }
}

fn config(
    directory: &str,
    listen: &str,
    name: &crate::names::ServerName,
    to: &Destination,
) -> String {
    let tls = if to.tls { "tls = {}\n" } else { "" };
    let endpoint = &to.endpoint;
    format!(
        r#"state_dir = "{directory}/state"

[admin]
listen = "unix:{directory}/admin.sock"

[virtual_service.front]
listen = ["{listen}"]
certificates = ["self_signed"]
no_pool = {{ status = 421, body = "this is {name}\n" }}

[virtual_service.site]
parent = "front"
domains = ["{name}"]
certificates = ["self_signed"]
pool = "site"

[certificate.self_signed]
chain = "{directory}/self-signed.pem"
key = {{ file = "{directory}/self-signed.key" }}

[pool.site]
endpoints = ["{endpoint}"]
{tls}"#
    )
}
