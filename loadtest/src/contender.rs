//! A proxy that takes part, as data: how it is started, configured and reloaded.
//!
//! Nothing here knows a particular proxy; each is one file in `contenders/`.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;
use anyhow::Result;
use rustix::process::Signal;
use serde::Deserialize;

use crate::site::Site;

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

    /// The same proxy as a relay; none where it cannot be one, which is said.
    pub fn as_relay(&self, splices: bool) -> Option<Self> {
        let passthrough = self.passthrough.as_ref()?;
        if let Some(missing) = passthrough.requires.as_ref().filter(|path| !path.exists()) {
            let package = passthrough.package.as_deref().unwrap_or("?");
            eprintln!(
                "{} is left out: there is no {} (apt-get install {package})",
                self.title,
                missing.display(),
            );
            return None;
        }
        let splice = if splices { passthrough.splice.as_str() } else { "" };
        let mut files = passthrough.files.clone();
        for file in &mut files {
            file.text = file.text.replace("{splice}", splice);
        }
        Some(Self { files, is_relay: true, ..self.clone() })
    }

    /// The first line that it prints about its version; fails when it is not installed.
    pub fn version(&self) -> Result<String> {
        let output = Command::new(self.program_path()?)
            .args(&self.version)
            .output()
            .with_context(|| format!("cannot run {}", self.program))?;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        Ok(text.lines().next().unwrap_or_default().trim().to_owned())
    }

    /// Where the program is. Debian's daemons are in directories that only root has in PATH.
    pub fn program_path(&self) -> Result<PathBuf> {
        if self.program.contains('/') {
            let path = PathBuf::from(&self.program);
            anyhow::ensure!(path.is_file(), "{} does not exist", path.display());
            return Ok(path);
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path)
            .chain(["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from))
            .map(|directory| directory.join(&self.program))
            .find(|candidate| candidate.is_file())
            .with_context(|| format!("{} is not installed", self.program))
    }

    /// The command that runs it in the foreground.
    pub fn command(&self, place: &Place) -> Result<Command> {
        let mut command = Command::new(self.program_path()?);
        command.args(self.start.iter().map(|argument| place.fill(argument)));
        Ok(command)
    }

    /// Its configuration files for these sites; the first site is the one for unknown names.
    ///
    /// Placeholders: `{dir}`, `{port}`, `{admin_port}`, `{origin}`, `{relay_origin}`, `{sites}`, `{default_name}`,
    /// `{default_chain}`, `{default_key}`, `{default_pem}`; in `site`, also `{name}`, `{domain}`,
    /// `{chain}`, `{key}`, `{pem}`.
    pub fn configuration(&self, place: &Place, sites: &[Site]) -> Vec<(PathBuf, String)> {
        self.files
            .iter()
            .map(|template| {
                let blocks: String =
                    sites.iter().map(|site| fill_site(&template.site, site, "")).collect();
                let mut text = template.text.clone();
                if let Some(default) = sites.first() {
                    text = fill_site(&text, default, "default_");
                }
                let text = place.fill(&text.replace("{sites}", &blocks));
                (place.directory.join(&template.path), text)
            })
            .collect()
    }

    pub fn log_path(&self, place: &Place) -> PathBuf {
        PathBuf::from(place.fill(&self.log))
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
            .replace("{relay_origin}", &self.relay_origin)
    }
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
            joined: format!("/c/{name}-joined.pem").into(),
            leaf: CertificateDer::from(Vec::new()),
        }
    }

    #[test]
    fn built_in_contenders_leave_no_placeholder_unfilled() {
        let place = Place {
            directory: "/d".into(),
            keep: true,
            port: 1,
            admin_port: 2,
            origin: "127.0.0.1:3".to_owned(),
            relay_origin: "127.0.0.1:4".to_owned(),
        };
        let built_in = Contender::built_in().unwrap();
        let relays = built_in.iter().filter_map(|contender| contender.as_relay(true));
        for contender in built_in.iter().cloned().chain(relays) {
            for (path, text) in contender.configuration(&place, &[site("a"), site("b")]) {
                for word in [
                    "sites",
                    "dir",
                    "port",
                    "origin",
                    "name",
                    "domain",
                    "chain",
                    "pem",
                    "relay_origin",
                    "splice",
                ] {
                    assert!(!text.contains(&format!("{{{word}}}")), "{}: {word}", path.display());
                }
                assert!(!text.contains("{default_"), "{}", path.display());
            }
        }
    }
}
