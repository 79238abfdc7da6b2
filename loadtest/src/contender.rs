//! A proxy that takes part, as data: how it is started, configured and reloaded.
//!
//! Nothing here knows a particular proxy; each is one file in `contenders/`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;
use anyhow::Result;
use rustix::process::Signal;
use serde::Deserialize;

use crate::process;
use crate::site::Site;
use crate::token;
use crate::token::Access;

/// One proxy. Texts may hold placeholders, see [`Contender::configuration`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contender {
    /// For the command line and for JSON.
    pub name: String,
    /// For the table.
    pub title: String,
    /// A path, or a name that is looked for in PATH and in the sbin directories.
    pub program: String,
    /// The Debian package to install when the program is missing.
    pub package: Option<String>,
    /// Arguments that print its version.
    pub version: Vec<String>,
    /// Arguments that run it in the foreground.
    pub start: Vec<String>,
    pub reload: Reload,
    /// The file with its log of requests.
    pub log: String,
    /// The path of its metrics on the admin port.
    pub metrics: String,
    pub files: Vec<Template>,
    /// How it relays streams by server name; none: it does not.
    pub passthrough: Option<Passthrough>,
    /// How it uses keys in PKCS#11 tokens; none: it does not.
    pub token: Option<TokenUse>,
    /// Stands where a text says `{workers}`.
    #[serde(skip, default = "one")]
    workers: u32,
    /// Variables that it is started with.
    #[serde(skip)]
    environment: BTreeMap<String, String>,
    /// Whether `files` are those of `passthrough`.
    #[serde(skip)]
    pub is_relay: bool,
}

/// Another configuration, for a relay.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Passthrough {
    /// A file without which it cannot, such as a module.
    pub requires: Option<PathBuf>,
    /// The Debian package that has it.
    pub package: Option<String>,
    files: Vec<Template>,
    /// Stands where a text says `{splice}`, in the scenario that splices.
    #[serde(default)]
    splice: String,
}

/// What its configuration says about a token. Texts may hold `{module}`, `{token}`, `{pin}` and `{sessions}`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenUse {
    /// A file without which it cannot; `{arch}` is that of this machine.
    requires: Option<PathBuf>,
    /// The Debian package that has it.
    package: Option<String>,
    /// Variables that it is started with.
    #[serde(default)]
    environment: BTreeMap<String, String>,
    /// In the place of `site`, for a site whose key is in the token.
    site: String,
    /// Follows the text of a file with sites.
    text: String,
    /// More files.
    #[serde(default)]
    files: Vec<Template>,
}

/// How it learns that files have changed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reload {
    signal: SignalName,
    /// A replaced certificate needs no signal.
    #[serde(default)]
    pub watches_files: bool,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum SignalName {
    Hup,
    Usr1,
    Usr2,
}

/// A file of its configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// Relative to its own directory.
    pub path: PathBuf,
    text: String,
    /// Repeated for each site; the whole stands where `text` says `{sites}`.
    #[serde(default)]
    site: String,
    /// The same for a site whose key is in a token.
    #[serde(skip)]
    token_site: String,
}

/// Where a started contender lives.
#[derive(Clone, Debug)]
pub struct Place {
    pub directory: PathBuf,
    /// Whether the directory stays when the contender ends.
    pub keep: bool,
    pub port: u16,
    pub admin_port: u16,
    pub origin: String,
    pub relay_origin: String,
}

impl Contender {
    /// The proxies of the comparison, Portcullis first.
    pub fn built_in() -> Result<Vec<Self>> {
        [
            include_str!("../contenders/portcullis.toml"),
            include_str!("../contenders/nginx.toml"),
            include_str!("../contenders/haproxy.toml"),
        ]
        .into_iter()
        .map(|text| toml::from_str(text).context("a built-in contender is wrong"))
        .collect()
    }

