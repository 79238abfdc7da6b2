//! `portcullis hsm generate`: a key pair whose private half has never been anywhere but in its token.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc;
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::bail;
use clap::ValueEnum;

use crate::cli::ConfigFile;
use crate::cli::hsm;
use crate::cli::hsm::KeyId;
use crate::config;
use crate::hsm::Trouble;
use crate::hsm::ask;
use crate::hsm::connection::Connection;
use crate::hsm::inventory;
use crate::hsm::inventory::Inventory;
use crate::hsm::inventory::Key;
use crate::hsm::making;
use crate::hsm::making::NewKey;
use crate::key::Algorithm;
use crate::names::HsmName;

/// The verb.
#[derive(Debug, clap::Args)]
pub struct Generate {
    #[command(flatten)]
    config: ConfigFile,
    /// The group: the NAME of [hsm.NAME].
    #[arg(long, value_name = "NAME")]
    hsm: HsmName,
    /// The label of both halves; no other key of the group may have it.
    #[arg(long, value_name = "LABEL")]
    label: String,
    /// What kind of key.
    #[arg(long = "type", value_name = "TYPE", default_value = "ec-p256")]
    kind: Kind,
    /// The id of both halves in hexadecimal digits; default: eight random bytes.
    #[arg(long, value_name = "HEX")]
    id: Option<KeyId>,
    /// The member that makes it; default: the best by priority.
    #[arg(long, value_name = "NAME")]
    member: Option<String>,
}

/// The kinds of keys that are made.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    EcP256,
    EcP384,
    #[value(name = "rsa-2048")]
    Rsa2048,
    #[value(name = "rsa-3072")]
    Rsa3072,
    #[value(name = "rsa-4096")]
    Rsa4096,
    Ed25519,
}

impl Generate {
    /// Makes the key, and prints its URI and the line for the configuration.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        if self.label.trim().is_empty() || self.label.chars().any(char::is_control) {
            bail!("--label needs a text without control characters");
        }
        hsm::with_config(&self.config, |config| {
            let group = hsm::group(&config, &self.hsm)?;
            self.make(group)?;
            Ok(ExitCode::SUCCESS)
        })
    }

    fn make(&self, hsm: &Arc<config::hsm::Hsm>) -> anyhow::Result<()> {
        let best = (0..hsm.members.len()).min_by_key(|member| hsm.members[*member].priority);
        let index = match &self.member {
            Some(name) => hsm::member(hsm, name)?,
            None => best.context("the group has no member")?,
        };
        let member = &hsm.members[index];
        let id = match &self.id {
            Some(id) => id.0.clone(),
            None => making::random_id()?,
        };
        let key = NewKey { label: self.label.clone(), id, algorithm: self.kind.algorithm() };
        let mut inventories = ask::all(hsm, |hsm, member| {
            inventory::of(&Connection::open(member, hsm.world_readable)?)
        });
        refuse_taken(hsm, &inventories, &key)?;
        let others = others(hsm, &inventories, index);
        let Inventory { token, .. } =
            inventories.swap_remove(index).with_context(|| member.name.clone())?;

        let what = format!("{} key in {}", with_article(key.algorithm), member.name);
        let started = Instant::now();
        with_progress(&format!("making {what}"), || -> Result<(), Trouble> {
            making::make(&Connection::open_to_write(member, hsm.world_readable)?, &key)
        })
        .with_context(|| member.name.clone())?;
        eprintln!("made {what} in {:.1} s", started.elapsed().as_secs_f64());

        let made = Key {
            id: key.id,
            label: key.label,
            algorithm: Some(key.algorithm),
            is_extractable: Some(false),
            is_sensitive: Some(true),
            always_authenticates: false,
        };
        println!("{}", made.selector_in(&token));
        let label = toml::Value::from(made.label.as_str());
        println!("key = {{ hsm = \"{}\", label = {label} }}", hsm.name);
        if !others.is_empty() {
            let (only, others) = (&member.name, others.join("; "));
            eprintln!(
                "the key is in {only} alone: {others}. The tools of the vendor copy keys between tokens; until \
                 they have, no other member stands in for {only}"
            );
        }
        Ok(())
    }
}

/// One name means one key, in all of the group: else the next start refuses both.
fn refuse_taken(
    hsm: &config::hsm::Hsm,
    inventories: &[Result<Inventory, Trouble>],
    key: &NewKey,
) -> anyhow::Result<()> {
    for (member, inventory) in hsm.members.iter().zip(inventories) {
        let keys = inventory.as_ref().map_or(&[][..], |inventory| &inventory.keys);
        let is_taken = |other: &&Key| other.label == key.label || other.id == key.id;
        if let Some(other) = keys.iter().find(is_taken) {
            let flag = if other.label == key.label { "--label" } else { "--id" };
            bail!(
                "{} has a key with the label `{}` and the id {}; choose another {flag}, or delete that key with \
                 `portcullis hsm delete`",
                member.name,
                other.label,
                other.id_digits()
            );
        }
    }
    Ok(())
}

/// What is to be said of the members that do not get the key.
fn others(
    hsm: &config::hsm::Hsm,
    inventories: &[Result<Inventory, Trouble>],
    index: usize,
) -> Vec<String> {
    let all = hsm.members.iter().zip(inventories).enumerate();
    let others = all.filter(|(other, _)| *other != index).map(|(_, one)| one);
    let said = others.map(|(member, inventory)| match inventory {
        Ok(_) => format!("{} does not have it", member.name),
        Err(trouble) => format!("{} could not be asked ({trouble})", member.name),
    });
    said.collect()
}

/// Says that it works, each second anew where somebody looks.
fn with_progress<T>(what: &str, work: impl FnOnce() -> T) -> T {
    if !std::io::stderr().is_terminal() {
        eprintln!("{what}");
        return work();
    }
    thread::scope(|scope| {
        let (done, ended) = mpsc::channel::<()>();
        scope.spawn(move || {
            let started = Instant::now();
            eprint!("{what} ..");
            while ended.recv_timeout(Duration::from_secs(1)) == Err(RecvTimeoutError::Timeout) {
                eprint!("\r{what} .. {} s", started.elapsed().as_secs());
            }
            eprint!("\r\x1b[K");
        });
        let result = work();
        drop(done);
        result
    })
}

fn with_article(algorithm: Algorithm) -> String {
    match algorithm {
        Algorithm::P256 | Algorithm::P384 | Algorithm::P521 => format!("a {algorithm}"),
        Algorithm::Ed25519 | Algorithm::Rsa { .. } => format!("an {algorithm}"),
    }
}

impl Kind {
    fn algorithm(self) -> Algorithm {
        match self {
            Self::EcP256 => Algorithm::P256,
            Self::EcP384 => Algorithm::P384,
            Self::Rsa2048 => Algorithm::Rsa { bits: 2048 },
            Self::Rsa3072 => Algorithm::Rsa { bits: 3072 },
            Self::Rsa4096 => Algorithm::Rsa { bits: 4096 },
            Self::Ed25519 => Algorithm::Ed25519,
        }
    }
}
