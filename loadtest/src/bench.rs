//! What all samples of a run share: sizes, placement, the origin, the certificates, the working directory.

use std::cell::OnceCell;
use std::fs;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use anyhow::Result;

use crate::contender::Contender;
use crate::contender::Place;
use crate::options::Options;
use crate::options::Sizes;
use crate::origin;
use crate::placement;
use crate::relay_origin;
use crate::site::Authority;
use crate::site::KeyKind;
use crate::site::Site;
use crate::token::Token;

/// The setting of a run.
pub struct Bench {
    pub sizes: Sizes,
    pub proxy_cpu: usize,
    pub load_cpu: usize,
    pub authority: Authority,
    /// The site with a P-256 key, and the one with an RSA-2048 key; the first is the default.
    pub sites: Vec<Site>,
    token: OnceCell<Token>,
    origin: SocketAddr,
    relay_origin: SocketAddr,
    workspace: Workspace,
}

impl Bench {
    /// Pins the calling thread, starts the origin and makes the certificates.
    pub fn new(options: &Options) -> Result<Self> {
        placement::pin(options.proxy_cpu)?;
        placement::pin(options.load_cpu)?;
        let workspace = Workspace::new(options.keep)?;
        let authority = Authority::new(&workspace.path.join("certificates"))?;
        let sites = vec![
            authority.issue(P256_SITE, KeyKind::P256)?,
            authority.issue(RSA_SITE, KeyKind::Rsa2048)?,
        ];
        Ok(Self {
            sizes: options.sizes(),
            proxy_cpu: options.proxy_cpu,
            load_cpu: options.load_cpu,
            authority,
            sites,
            token: OnceCell::new(),
            origin: origin::start(options.load_cpu)?,
            relay_origin: relay_origin::start(options.load_cpu)?,
            workspace,
        })
    }

    /// The token of the run, which the first who asks makes.
    pub fn token(&self) -> Result<&Token> {
        if let Some(token) = self.token.get() {
            return Ok(token);
        }
        let site = self.authority.issue(TOKEN_SITE, KeyKind::P256)?;
        let token = Token::make(&self.workspace.path.join("token"), site)?;
        Ok(self.token.get_or_init(|| token))
    }

    /// A fresh directory and free ports for a contender.
    pub fn place(&self, contender: &Contender, number: u32) -> Result<Place> {
        let directory = self.workspace.path.join(format!("{}-{number}", contender.name));
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        let ports = [free_port()?, free_port()?];
        let [(_held, port), (_also_held, admin_port)] = ports;
        Ok(Place {
            directory,
            keep: self.workspace.keep,
            port,
            admin_port,
            origin: self.origin.to_string(),
            relay_origin: self.relay_origin.to_string(),
        })
    }
}

/// The listener is kept until both ports are known, so that they differ.
fn free_port() -> Result<(TcpListener, u16)> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("no free port")?;
    let port = listener.local_addr()?.port();
    Ok((listener, port))
}

/// The directory of a run; removed at its end.
struct Workspace {
    path: PathBuf,
    keep: bool,
}

impl Workspace {
    fn new(keep: bool) -> Result<Self> {
        let name = format!("portcullis-loadtest-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        if keep {
            eprintln!("files stay in {}", path.display());
        }
        Ok(Self { path, keep })
    }

    fn remove(path: &Path) {
        if let Err(error) = fs::remove_dir_all(path) {
            eprintln!("cannot remove {}: {error}", path.display());
        }
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        if !self.keep {
            Self::remove(&self.path);
        }
    }
}

/// Names of the sites of traffic scenarios.
pub const P256_SITE: &str = "p256";
pub const RSA_SITE: &str = "rsa";

const TOKEN_SITE: &str = "token";
