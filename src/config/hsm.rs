//! `[hsm.NAME]`: tokens that hold the same private keys, how one logs in to them, and how long they may take.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::complaint::Complaint;
use crate::config::process::WorldReadableKeys;
use crate::config::read::Field;
use crate::config::read::Table;
use crate::config::schema::Key;
use crate::config::secret;
use crate::config::secret::Secret;
use crate::config::source::Located;
use crate::config::source::Place;
use crate::config::suggest;
use crate::config::value::Value;
use crate::names::HsmName;

/// The checked table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Hsm {
    /// The name of the group.
    pub name: HsmName,
    /// Sessions that are open with each member; so many signatures are under way at once. Default 8.
    pub sessions: usize,
    /// From a wanted signature to the end of the wait for it. Default 2s; shorter than the handshake's.
    pub sign_timeout: Duration,
    /// How often a member that has nothing to do is asked whether it is there. Default 10s.
    pub probe_interval: Duration,
    /// Handshakes that may wait for a signature of the group; more are refused at once. Default 1024.
    pub queue: usize,
    /// At least one; no token and no name twice.
    pub members: Vec<Member>,
    /// What is done when everybody can read the file of a PIN; `[process] world_readable_keys`. It is here so
    /// that a reload which changes it judges every PIN again.
    pub world_readable: WorldReadableKeys,
}

/// One token of a group.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Member {
    /// How logs and metrics call it. Default: the label of the token, or else its serial number.
    pub name: String,
    /// The PKCS#11 module that speaks to it. Without a slash it is looked for where distributions keep
    /// PKCS#11 modules.
    pub module: PathBuf,
    /// The label of the token; None: any.
    pub token: Option<String>,
    /// Its serial number; None: any.
    pub serial: Option<String>,
    /// What one logs in with.
    pub pin: Secret,
    /// 1 to 9, default 1: the lowest that is up signs, and equal ones share.
    pub priority: u8,
}

/// The keys of the table.
pub const KEYS: &[Key] = &[
    Key::needed(
        "module",
        "\"libsofthsm2.so\"",
        "The PKCS#11 module that came with the tokens: a path, or a bare name that is looked for where distributions \
         keep such modules. Needed unless every member has its own.",
    ),
    Key::needed(
        "pin",
        "{ file = \"secrets/pin\" }",
        "What one logs in with, read at each login. Needed unless every member has its own. A table with one of",
    )
    .with(secret::KEYS),
    Key::needed(
        "members",
        "[{ token = \"prod-a\" }, { token = \"prod-b\", priority = 2 }]",
        "Tokens that hold the same keys, at most 32; a list of tables with",
    )
    .with(MEMBER_KEYS),
    Key::default(
        "sessions",
        "8",
        "Sessions with each member: so many signatures at once. From 1 to 64.",
    ),
    Key::default(
        "sign_timeout",
        "\"2s\"",
        "How long a handshake waits until it can begin to sign, and then for its signature. From 50ms to 10s, and \
         shorter than `timeouts.handshake`.",
    ),
    Key::default(
        "probe_interval",
        "\"10s\"",
        "How often a member without work is asked whether it is there. From 1s to 5m.",
    ),
    Key::default(
        "queue",
        "1024",
        "Handshakes that may wait for a signature; more are refused at once. From 1 to 65536.",
    ),
];

/// The keys of a member.
const MEMBER_KEYS: &[Key] = &[
    Key::absent("token", "\"prod-a\"", "the label of the token; this, `serial` or both"),
    Key::absent("serial", "\"4b8f6c7a1d2e3f40\"", "its serial number"),
    Key::absent(
        "name",
        "\"rack-1\"",
        "how logs and metrics call it; default: the label of the token, or else its serial number",
    ),
    Key::absent("module", "\"libsofthsm2.so\"", "in place of that of the group"),
    Key::absent(
        "pin",
        "{ file = \"secrets/pin-a\" }",
        "in place of that of the group, with the same keys",
    ),
    Key::default("priority", "1", "1 to 9: the lowest that is up signs, and equal ones share"),
];

/// A group and where it says what must fit to something else.
#[derive(Debug)]
pub struct RawHsm {
    /// The group.
    pub hsm: Hsm,
    /// Where `sign_timeout` stands.
    pub sign_timeout: Option<Place>,
}

