//! `portcullis hsm delete`: the end of a key, after a look at who uses it.

use std::io::BufRead;
use std::io::IsTerminal;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::bail;

use crate::cli::hsm;
use crate::cli::hsm::KeyArguments;
use crate::config;
use crate::config::Config;
use crate::config::hsm::Member;
use crate::config::pkcs11_uri::KeySelector;
use crate::hsm::Trouble;
use crate::hsm::ask;
use crate::hsm::connection::Connection;
use crate::hsm::inventory;
use crate::hsm::inventory::Inventory;
use crate::hsm::making;

/// The verb.
#[derive(Debug, clap::Args)]
pub struct Delete {
    #[command(flatten)]
    key: KeyArguments,
    /// The only member to delete it from; default: all that have it.
    #[arg(long, value_name = "NAME")]
    member: Option<String>,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

/// A key that will be deleted.
struct Doomed {
    member: Member,
    /// That key and no other; prints as its URI.
    selector: KeySelector,
    kind: String,
}

impl Delete {
    /// 0 where the key is gone from all that had it.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        hsm::with_config(&self.key.config, |config| {
            let group = hsm::group(&config, &self.key.hsm)?;
            let group = match &self.member {
                None => Arc::clone(group),
                Some(name) => {
                    let only = group.members[hsm::member(group, name)?].clone();
                    Arc::new(config::hsm::Hsm { members: vec![only], ..(**group).clone() })
                }
            };
            self.delete(&config, &group)
        })
    }

    fn delete(&self, config: &Config, hsm: &Arc<config::hsm::Hsm>) -> anyhow::Result<ExitCode> {
        let inventories = ask::all(hsm, |hsm, member| {
            inventory::of(&Connection::open(member, hsm.world_readable)?)
        });
        let selector = self.key.selector();
        let (mut doomed, mut troubles) = (Vec::new(), Vec::new());
        for (member, inventory) in hsm.members.iter().zip(inventories) {
            match inventory.and_then(|inventory| one(config, &inventory, &selector)) {
                Ok((key, kind, users)) if users.is_empty() => {
                    doomed.push(Doomed { member: member.clone(), selector: key, kind });
                }
                Ok((key, _, users)) => bail!(
                    "{key} is the key of {}; take it out of {} first",
                    users.join(" and "),
                    self.key.config.path().display()
                ),
                Err(trouble) => troubles.push((member, trouble)),
            }
        }
        if doomed.is_empty() {
            bail!("no member of [hsm.{}] has {selector}; {}", hsm.name, hsm::told(&troubles));
        }
        let file = self.key.config.path().display();
        for Doomed { member, selector, kind } in &doomed {
            eprintln!("{}: {kind}, {selector}, used by no certificate of {file}", member.name);
        }
        let mut is_whole = true;
        for (member, trouble) in &troubles {
            eprintln!("{}: {trouble}", member.name);
            is_whole &= *trouble == Trouble::KeyMissing;
        }
        if !self.is_wanted()? {
            bail!("nothing is deleted");
        }
        for Doomed { member, selector, .. } in doomed {
            let (name, policy) = (member.name.clone(), hsm.world_readable);
            let deleted = ask::one(ask::WITHIN, move || {
                making::delete(&Connection::open_to_write(&member, policy)?, &selector)
            });
            match deleted {
                Ok(true) => println!("{name}: both halves are deleted"),
                Ok(false) => println!("{name}: the private key is deleted; it had no public half"),
                Err(trouble) => {
                    eprintln!("{name}: not deleted: {trouble}");
                    is_whole = false;
                }
            }
        }
        Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn is_wanted(&self) -> anyhow::Result<bool> {
        if self.yes {
            return Ok(true);
        }
        let mut stdin = std::io::stdin().lock();
        if !std::io::stdin().is_terminal() {
            bail!("nobody can be asked here whether that is meant: add --yes");
        }
        eprint!("This cannot be undone. Type `yes` to delete it: ");
        std::io::stderr().flush()?;
        let mut answer = String::new();
        stdin.read_line(&mut answer)?;
        Ok(answer.trim() == "yes")
    }
}

/// The one key that is meant, its kind, and the tables of the certificates that use it.
fn one(
    config: &Config,
    inventory: &Inventory,
    selector: &KeySelector,
) -> Result<(KeySelector, String, Vec<String>), Trouble> {
    let meant: Vec<_> = inventory.keys.iter().filter(|key| key.may_be(selector)).collect();
    let key = match meant[..] {
        [] => return Err(Trouble::KeyMissing),
        [key] => key,
        _ => return Err(Trouble::KeyAmbiguous { count: meant.len() }),
    };
    let users = inventory::users_of(config, &inventory.token, key);
    let users = users.iter().map(|name| format!("[certificate.{name}]")).collect();
    let kind = key.algorithm.map_or("a key".to_owned(), |kind| format!("{kind} key"));
    Ok((key.selector_in(&inventory.token), kind, users))
}
