//! Tokens of PKCS#11: SoftHSM in the directory of a site, faults before it, a server that can die.

mod fault;
mod server;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use tokio::process::Command;

pub(crate) use self::fault::Call;
pub(crate) use self::fault::FaultModule;
pub(crate) use self::server::P11Server;
use super::ca::Issued;
use super::command::Finished;
use super::command::installed;
use super::command::missing;
use super::command::run;
use super::site::Site;

/// Whether tokens can be made here. Where they cannot, says what is missing.
pub(crate) fn can_be_made() -> bool {
    installed("softhsm2-util") && installed("pkcs11-tool") && is_there(SOFTHSM)
}

/// A PKCS#11 library, and the variables that a process needs where it is loaded.
#[derive(Clone, Debug)]
pub(crate) struct Module {
    pub(crate) path: PathBuf,
    variable: (&'static str, OsString),
}

impl Module {
    /// `pkcs11-tool ARGUMENTS`, logged in to a token.
    pub(crate) async fn tool(&self, token: &str, arguments: &[&str]) -> Finished {
        let (name, value) = &self.variable;
        let mut command = Command::new("pkcs11-tool");
        command.env(name, value).arg("--module").arg(&self.path);
        command.args(["--token-label", token, "--login", "--pin", PIN]).args(arguments);
        run(command, "").await
    }

    /// Gives the variables to whatever is started for a site.
    fn lend(&self, site: &Site) {
        let (name, value) = &self.variable;
        site.set_variable(name, value);
    }
}

/// SoftHSM with a directory of tokens in that of a site. Whatever is started for the site finds them.
pub(crate) struct SoftHsm {
    pub(crate) module: Module,
    directory: PathBuf,
}

impl SoftHsm {
    /// Without a token.
    pub(crate) fn of(site: &Site) -> Self {
        let directory = site.path("softhsm");
        fs::create_dir_all(directory.join(TOKENS)).expect("a directory");
        site.write("softhsm/softhsm2.conf", configuration(&directory.join(TOKENS)));
        let path = find(SOFTHSM).expect("`can_be_made` was asked before");
        let variable = ("SOFTHSM2_CONF", directory.join("softhsm2.conf").into());
        let module = Module { path, variable };
        module.lend(site);
        Self { module, directory }
    }

    /// Makes a token with [`PIN`].
    pub(crate) async fn token(&self, label: &str) -> Token {
        let before = self.places();
        let arguments = ["--init-token", "--free", "--label", label, "--so-pin", "5678"];
        let finished = run(softhsm(&self.module, &arguments), "").await;
        assert_eq!(finished.code, 0, "{}", finished.text());
        let mut new = self.places();
        new.retain(|place| !before.contains(place));
        let place = new.pop_first().expect("a directory for the new token");
        let hidden = self.directory.join(place.file_name().expect("a name"));
        Token { module: self.module.clone(), label: label.to_owned(), place, hidden }
    }

    fn places(&self) -> BTreeSet<PathBuf> {
        let entries = fs::read_dir(self.directory.join(TOKENS)).expect("our directory");
        entries.map(|entry| entry.expect("an entry").path()).collect()
    }
}

/// A token of SoftHSM.
pub(crate) struct Token {
    module: Module,
    pub(crate) label: String,
    /// The directory that it is, for SoftHSM, and where that is hidden.
    place: PathBuf,
    hidden: PathBuf,
}

impl Token {
    /// Puts the key of a certificate into it, both halves, under a label and an id of hexadecimal digits.
    pub(crate) async fn import(&self, label: &str, id: &str, issued: &Issued) {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("key.pem");
        fs::write(&file, &issued.key).expect("a file");
        let arguments = ["--token", &self.label, "--label", label, "--id", id];
        let mut command = softhsm(&self.module, &arguments);
        command.arg("--import").arg(&file);
        let finished = run(command, "").await;
        assert_eq!(finished.code, 0, "{}", finished.text());
    }

    /// Deletes a private key. Its public half stays.
    pub(crate) async fn delete(&self, label: &str) {
        let arguments = ["--delete-object", "--type", "privkey", "--label", label];
        let finished = self.module.tool(&self.label, &arguments).await;
        assert_eq!(finished.code, 0, "{}", finished.text());
    }

    /// The labels of its private keys, in order.
    pub(crate) async fn keys(&self) -> Vec<String> {
        let arguments = ["--list-objects", "--type", "privkey"];
        let finished = self.module.tool(&self.label, &arguments).await;
        assert_eq!(finished.code, 0, "{}", finished.text());
        let label = |line: &str| Some(line.trim().strip_prefix("label:")?.trim().to_owned());
        let mut labels: Vec<String> = finished.stdout.lines().filter_map(label).collect();
        labels.sort();
        labels
    }

    /// Takes it away, as one who pulls it out. A process that has a session finds its keys invalid; other
    /// processes find no token.
    pub(crate) fn hide(&self) {
        fs::rename(&self.place, &self.hidden).expect("a token that is there");
    }

    /// Puts it back. A process that has missed it finds it when it initialises the module again.
    pub(crate) fn show(&self) {
        fs::rename(&self.hidden, &self.place).expect("a token that is hidden");
    }
}

/// `softhsm2-util ARGUMENTS`, with the PIN of all tokens.
fn softhsm(module: &Module, arguments: &[&str]) -> Command {
    let (name, value) = &module.variable;
    let mut command = Command::new("softhsm2-util");
    command.env(name, value).args(arguments).args(["--pin", PIN]);
    command
}

fn configuration(tokens: &Path) -> String {
    let tokens = tokens.display();
    format!("directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")
}

/// Whether a library is installed. Where it is not, says so.
fn is_there(library: &str) -> bool {
    let found = find(library).is_some();
    if !found {
        missing(library);
    }
    found
}

/// A library where distributions put PKCS#11 modules: Debian, Fedora, and those without `lib64`.
fn find(library: &str) -> Option<PathBuf> {
    let debian = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    let places = [debian.as_str(), "/usr/lib64", "/usr/lib"].map(Path::new);
    let mut files = places.iter().map(|place| place.join(library));
    files.find(|file| file.is_file())
}

/// The PIN of every token.
pub(crate) const PIN: &str = "1234";

const SOFTHSM: &str = "softhsm/libsofthsm2.so";

/// The directory of tokens, in that of SoftHSM.
const TOKENS: &str = "tokens";