impl RawHsm {
    /// Reads the table.
    pub fn read(name: &Located<HsmName>, value: &Value<'_>) -> Option<Self> {
        let title = format!("[hsm.{}]", name.value);
        let table = Table::open(value, title, "hsm", &[KEYS])?.placed(name.place.clone());
        let module = table.field("module", module);
        let pin = table.field("pin", Secret::read);
        let count = |most: u64| move |value: &Value<'_>| value.integer(1..=most);
        let sessions = table.field("sessions", count(64)).or(8);
        let sign_timeout = table.field("sign_timeout", |value| value.duration(SIGNATURES));
        let probe_interval =
            table.or("probe_interval", PROBE_INTERVAL, |value| value.duration(PROBES));
        let queue = table.field("queue", count(65_536)).or(1024);
        let members = table.needed(&KEYS[2], RawMember::read_list);
        let lacks = |is_absent: fn(&RawMember) -> bool| match &members {
            Field::Absent => true,
            Field::Bad(_) => false,
            Field::Good(members) => members.value.iter().any(|member| is_absent(&member.value)),
        };
        if module.is_absent() && lacks(|member| member.module.is_absent()) {
            complain_missing(&table, name, "module", MODULE_WANTED);
        }
        if pin.is_absent() && lacks(|member| member.pin.is_absent()) {
            complain_missing(&table, name, "pin", PIN_WANTED);
        }
        let members = members.good()?.value.iter().map(|member| {
            Some(Located {
                value: member.value.clone().member(&module, &pin)?,
                place: member.place.clone(),
            })
        });
        let members: Vec<Located<Member>> = members.collect::<Option<_>>()?;
        refuse_same(&table, &members);
        let hsm = Hsm {
            name: name.value.clone(),
            sessions: sessions as usize,
            sign_timeout: sign_timeout.good().map_or(SIGN_TIMEOUT, |timeout| timeout.value),
            probe_interval,
            queue: queue as usize,
            members: members.into_iter().map(|member| member.value).collect(),
            world_readable: WorldReadableKeys::default(),
        };
        Some(Self { hsm, sign_timeout: sign_timeout.place().cloned() })
    }
}

impl Member {
    /// Whether a token that is described so may be this one: nothing differs of what both say, and both say
    /// something.
    pub fn may_be(&self, token: Option<&str>, serial: Option<&str>) -> bool {
        let pairs = [(self.token.as_deref(), token), (self.serial.as_deref(), serial)];
        let mut known =
            pairs.into_iter().filter_map(|(own, other)| Some((own?, other?))).peekable();
        known.peek().is_some() && known.all(|(own, other)| own == other)
    }
}

/// A member before it gets from its group what it does not say itself.
#[derive(Clone)]
struct RawMember {
    name: String,
    module: Field<PathBuf>,
    token: Option<String>,
    serial: Option<String>,
    pin: Field<Secret>,
    priority: u8,
}

impl RawMember {
    fn read_list(value: &Value<'_>) -> Option<Vec<Located<Self>>> {
        let members = value.located_list(Self::read)?;
        if members.is_empty() {
            let help = "name at least one, such as [{ token = \"prod-a\" }]".to_owned();
            value.complain("a group needs at least one token", "nothing here", Some(help));
            return None;
        }
        if members.len() > MOST_MEMBERS {
            let message = format!("{} members in one group", members.len());
            let help = format!("make several groups: one has at most {MOST_MEMBERS}");
            value.complain(message, "", Some(help));
            return None;
        }
        Some(members)
    }

    fn read(value: &Value<'_>) -> Option<Self> {
        if value.entries().is_none() {
            let help = "write its label: { token = \"prod-a\" }".to_owned();
            value.wrong_type_help("a table", Some(help));
            return None;
        }
        let table = Table::open(value, "a member".to_owned(), "member", &[MEMBER_KEYS])?;
        let text = |key, most| table.field(key, |value| text(value, most)).unless_bad();
        let (token, serial, name) =
            (text("token", MOST_LABEL), text("serial", MOST_SERIAL), text("name", MOST_NAME));
        let module = table.field("module", module);
        let pin = table.field("pin", Secret::read);
        let priority = table.field("priority", |value| value.integer(1..=9)).unless_bad();
        let (token, serial) = (token?, serial?);
        let Some(called) = token.as_ref().or(serial.as_ref()) else {
            let message = "this member does not say which token it is";
            let help = "add `token = \"LABEL\"` or `serial = \"NUMBER\"`, as `pkcs11-tool --list-token-slots` \
                        prints them";
            value.complain(message, "", Some(help.to_owned()));
            return None;
        };
        let name = name?.unwrap_or_else(|| called.clone());
        Some(Self { name, module, token, serial, pin, priority: priority?.unwrap_or(1) as u8 })
    }

