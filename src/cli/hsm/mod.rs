//! `portcullis hsm`: keys in tokens, from the first look at a token to the end of a key.
//!
//! What each verb needs of the configuration is here: the group, its members, and which key is meant.

pub mod csr;
pub mod delete;
pub mod generate;
pub mod list;
pub mod probe;
pub mod self_sign;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::anyhow;
use anyhow::bail;
use clap::Subcommand;

use crate::cli::ConfigFile;
use crate::cli::INVALID_CONFIGURATION;
use crate::config::Config;
use crate::config::certificate;
use crate::config::hsm;
use crate::config::hsm::Member;
use crate::config::pkcs11_uri::KeySelector;
use crate::config::suggest;
use crate::hsm::Trouble;
use crate::hsm::ask;
use crate::hsm::connection::Connection;
use crate::hsm::found_key::FoundKey;
use crate::names::HsmName;

/// The verb.
#[derive(Debug, clap::Args)]
pub struct Hsm {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show the tokens of the configuration, their private keys, and who uses them.
    List(list::List),
    /// Make a key pair in a token; the private half never leaves it.
    Generate(generate::Generate),
    /// Print a certificate request (PKCS #10) for a CA, signed by a key in a token.
    Csr(csr::Csr),
    /// Print a certificate that a key in a token has signed for itself.
    SelfSign(self_sign::SelfSign),
    /// Delete a key that no certificate of the configuration uses, both halves of it.
    Delete(delete::Delete),
    /// Have every key of the configuration prove itself, and measure how fast it signs.
    Probe(probe::Probe),
}

impl Hsm {
    /// Runs the verb.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.verb {
            Verb::List(verb) => verb.run(),
            Verb::Generate(verb) => verb.run(),
            Verb::Csr(verb) => verb.run(),
            Verb::SelfSign(verb) => verb.run(),
            Verb::Delete(verb) => verb.run(),
            Verb::Probe(verb) => verb.run(),
        }
    }
}

/// Which key of which group.
#[derive(Debug, clap::Args)]
struct KeyArguments {
    #[command(flatten)]
    config: ConfigFile,
    /// The group: the NAME of [hsm.NAME].
    #[arg(long, value_name = "NAME")]
    hsm: HsmName,
    /// The label of the key.
    #[arg(long, value_name = "LABEL", required_unless_present = "id")]
    label: Option<String>,
    /// The id of the key in hexadecimal digits; with `--label`, both must fit.
    #[arg(long, value_name = "HEX")]
    id: Option<KeyId>,
}

impl KeyArguments {
    fn selector(&self) -> KeySelector {
        let (id, label) = (self.id.clone().map(|id| id.0), self.label.clone());
        KeySelector { id, label, ..KeySelector::default() }
    }
}

/// The id of a key, in hexadecimal digits.
#[derive(Clone, Debug)]
struct KeyId(Vec<u8>);

impl FromStr for KeyId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wanted = "write its bytes with two hexadecimal digits each, such as 10 or a0ff";
        certificate::bytes_of(text).map(Self).ok_or(wanted)
    }
}

/// Runs with the configuration; prints the complaints about one that is not valid.
fn with_config(
    file: &ConfigFile,
    run: impl FnOnce(Config) -> anyhow::Result<ExitCode>,
) -> anyhow::Result<ExitCode> {
    match Config::load(file.path()) {
        Ok(loaded) => run(loaded.config),
        Err(complaints) => {
            eprint!("{}", complaints.render(std::io::stderr().is_terminal()));
            Ok(ExitCode::from(INVALID_CONFIGURATION))
        }
    }
}

/// The group of a name.
fn group<'a>(config: &'a Config, name: &HsmName) -> anyhow::Result<&'a Arc<hsm::Hsm>> {
    config.hsms.get(name).ok_or_else(|| {
        let known: Vec<&str> = config.hsms.keys().map(HsmName::as_str).collect();
        anyhow!("the configuration has no [hsm.{name}]; {}", instead(name.as_str(), &known))
    })
}

/// The place of a member.
fn member(hsm: &hsm::Hsm, name: &str) -> anyhow::Result<usize> {
    hsm.members.iter().position(|member| member.name == name).ok_or_else(|| {
        let known: Vec<&str> = hsm.members.iter().map(|member| member.name.as_str()).collect();
        anyhow!("[hsm.{}] has no member `{name}`; {}", hsm.name, instead(name, &known))
    })
}

fn instead(name: &str, known: &[&str]) -> String {
    suggest::did_you_mean(name, known.iter().copied()).unwrap_or_else(|| match known {
        [] => {
            "it has none: add [hsm.NAME] with the `module`, the `pin` and the `members`".to_owned()
        }
        known => format!("there is {}", suggest::listed(known)),
    })
}

/// A key at the best member that has it, which is not another key at any other one.
fn find_key<'a>(
    hsm: &'a Arc<hsm::Hsm>,
    selector: &KeySelector,
) -> anyhow::Result<(&'a Member, FoundKey)> {
    let wanted = selector.clone();
    let found = ask::all(hsm, move |hsm, member| {
        FoundKey::find(Connection::open(member, hsm.world_readable)?, &wanted)
    });
    let (mut keys, mut troubles) = (Vec::new(), Vec::new());
    for (member, found) in hsm.members.iter().zip(found) {
        match found {
            Ok(key) => keys.push((member, key)),
            Err(trouble) => troubles.push((member, trouble)),
        }
    }
    if let [(first, one), others @ ..] = &keys[..]
        && let Some((second, _)) = others.iter().find(|(_, key)| key.public() != one.public())
    {
        let (first, second) = (&first.name, &second.name);
        bail!("{first} and {second} have different keys that are {selector}; name one of them");
    }
    // Of equals the first.
    match keys.into_iter().min_by_key(|(member, _)| member.priority) {
        Some(best) => Ok(best),
        None => bail!("no member of [hsm.{}] can use {selector}; {}", hsm.name, told(&troubles)),
    }
}

/// "prod-a: it has no such private key; prod-b: .."
fn told(troubles: &[(&Member, Trouble)]) -> String {
    let each = troubles.iter().map(|(member, trouble)| format!("{}: {trouble}", member.name));
    each.collect::<Vec<_>>().join("; ")
}
