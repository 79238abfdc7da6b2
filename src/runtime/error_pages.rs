//! The files of `error_pages`, read before a service is made: whoever serves them reads no file.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use bytes::Bytes;
use thiserror::Error;

use crate::config::Config;
use crate::names::VirtualServiceName;
use crate::runtime::fault::Fault;

/// The bodies of one service, by status.
pub type Pages = BTreeMap<u16, Bytes>;

/// What was read for every service that has error pages.
#[derive(Debug, Default)]
pub struct ErrorPages {
    services: BTreeMap<VirtualServiceName, Pages>,
}

/// Why a file cannot be an error page.
#[derive(Clone, Debug, Error)]
pub enum PageError {
    /// It is larger than an error page may be.
    #[error("it is larger than {}KiB", MOST_BYTES >> 10)]
    Large,
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Read(String),
}

impl PageError {
    /// One word for logs and tests.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Large => "error_page_large",
            Self::Read(_) => "error_page_unreadable",
        }
    }
}

impl ErrorPages {
    /// Reads the pages of all services. A file that several of them name is read, and held, once.
    pub fn read(config: &Config) -> (Self, Vec<Fault>) {
        let mut files: BTreeMap<&Path, Result<Bytes, PageError>> = BTreeMap::new();
        let mut services = BTreeMap::new();
        let mut faults = Vec::new();
        for (name, service) in &config.virtual_services {
            let mut pages = Pages::new();
            for (status, path) in service.error_pages() {
                match files.entry(path).or_insert_with(|| read(path)) {
                    Ok(page) => drop(pages.insert(*status, page.clone())),
                    Err(error) => faults.push(Fault::ErrorPage {
                        virtual_service: name.clone(),
                        status: *status,
                        path: path.clone(),
                        error: error.clone(),
                    }),
                }
            }
            if !pages.is_empty() {
                services.insert(name.clone(), pages);
            }
        }
        (Self { services }, faults)
    }

    /// The pages of one service; a clone shares their bytes.
    pub fn of(&self, name: &VirtualServiceName) -> Pages {
        self.services.get(name).cloned().unwrap_or_default()
    }

    /// The services whose pages have another content than here.
    pub fn changed(&self, now: &Self) -> BTreeSet<VirtualServiceName> {
        let differs =
            |name: &&VirtualServiceName| self.services.get(*name) != now.services.get(*name);
        self.services.keys().chain(now.services.keys()).filter(differs).cloned().collect()
    }
}

/// Every file that some service names.
pub fn paths(config: &Config) -> impl Iterator<Item = &PathBuf> {
    let services = config.virtual_services.values();
    services.flat_map(|service| service.error_pages().map(|(_, path)| path))
}

fn read(path: &Path) -> Result<Bytes, PageError> {
    let failed = |error: io::Error| PageError::Read(error.to_string());
    let file = File::open(path).map_err(failed)?;
    // A directory opens well, and a pipe would never end.
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(PageError::Read("it is not a file".to_owned()));
    }
    let mut page = Vec::new();
    // One byte more than is allowed is enough to know; the file may grow while it is read.
    file.take(MOST_BYTES + 1).read_to_end(&mut page).map_err(failed)?;
    if page.len() as u64 > MOST_BYTES {
        return Err(PageError::Large);
    }
    Ok(page.into())
}

/// 1 MiB: it is held in memory, and sent whole to every client that runs into the error.
const MOST_BYTES: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn config(directory: &Path) -> Config {
        let text = "[virtual_service.edge]\nlisten = ['127.0.0.1:8443']\ncertificates = ['c']\n\
                    error_pages = { 502 = '502.html', 503 = '503.html' }\n[certificate.c]\nchain = 'c.pem'\n";
        let path = directory.join("main.toml");
        match Config::parse(path.to_str().expect("a text"), text) {
            Ok(loaded) => loaded.config,
            Err(complaints) => panic!("{complaints}"),
        }
    }

    fn edge() -> VirtualServiceName {
        "edge".parse().expect("a name")
    }

    #[test]
    fn pages_are_read_and_a_change_is_noticed() {
        let directory = tempfile::tempdir().expect("a directory");
        let config = config(directory.path());
        fs::write(directory.path().join("502.html"), "bad gateway").expect("a file");
        fs::write(directory.path().join("503.html"), vec![b'x'; 1 << 20]).expect("a file");
        let (first, faults) = ErrorPages::read(&config);
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!(first.of(&edge())[&502], "bad gateway");
        assert!(first.changed(&ErrorPages::read(&config).0).is_empty());
        fs::write(directory.path().join("502.html"), "sorry").expect("a file");
        let (second, _) = ErrorPages::read(&config);
        assert_eq!(first.changed(&second), BTreeSet::from([edge()]));
    }

    #[test]
    fn what_cannot_be_a_page_is_named() {
        let directory = tempfile::tempdir().expect("a directory");
        fs::create_dir(directory.path().join("502.html")).expect("a directory");
        fs::write(directory.path().join("503.html"), vec![b'x'; (1 << 20) + 1]).expect("a file");
        let (_, faults) = ErrorPages::read(&config(directory.path()));
        let told: Vec<String> = faults.iter().map(Fault::to_string).collect();
        assert!(
            told[0].contains("`edge`: the page for status 502") && told[0].contains("502.html")
        );
        assert!(told[0].ends_with("not a file") && told[1].ends_with("larger than 1024KiB"));
    }
}
