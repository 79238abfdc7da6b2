//! A directory for one test: certificates, secrets, the configuration and what the proxy writes.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::fs::chown;
use std::path::Path;
use std::path::PathBuf;

use tempfile::TempDir;

use super::ca::Issued;

/// The directory of a test; gone with it.
pub(crate) struct Site {
    directory: TempDir,
    certificates: RefCell<BTreeSet<String>>,
    environment: RefCell<BTreeMap<&'static str, OsString>>,
}

impl Site {
    /// An empty directory.
    pub(crate) fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("portcullis-").tempdir();
        Self {
            directory: directory.expect("a directory"),
            certificates: RefCell::default(),
            environment: RefCell::default(),
        }
    }

    /// A path in it.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file in place, as an editor without manners does. A new one is its owner's alone, because it
    /// may be a key.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a file has a directory")).expect("directory");
        let mut options = fs::OpenOptions::new();
        let options = options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(path).expect("file");
        file.write_all(content.as_ref()).expect("file");
    }

    /// Replaces a file in one step: written beside it, then renamed over it.
    pub(crate) fn replace(&self, name: &str, content: impl AsRef<[u8]>) {
        let beside = format!("{name}.next");
        self.write(&beside, content);
        fs::rename(self.path(&beside), self.path(name)).expect("rename");
    }

    /// What a file holds; nothing where there is none.
    pub(crate) fn read(&self, name: &str) -> String {
        let bytes = fs::read(self.path(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Puts a certificate into `certs/NAME.pem` and `certs/NAME.key`. [`Site::configure`] adds its
    /// `[certificate.NAME]`.
    pub(crate) fn certificate(&self, name: &str, issued: &Issued) {
        self.write(&format!("certs/{name}.pem"), &issued.chain);
        self.write(&format!("certs/{name}.key"), &issued.key);
        self.certificates.borrow_mut().insert(name.to_owned());
    }

    /// Replaces both files of a certificate, each in one step, the chain first.
    pub(crate) fn renew(&self, name: &str, issued: &Issued) {
        self.replace(&format!("certs/{name}.pem"), &issued.chain);
        self.replace(&format!("certs/{name}.key"), &issued.key);
    }

    /// Replaces `portcullis.toml` by this text, with the tables that every test needs: one for each
    /// certificate of the site, and those of [`TABLES`] that the text does not have itself.
    pub(crate) fn configure(&self, toml: &str) {
        self.replace(CONFIG, self.complete(toml));
    }

    /// The text that [`Site::configure`] writes.
    pub(crate) fn complete(&self, toml: &str) -> String {
        let mut text = String::new();
        for (key, value) in KEYS {
            if !toml.lines().any(|line| line.trim_start().starts_with(key)) {
                let _ = writeln!(text, "{key} = {value}");
            }
        }
        // Keys of the root table must come before the first table, so the test's text is next.
        text.push_str(toml);
        text.push('\n');
        for (table, keys) in TABLES {
            if !toml.contains(table) {
                let _ = writeln!(text, "\n{table}\n{keys}");
            }
        }
        for name in self.certificates.borrow().iter() {
            if !toml.contains(&format!("[certificate.{name}]")) {
                let _ = write!(
                    text,
                    "\n[certificate.{name}]\nchain = \"certs/{name}.pem\"\nkey = {{ file = \"certs/{name}.key\" }}\n"
                );
            }
        }
        text
    }

    /// Sets a variable for each proxy and command that is started for this site from now on.
    pub(crate) fn set_variable(&self, name: &'static str, value: impl Into<OsString>) {
        self.environment.borrow_mut().insert(name, value.into());
    }

    /// The variables that were set.
    pub(crate) fn environment(&self) -> BTreeMap<&'static str, OsString> {
        self.environment.borrow().clone()
    }

    /// Makes all that is there a user's and a group's.
    pub(crate) fn give_to(&self, uid: u32, gid: u32) {
        let mut directories = vec![self.path(".")];
        while let Some(directory) = directories.pop() {
            chown(&directory, Some(uid), Some(gid)).expect("root may");
            for entry in fs::read_dir(directory).expect("our directory").flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    directories.push(entry.path());
                } else {
                    chown(entry.path(), Some(uid), Some(gid)).expect("root may");
                }
            }
        }
    }

    /// Where the configuration is.
    pub(crate) fn config(&self) -> PathBuf {
        self.path(CONFIG)
    }

    /// The number of the first line of the configuration that holds this text.
    pub(crate) fn line_of(&self, text: &str) -> usize {
        let config = self.read(CONFIG);
        let index = config.lines().position(|line| line.contains(text));
        index.expect("a line of the configuration") + 1
    }
}

/// The file name of the configuration.
pub(crate) const CONFIG: &str = "portcullis.toml";

/// Keys that are added where a test does not set them.
const KEYS: [(&str, &str); 2] = [("workers", "2"), ("state_dir", "\"state\"")];

/// Tables that are added where a test does not write them.
const TABLES: [(&str, &str); 3] = [
    ("[admin]", "listen = \"127.0.0.1:0\""),
    ("[log]", "application = \"app.log\"\nformat = \"json\""),
    ("[timeouts]", "drain = \"10s\""),
];
