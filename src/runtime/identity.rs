//! As whom the process runs: started as root, it becomes a user before it reads a key or starts a thread.
//!
//! Of root's powers it keeps that of binding ports below 1024, so that a reload can open any address.

use std::fs;
use std::io;

use rustix::io::Errno;
use rustix::process;
use rustix::process::Gid;
use rustix::process::Uid;
use rustix::thread;
use rustix::thread::CapabilitySet;
use rustix::thread::CapabilitySets;
use thiserror::Error;

use crate::config::process::Process;
use crate::runtime::accounts::Account;
use crate::runtime::accounts::Accounts;
use crate::runtime::accounts::Unknown;
use crate::runtime::hardening;

/// As whom the process runs from here on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Identity {
    /// As the configured user, which it was already or has become.
    User {
        /// As configured.
        name: String,
        /// Its number.
        uid: u32,
    },
    /// As whoever started it, who is not root.
    Starter,
    /// As root, because no user is configured.
    Root,
}

impl Identity {
    /// What is put behind an error, because it may be that this user may not do what root may.
    pub fn suffix(&self) -> String {
        match self {
            Self::User { name, uid } => format!(" (as the user `{name}`, uid {uid})"),
            Self::Starter | Self::Root => String::new(),
        }
    }
}

/// Why the process is not who it should be.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// Root can be had back, or the groups are not those that were asked for.
    #[error("[process] user: the system did not let go of root's powers; not going on")]
    Back,
    /// A group alone is configured.
    #[error("[process] has a `group` and no `user`; name both, or the user alone")]
    GroupAlone,
    /// It was started as somebody else.
    #[error(
        "[process] user is `{user}` (uid {uid}), but this was started as uid {starter}, who cannot become \
         another user; start it as root or as `{user}`, or leave `user` out"
    )]
    NotRoot {
        /// As configured.
        user: String,
        /// Its number.
        uid: u32,
        /// Who started the process.
        starter: u32,
    },
    /// A file with the names of users or groups cannot be read.
    #[error("{file} cannot be read: {source}")]
    Read {
        /// Which.
        file: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The system refuses.
    #[error("cannot become the user `{user}` ({what}): {source}")]
    Refused {
        /// As configured.
        user: String,
        /// The step that failed.
        what: &'static str,
        /// What the system says.
        source: Errno,
    },
    /// Root was asked for.
    #[error("[process] user is root itself; leave `user` out, or name another one")]
    Root,
    /// A name that is not in the files of this machine.
    #[error(
        "[process] {key}: there is no {key} `{name}` in {file}; one that a directory service knows is \
         named by its number"
    )]
    Unknown {
        /// `user` or `group`.
        key: &'static str,
        /// As configured.
        name: String,
        /// Where it was looked for.
        file: &'static str,
    },
    /// A number that is in no file has no group.
    #[error("[process] user {user} has no entry in /etc/passwd; write its `group` too")]
    WithoutGroup {
        /// As configured.
        user: String,
    },
}

impl IdentityError {
    /// Whether an edit mends it.
    pub fn is_configuration(&self) -> bool {
        matches!(
            self,
            Self::GroupAlone | Self::Root | Self::Unknown { .. } | Self::WithoutGroup { .. }
        )
    }
}

/// The account that the configuration names; `None` where it names none.
///
/// # Errors
/// When the machine does not know it, or it is root.
pub fn account(config: &Process) -> Result<Option<Account>, IdentityError> {
    let Some(user) = &config.user else {
        return if config.group.is_some() { Err(IdentityError::GroupAlone) } else { Ok(None) };
    };
    let passwd = read(PASSWD)?;
    let group = read(GROUP)?;
    let accounts = Accounts { passwd: &passwd, group: &group };
    let account =
        accounts.find(user, config.group.as_deref()).map_err(|unknown| match unknown {
            Unknown::User => {
                IdentityError::Unknown { key: "user", name: user.clone(), file: PASSWD }
            }
            Unknown::Group => {
                let name = config.group.clone().unwrap_or_default();
                IdentityError::Unknown { key: "group", name, file: GROUP }
            }
            Unknown::GroupOfNumber => IdentityError::WithoutGroup { user: user.clone() },
        })?;
    if account.uid == 0 { Err(IdentityError::Root) } else { Ok(Some(account)) }
}

