//! `portcullis hsm list`: tokens, the private keys in them, and who uses these.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use serde::Serialize;

use crate::cli::ConfigFile;
use crate::cli::hsm;
use crate::cli::table::table;
use crate::config;
use crate::config::Config;
use crate::hsm::Trouble;
use crate::hsm::ask;
use crate::hsm::connection::Connection;
use crate::hsm::inventory;
use crate::hsm::inventory::Inventory;
use crate::hsm::module;
use crate::names::HsmName;

/// The verb.
#[derive(Debug, clap::Args)]
pub struct List {
    #[command(flatten)]
    config: ConfigFile,
    /// This group alone: the NAME of [hsm.NAME].
    #[arg(long, value_name = "NAME")]
    hsm: Option<HsmName>,
    /// The tokens of this PKCS#11 module, without a configuration and without logging in.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["hsm", "positional", "named"])]
    module: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What `list` found; the JSON has the same words.
#[derive(Debug, Default, Serialize)]
struct Answer {
    groups: Vec<Group>,
    /// Tokens that no member names, of all modules of the configuration or of the one that was asked for.
    other_tokens: Vec<Token>,
}

#[derive(Debug, Serialize)]
struct Group {
    name: String,
    members: Vec<Member>,
}

#[derive(Debug, Serialize)]
struct Member {
    name: String,
    /// `up` or `down`.
    state: &'static str,
    problem: Option<String>,
    module: String,
    token: Option<Token>,
    keys: Vec<Key>,
}

#[derive(Debug, Serialize)]
struct Token {
    module: String,
    label: String,
    serial: String,
    manufacturer: String,
    model: String,
    sessions: Option<u64>,
    most_sessions: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Key {
    label: String,
    id: String,
    r#type: Option<String>,
    extractable: Option<bool>,
    sensitive: Option<bool>,
    uri: String,
    certificates: Vec<String>,
    problems: Vec<&'static str>,
}

impl List {
    /// 0 whatever the state of the tokens is: that is what it shows.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        if let Some(path) = &self.module {
            let name = path.clone();
            let tokens = ask::one(ask::WITHIN, move || inventory::tokens(&name))?;
            let place = place(path);
            let other_tokens = tokens.into_iter().map(|token| Token::new(&place, token)).collect();
            return self.tell(&Answer { other_tokens, ..Answer::default() }, "TOKEN");
        }
        hsm::with_config(&self.config, |config| {
            let groups = match &self.hsm {
                Some(name) => vec![hsm::group(&config, name)?],
                None => config.hsms.values().collect(),
            };
            let groups = groups.into_iter().map(|group| Group::ask(&config, group)).collect();
            let other_tokens = if self.hsm.is_none() { others(&config) } else { Vec::new() };
            self.tell(&Answer { groups, other_tokens }, "NOT IN THE CONFIGURATION")
        })
    }