    /// None: what is missing or wrong was complained about.
    fn member(self, module: &Field<PathBuf>, pin: &Field<Secret>) -> Option<Member> {
        let module = self.module.unless_bad()?.or(module.clone().unless_bad()?);
        let pin = self.pin.unless_bad()?.or(pin.clone().unless_bad()?);
        Some(Member {
            name: self.name,
            module: module?,
            token: self.token,
            serial: self.serial,
            pin: pin?,
            priority: self.priority,
        })
    }
}

/// A bare name stays one: it is not a file in the directory of the configuration.
fn module(value: &Value<'_>) -> Option<PathBuf> {
    let path = value.path()?;
    let text = value.word()?;
    Some(if text.contains('/') { path } else { PathBuf::from(&*text) })
}

/// What a token says of itself, or how one is called: it also stands in logs and metrics.
fn text(value: &Value<'_>, most: usize) -> Option<String> {
    let text = value.word()?;
    let (name, text) = (value.name(), &*text);
    let (message, help) = if text.len() > most {
        (format!("{name} is longer than {most} bytes"), "shorten it")
    } else if text.chars().any(char::is_control) {
        (format!("{name} holds a control character"), "remove it")
    } else if text.trim() != text {
        (format!("{name} has blanks at its ends"), "remove them: tokens are compared without them")
    } else {
        return Some(text.to_owned());
    };
    value.complain(message, "", Some(help.to_owned()));
    None
}

fn complain_missing(table: &Table<'_>, name: &Located<HsmName>, key: &str, help: &str) {
    let message = format!("`{key}` is missing from [hsm.{}]", name.value);
    table.document().complain(Complaint::error(name.place.clone(), message).help(help));
}

/// One token is one member, and has a name of its own.
fn refuse_same(table: &Table<'_>, members: &[Located<Member>]) {
    for (index, Located { value: member, place }) in members.iter().enumerate() {
        let before = &members[..index];
        let is_same = |other: &&Located<Member>| {
            other.value.module == member.module
                && other.value.may_be(member.token.as_deref(), member.serial.as_deref())
        };
        let same_token = before.iter().find(is_same);
        let same_name = before.iter().find(|other| other.value.name == member.name);
        let (message, first, help) = match (same_token, same_name) {
            (Some(first), _) => {
                let message = format!("the token `{}` is named twice", member.name);
                (message, first, "remove one, or tell them apart by their `serial`")
            }
            (None, Some(first)) => {
                let message = format!("two members are called `{}`", member.name);
                (message, first, "give one of them a `name` of its own")
            }
            (None, None) => continue,
        };
        let complaint = Complaint::error(place.clone(), message).label("again");
        let complaint = complaint.see(first.place.clone(), "first here");
        table.document().complain(complaint.help(help));
    }
}

/// "`prod-a` and `prod-b`".
pub fn listed<'a>(members: impl IntoIterator<Item = &'a Member>) -> String {
    let names: Vec<&str> = members.into_iter().map(|member| member.name.as_str()).collect();
    suggest::listed(&names)
}

const MODULE_WANTED: &str = "add the library that came with the tokens, such as `module = \"libsofthsm2.so\"`, or give \
                             every member its own";

const PIN_WANTED: &str = "say where it is: `pin = { file = \"secrets/pin\" }`, `{ env = \"HSM_PIN\" }` or `{ credential \
                          = \"hsm-pin\" }`; the PIN itself never stands in this file";

const SIGN_TIMEOUT: Duration = Duration::from_secs(2);

/// Shorter is too short for tokens in a network, and longer is what no client waits for.
const SIGNATURES: RangeInclusive<Duration> = Duration::from_millis(50)..=Duration::from_secs(10);

const PROBE_INTERVAL: Duration = Duration::from_secs(10);

/// Shorter is work without a use, and firewalls drop what is silent for longer.
const PROBES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(300);

/// `label` of `CK_TOKEN_INFO`.
const MOST_LABEL: usize = 32;

/// `serialNumber` of `CK_TOKEN_INFO`.
const MOST_SERIAL: usize = 16;

/// As long as other names.
const MOST_NAME: usize = 64;

/// More tokens than anyone keeps in step.
const MOST_MEMBERS: usize = 32;

#[cfg(test)]
#[path = "hsm_tests.rs"]
mod tests;