/// Becomes the configured user. What the kernel changes here it changes for one thread and those that it
/// starts, so this comes before any other thread.
///
/// # Errors
/// When there is no such user, it was started as yet another one, or the system refuses.
pub fn assume(config: &Process) -> Result<Identity, IdentityError> {
    let starter = process::geteuid();
    let (Some(user), Some(account)) = (&config.user, account(config)?) else {
        return Ok(if starter.is_root() { Identity::Root } else { Identity::Starter });
    };
    let identity = Identity::User { name: user.clone(), uid: account.uid };
    if starter.as_raw() == account.uid {
        return Ok(identity);
    }
    if !starter.is_root() {
        let starter = starter.as_raw();
        return Err(IdentityError::NotRoot { user: user.clone(), uid: account.uid, starter });
    }
    let refused = |(what, source)| IdentityError::Refused { user: user.clone(), what, source };
    become_user(&account).map_err(refused)?;
    if is_really(&account) { Ok(identity) } else { Err(IdentityError::Back) }
}

/// The groups go first and the user last: each step needs powers that the next one gives up.
fn become_user(account: &Account) -> Result<(), (&'static str, Errno)> {
    let step = |what| move |source| (what, source);
    for capability in CapabilitySet::all().iter().filter(|one| *one != KEPT) {
        match thread::remove_capability_from_bounding_set(capability) {
            // One that this kernel does not have, or a container that keeps the set to itself; then what is
            // left out below is out all the same, as nothing here starts another program.
            Ok(()) | Err(Errno::INVAL | Errno::PERM) => {}
            Err(source) => return Err(("bounding set", source)),
        }
    }
    let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
    let groups: Vec<Gid> = account.groups.iter().copied().map(Gid::from_raw).collect();
    thread::set_keep_capabilities(true).map_err(step("keep capabilities"))?;
    thread::set_thread_groups(&groups).map_err(step("setgroups"))?;
    thread::set_thread_res_gid(gid, gid, gid).map_err(step("setresgid"))?;
    thread::set_thread_res_uid(uid, uid, uid).map_err(step("setresuid"))?;
    // A container may have started it without that power; then it has none.
    let had = thread::capabilities(None).map_err(step("capget"))?;
    let kept = had.permitted & KEPT;
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: none };
    thread::set_capabilities(None, sets).map_err(step("capset"))?;
    thread::set_keep_capabilities(false).map_err(step("keep capabilities"))?;
    hardening::not_dumpable().map_err(step("dumpable"))
}

/// Looks, and tries to be root again.
fn is_really(account: &Account) -> bool {
    let root = Uid::ROOT;
    let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
    let groups = process::getgroups().unwrap_or_default();
    let mut groups: Vec<u32> = groups.into_iter().map(Gid::as_raw).collect();
    groups.sort_unstable();
    let capabilities = thread::capabilities(None);
    process::getuid() == uid
        && process::geteuid() == uid
        && process::getgid() == gid
        && process::getegid() == gid
        && groups == account.groups
        && capabilities.is_ok_and(|sets| KEPT.contains(sets.permitted | sets.effective))
        && thread::set_thread_res_uid(root, root, root).is_err()
}

fn read(file: &'static str) -> Result<String, IdentityError> {
    let bytes = fs::read(file).map_err(|source| IdentityError::Read { file, source })?;
    // A comment in an old character set is no reason to know nobody.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Ports below 1024.
const KEPT: CapabilitySet = CapabilitySet::NET_BIND_SERVICE;

const PASSWD: &str = "/etc/passwd";

const GROUP: &str = "/etc/group";

#[cfg(test)]
mod tests {
    use super::*;

    fn process(user: Option<&str>, group: Option<&str>) -> Process {
        let text = |text: Option<&str>| text.map(str::to_owned);
        Process { user: text(user), group: text(group), ..Process::default() }
    }

    #[test]
    fn what_cannot_be_is_said_in_words() {
        let error = |user, group| account(&process(user, group)).unwrap_err();
        let unknown = error(Some("nobody-of-this-name"), None);
        assert!(unknown.to_string().contains("number"), "{unknown}");
        assert!(matches!(error(Some("root"), None), IdentityError::Root));
        assert!(matches!(error(None, Some("daemon")), IdentityError::GroupAlone));
        assert!(matches!(error(Some("4000000000"), None), IdentityError::WithoutGroup { .. }));
        assert!(unknown.is_configuration());
    }

    #[test]
    fn without_a_user_nothing_changes() {
        assert_eq!(account(&process(None, None)).unwrap(), None);
        let before = process::geteuid();
        let identity = assume(&process(None, None)).unwrap();
        assert_eq!(process::geteuid(), before);
        assert_eq!(identity == Identity::Root, before.is_root());
    }
}