    fn tell(&self, answer: &Answer, others: &str) -> anyhow::Result<ExitCode> {
        if self.json {
            println!("{}", serde_json::to_string_pretty(answer)?);
        } else {
            // A closed pipe (`list | head`) is not an error worth a message.
            drop(answer.print(others));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The tokens that the modules of a configuration have, and that no member names. One that has not been
/// initialised is none.
fn others(config: &Config) -> Vec<Token> {
    let mut modules = BTreeMap::<PathBuf, Vec<&config::hsm::Member>>::new();
    for member in config.hsms.values().flat_map(|hsm| &hsm.members) {
        modules.entry(place(&member.module)).or_default().push(member);
    }
    let mut others = Vec::new();
    for (path, members) in modules {
        let name = path.clone();
        // Where it says nothing, its members have said why.
        let tokens = ask::one(ask::WITHIN, move || inventory::tokens(&name)).unwrap_or_default();
        let unnamed = tokens.into_iter().filter(|token| {
            !token.label.is_empty() && !members.iter().any(|member| token.is_of(member))
        });
        others.extend(unnamed.map(|token| Token::new(&path, token)));
    }
    others
}

/// Where a module is, if it can be loaded.
fn place(module: &Path) -> PathBuf {
    module::Module::load(module).map_or(module.to_owned(), |module| module.path().to_owned())
}

impl Group {
    fn ask(config: &Config, hsm: &Arc<config::hsm::Hsm>) -> Self {
        let inventories = ask::all(hsm, |hsm, member| {
            inventory::of(&Connection::open(member, hsm.world_readable)?)
        });
        let members = hsm.members.iter().zip(inventories);
        let members = members.map(|(member, inventory)| Member::new(config, member, inventory));
        Self { name: hsm.name.to_string(), members: members.collect() }
    }
}

impl Member {
    fn new(
        config: &Config,
        member: &config::hsm::Member,
        inventory: Result<Inventory, Trouble>,
    ) -> Self {
        let module = place(&member.module);
        let (inventory, problem) = match inventory {
            Ok(inventory) => (Some(inventory), None),
            Err(trouble) => (None, Some(trouble.to_string())),
        };
        let (token, keys) = match inventory {
            None => (None, Vec::new()),
            Some(Inventory { token, keys }) => {
                let keys = keys.iter().map(|key| Key::new(config, &token, key)).collect();
                (Some(Token::new(&module, token)), keys)
            }
        };
        Self {
            name: member.name.clone(),
            state: if problem.is_none() { "up" } else { "down" },
            problem,
            module: module.display().to_string(),
            token,
            keys,
        }
    }
}

impl Token {
    fn new(module: &Path, token: inventory::Token) -> Self {
        Self {
            module: module.display().to_string(),
            label: token.label,
            serial: token.serial,
            manufacturer: token.manufacturer,
            model: token.model,
            sessions: token.sessions,
            most_sessions: token.most_sessions,
        }
    }

    fn sessions(&self) -> String {
        let number = |number: Option<u64>| number.map_or("?".to_owned(), |n| n.to_string());
        match (self.sessions, self.most_sessions) {
            (None, None) => String::new(),
            (sessions, None) => number(sessions),
            (sessions, most) => format!("{} of {}", number(sessions), number(most)),
        }
    }
}

impl Key {
    fn new(config: &Config, token: &inventory::Token, key: &inventory::Key) -> Self {
        let users = inventory::users_of(config, token, key);
        Self {
            label: key.label.clone(),
            id: key.id_digits(),
            r#type: key.algorithm.map(|kind| kind.to_string()),
            extractable: key.is_extractable,
            sensitive: key.is_sensitive,
            uri: key.selector_in(token).to_string(),
            certificates: users.iter().map(ToString::to_string).collect(),
            problems: key.problems(),
        }
    }
}

impl Answer {
    fn print(&self, others: &str) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        let members = || {
            self.groups.iter().flat_map(|group| group.members.iter().map(move |one| (group, one)))
        };
        let tokens: Vec<_> = members().map(|(group, member)| member.row(group)).collect();
        let keys = members()
            .flat_map(|(group, member)| member.keys.iter().map(move |key| key.row(group, member)));
        let keys: Vec<_> = keys.collect();
        if !tokens.is_empty() {
            table(&mut out, TOKENS, &tokens)?;
        }
        if !keys.is_empty() {
            table(&mut out, KEYS, &keys)?;
        }
        let rest: Vec<_> = self.other_tokens.iter().map(Token::row).collect();
        match rest.is_empty() {
            true if tokens.is_empty() => writeln!(out, "there are no tokens"),
            true => Ok(()),
            false => table(
                &mut out,
                [others, "SERIAL", "MANUFACTURER", "MODEL", "SESSIONS", "MODULE"],
                &rest,
            ),
        }
    }
}

impl Member {
    fn row(&self, group: &Group) -> [String; 10] {
        let of = |part: fn(&Token) -> String| self.token.as_ref().map(part).unwrap_or_default();
        [
            group.name.clone(),
            self.name.clone(),
            self.state.to_owned(),
            of(|token| token.label.clone()),
            of(|token| token.serial.clone()),
            of(|token| token.manufacturer.clone()),
            of(|token| token.model.clone()),
            of(Token::sessions),
            self.module.clone(),
            self.problem.clone().unwrap_or_default(),
        ]
    }
}

impl Key {
    fn row(&self, group: &Group, member: &Member) -> [String; 8] {
        [
            group.name.clone(),
            member.name.clone(),
            self.label.clone(),
            self.id.clone(),
            self.r#type.clone().unwrap_or("other".to_owned()),
            self.certificates.join(", "),
            self.uri.clone(),
            self.problems.join("; "),
        ]
    }
}

impl Token {
    fn row(&self) -> [String; 6] {
        let label = if self.label.is_empty() { "(not initialised)" } else { &self.label };
        [
            label.to_owned(),
            self.serial.clone(),
            self.manufacturer.clone(),
            self.model.clone(),
            self.sessions(),
            self.module.clone(),
        ]
    }
}

const TOKENS: [&str; 10] = [
    "HSM",
    "MEMBER",
    "STATE",
    "TOKEN",
    "SERIAL",
    "MANUFACTURER",
    "MODEL",
    "SESSIONS",
    "MODULE",
    "PROBLEM",
];

const KEYS: [&str; 8] = ["HSM", "MEMBER", "LABEL", "ID", "TYPE", "CERTIFICATES", "URI", "PROBLEM"];