    /// Another proxy from a file.
    pub fn load(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("cannot read the contender {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("in the contender {}", path.display()))
    }

    /// The same proxy with so many workers; they share the CPU of the proxy.
    pub fn with_workers(&self, workers: u32) -> Self {
        Self { workers, ..self.clone() }
    }

    /// The same proxy as a relay; none where it cannot be one, which is said.
    pub fn as_relay(&self, splices: bool) -> Option<Self> {
        let passthrough = self.passthrough.as_ref()?;
        if !self.has(passthrough.requires.as_deref(), passthrough.package.as_deref()) {
            return None;
        }
        let splice = if splices { passthrough.splice.as_str() } else { "" };
        let mut files = passthrough.files.clone();
        for file in &mut files {
            file.text = file.text.replace("{splice}", splice);
        }
        Some(Self { files, is_relay: true, ..self.clone() })
    }

    /// Whether it can use keys in tokens; where it could, and something is missing, that is said.
    pub fn uses_tokens(&self) -> bool {
        let Some(token) = &self.token else { return false };
        self.has(token.requires.as_deref(), token.package.as_deref())
    }

    /// Whether it can be told how many signatures a token makes at once.
    pub fn has_sessions(&self) -> bool {
        self.token.as_ref().is_some_and(|token| token.text.contains("{sessions}"))
    }

    /// The same proxy with access to a token, for sites whose key is there.
    pub fn with_token(&self, access: &Access) -> Result<Self> {
        let token = self.token.as_ref();
        let token = token.with_context(|| format!("{} uses no tokens", self.name))?;
        let mut contender = self.clone();
        for file in contender.files.iter_mut().filter(|file| !file.site.is_empty()) {
            file.token_site = access.fill(&token.site);
            file.text.push_str(&access.fill(&token.text));
        }
        contender.files.extend(
            token
                .files
                .iter()
                .map(|file| Template { text: access.fill(&file.text), ..file.clone() }),
        );
        let own = token.environment.iter().map(|(name, value)| (name.clone(), access.fill(value)));
        contender.environment = own.collect();
        let (name, value) = (token::VARIABLE, access.configuration.display());
        contender.environment.insert(name.to_owned(), value.to_string());
        Ok(contender)
    }

    /// Whether a file is here without which it cannot take part; where it is not, says so.
    fn has(&self, file: Option<&Path>, package: Option<&str>) -> bool {
        let Some(file) = file else { return true };
        let file = file.display().to_string().replace("{arch}", std::env::consts::ARCH);
        let is_there = Path::new(&file).exists();
        if !is_there {
            let package = package.unwrap_or("?");
            eprintln!("{} is left out: there is no {file} (apt-get install {package})", self.title);
        }
        is_there
    }

    /// The first line that it prints about its version, if not an empty one; fails when it is not installed.
    pub fn version(&self) -> Result<String> {
        let output = Command::new(self.program_path()?)
            .args(&self.version)
            .output()
            .with_context(|| format!("cannot run {}", self.program))?;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let first = text.lines().map(str::trim).find(|line| !line.is_empty());
        Ok(first.unwrap_or_default().to_owned())
    }

    /// Where the program is.
    pub fn program_path(&self) -> Result<PathBuf> {
        if self.program.contains('/') {
            let path = PathBuf::from(&self.program);
            anyhow::ensure!(path.is_file(), "{} does not exist", path.display());
            return Ok(path);
        }
        process::find_program(&self.program)
            .with_context(|| format!("{} is not installed", self.program))
    }

    /// The command that runs it in the foreground.
    pub fn command(&self, place: &Place) -> Result<Command> {
        let mut command = Command::new(self.program_path()?);
        let workers = self.workers.to_string();
        let fill = |argument: &String| place.fill(argument).replace("{workers}", &workers);
        command.args(self.start.iter().map(fill));
        command.envs(self.environment.iter().map(|(name, value)| (name, place.fill(value))));
        Ok(command)
    }

    /// Its configuration files for these sites; the first site is the one for unknown names.
    ///
    /// Placeholders: `{dir}`, `{port}`, `{admin_port}`, `{origin}`, `{origin_port}`, `{relay_origin}`,
    /// `{relay_origin_port}`, `{workers}`, `{sites}`, `{default_name}`, `{default_chain}`, `{default_key}`,
    /// `{default_pem}`; in `site`, also `{name}`, `{domain}`, `{chain}`, `{key}`, `{pem}`.
    pub fn configuration(&self, place: &Place, sites: &[Site]) -> Vec<(PathBuf, String)> {
        self.files
            .iter()
            .map(|template| {
                let blocks: String =
                    sites.iter().map(|site| fill_site(template.block(site), site, "")).collect();
                let mut text = template.text.clone();
                if let Some(default) = sites.first() {
                    text = fill_site(&text, default, "default_");
                }
                let workers = self.workers.to_string();
                let text = text.replace("{workers}", &workers).replace("{sites}", &blocks);
                let text = place.fill(&text);
                (place.directory.join(&template.path), text)
            })
            .collect()
    }

    pub fn log_path(&self, place: &Place) -> PathBuf {
        PathBuf::from(place.fill(&self.log))
    }
}

impl Template {
    fn block(&self, site: &Site) -> &str {
        if site.key_in_token { &self.token_site } else { &self.site }
    }
}

impl Reload {
    pub fn signal(&self) -> Signal {
        match self.signal {
            SignalName::Hup => Signal::HUP,
            SignalName::Usr1 => Signal::USR1,
            SignalName::Usr2 => Signal::USR2,
        }
    }
}

impl Place {
    fn fill(&self, text: &str) -> String {
        text.replace("{dir}", &self.directory.display().to_string())
            .replace("{port}", &self.port.to_string())
            .replace("{admin_port}", &self.admin_port.to_string())
            .replace("{origin}", &self.origin)
            .replace("{origin_port}", port_of(&self.origin))
            .replace("{relay_origin}", &self.relay_origin)
            .replace("{relay_origin_port}", port_of(&self.relay_origin))
    }
}

fn port_of(address: &str) -> &str {
    address.rsplit_once(':').map_or("", |(_, port)| port)
}

fn one() -> u32 {
    1
}

fn fill_site(text: &str, site: &Site, prefix: &str) -> String {
    let values = [
        ("name", site.name.clone()),
        ("domain", site.domain.clone()),
        ("chain", site.chain.display().to_string()),
        ("key", site.key.display().to_string()),
        ("pem", site.joined.display().to_string()),
    ];
    values.into_iter().fold(text.to_owned(), |text, (key, value)| {
        text.replace(&format!("{{{prefix}{key}}}"), &value)
    })
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::CertificateDer;

    use super::*;

    fn site(name: &str) -> Site {
        Site {
            name: name.to_owned(),
            domain: format!("{name}.example.test"),
            chain: format!("/c/{name}-chain.pem").into(),
            key: format!("/c/{name}-key.pem").into(),
            key_in_token: false,
            joined: format!("/c/{name}-joined.pem").into(),
            leaf: CertificateDer::from(Vec::new()),
        }
    }

    #[test]
    fn contenders_leave_no_placeholder_unfilled() {
        let place = Place {
            directory: "/d".into(),
            keep: true,
            port: 1,
            admin_port: 2,
            origin: "127.0.0.1:3".to_owned(),
            relay_origin: "127.0.0.1:4".to_owned(),
        };
        let mut contenders = Contender::built_in().unwrap();
        contenders.push(toml::from_str(include_str!("../contenders/envoy.toml")).unwrap());
        let relays = contenders.iter().filter_map(|contender| contender.as_relay(true));
        let access = Access { configuration: "/t".into(), module: "/m".into(), sessions: 3 };
        let with_token =
            contenders.iter().filter_map(|contender| contender.with_token(&access).ok());
        let in_token = Site { key_in_token: true, ..site("c") };
        for contender in contenders.iter().cloned().chain(relays).chain(with_token) {
            let mut sites = vec![site("a"), site("b")];
            if !contender.environment.is_empty() {
                sites.push(in_token.clone());
            }
            for (path, text) in contender.configuration(&place, &sites) {
                for word in [
                    "sites",
                    "dir",
                    "port",
                    "origin",
                    "origin_port",
                    "name",
                    "domain",
                    "chain",
                    "pem",
                    "relay_origin",
                    "relay_origin_port",
                    "splice",
                    "workers",
                    "module",
                    "token",
                    "pin",
                    "sessions",
                ] {
                    assert!(!text.contains(&format!("{{{word}}}")), "{}: {word}", path.display());
                }
                assert!(!text.contains("{default_"), "{}", path.display());
            }
        }
    }
}
