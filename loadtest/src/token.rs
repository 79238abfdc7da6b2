//! A token of SoftHSM that holds the key of one site; quick as it is, or slow as an HSM in a network.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;

use crate::process;
use crate::site::Site;

/// The token of a run.
pub struct Token {
    /// The site whose key it holds.
    pub site: Site,
    configuration: PathBuf,
    module: PathBuf,
    /// The same token behind a module that takes [`SIGNATURE`] longer for each signature.
    slow_module: PathBuf,
}

/// What a proxy must know of a token.
#[derive(Clone, Debug)]
pub struct Access {
    /// That of SoftHSM, which is found by [`VARIABLE`].
    pub configuration: PathBuf,
    pub module: PathBuf,
    /// How many signatures are made at once, for proxies that can be told.
    pub sessions: u32,
}

impl Token {
    /// What is not here and needed to make one, in words.
    pub fn missing() -> Option<String> {
        let has_softhsm = process::find_program(SOFTHSM).is_some() && softhsm_module().is_some();
        let missing = if !has_softhsm {
            "SoftHSM (apt-get install softhsm2)"
        } else if process::find_program(COMPILER).is_none() {
            "C compiler (apt-get install gcc)"
        } else {
            return None;
        };
        Some(format!("there is no {missing}"))
    }

    /// Makes it in a directory of its own, and puts the key of the site into it.
    pub fn make(directory: &Path, site: Site) -> Result<Self> {
        let tokens = directory.join("tokens");
        fs::create_dir_all(&tokens).with_context(|| format!("cannot make {}", tokens.display()))?;
        let configuration = directory.join("softhsm2.conf");
        let tokens = tokens.display();
        let text = format!("directories.tokendir = {tokens}\nobjectstore.backend = file\n");
        fs::write(&configuration, text)?;
        let module = softhsm_module().context("SoftHSM is not installed")?;
        let slow_module = make_slow(directory, &module)?;

        let softhsm = || {
            let mut command = Command::new(SOFTHSM);
            command.env(VARIABLE, &configuration).args(["--pin", PIN]);
            command
        };
        run(softhsm().args(["--init-token", "--free", "--label", LABEL, "--so-pin", PIN]))?;
        let label = ["--token", LABEL, "--id", "01", "--label", &site.name];
        run(softhsm().args(label).arg("--import").arg(&site.key))?;
        let site = Site { key_in_token: true, ..site };
        Ok(Self { site, configuration, module, slow_module })
    }

    /// Access to it as it is.
    pub fn quick(&self, sessions: u32) -> Access {
        let (configuration, module) = (self.configuration.clone(), self.module.clone());
        Access { configuration, module, sessions }
    }

    /// Access that takes [`SIGNATURE`] for each signature.
    pub fn slow(&self, sessions: u32) -> Access {
        Access { module: self.slow_module.clone(), ..self.quick(sessions) }
    }
}

impl Access {
    /// Fills the placeholders that are about the token.
    pub fn fill(&self, text: &str) -> String {
        text.replace("{module}", &self.module.display().to_string())
            .replace("{token}", LABEL)
            .replace("{pin}", PIN)
            .replace("{sessions}", &self.sessions.to_string())
    }
}

/// Compiles the module that the tests have for faults, and has it do nothing but take its time.
fn make_slow(directory: &Path, module: &Path) -> Result<PathBuf> {
    let (source, slow) = (directory.join("fault.c"), directory.join("slow.so"));
    fs::write(&source, include_str!("../../tests/token/fault.c"))?;
    let mut command = Command::new(COMPILER);
    command.args(["-shared", "-fPIC", "-O2", "-pthread", "-o"]).arg(&slow).arg(&source);
    run(command.arg("-ldl"))?;
    fs::write(directory.join("slow.so.target"), module.as_os_str().as_encoded_bytes())?;
    // The latency in microseconds is its first control; the others, well within a page, are off.
    let mut controls = vec![0; 4096];
    controls[..8].copy_from_slice(&(SIGNATURE.as_micros() as u64).to_ne_bytes());
    fs::write(directory.join("slow.so.ctl"), controls)?;
    Ok(slow)
}

fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().display().to_string();
    let output = command.output().with_context(|| format!("cannot run {program}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{program}: {}\n{said}", output.status);
    Ok(())
}

/// The module of SoftHSM, where distributions put it: Debian, Fedora, and those without `lib64`.
fn softhsm_module() -> Option<PathBuf> {
    let debian = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    let places = [debian.as_str(), "/usr/lib64", "/usr/lib"].map(Path::new);
    let mut files = places.iter().map(|place| place.join("softhsm/libsofthsm2.so"));
    files.find(|file| file.is_file())
}

/// How much longer the slow module takes.
pub const SIGNATURE: Duration = Duration::from_millis(20);

/// The environment variable that says where the configuration of SoftHSM is.
pub const VARIABLE: &str = "SOFTHSM2_CONF";

const COMPILER: &str = "cc";
const LABEL: &str = "loadtest";
const PIN: &str = "1234";
const SOFTHSM: &str = "softhsm2-util";
