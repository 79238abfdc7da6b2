//! Users and groups of the machine, from the text of `/etc/passwd` and `/etc/group` (passwd(5), group(5)).
//!
//! Pure: text in, numbers out. Users that only a directory service knows are not in these files; for them the
//! configuration has the number.

/// What a process has to know to become a user.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Account {
    /// The number of the user.
    pub uid: u32,
    /// The number of the group.
    pub gid: u32,
    /// All groups that list the user, and `gid`; sorted.
    pub groups: Vec<u32>,
}

/// What the two files hold.
#[derive(Clone, Copy, Debug)]
pub struct Accounts<'a> {
    /// `/etc/passwd`.
    pub passwd: &'a str,
    /// `/etc/group`.
    pub group: &'a str,
}

/// A name that the files do not have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unknown {
    /// The group.
    Group,
    /// The user has a number and is in no file, so its group must be told.
    GroupOfNumber,
    /// The user.
    User,
}

impl Accounts<'_> {
    /// The account of a user, by name or number, with its own group or with this one, by name or number.
    pub fn find(&self, user: &str, group: Option<&str>) -> Result<Account, Unknown> {
        let number = number(user);
        let entry = passwd(self.passwd)
            .find(|entry| entry.name == user || (number == Some(entry.uid) && number.is_some()));
        let uid = entry.as_ref().map(|entry| entry.uid).or(number).ok_or(Unknown::User)?;
        let gid = match (group, &entry) {
            (Some(group), _) => self.gid(group).ok_or(Unknown::Group)?,
            (None, Some(entry)) => entry.gid,
            (None, None) => return Err(Unknown::GroupOfNumber),
        };
        let name = entry.map(|entry| entry.name);
        let lists = |members: &str| name.is_some_and(|name| members.split(',').any(|m| m == name));
        let listed = groups(self.group).filter(|group| lists(group.members)).map(|group| group.gid);
        let mut all: Vec<u32> = listed.chain([gid]).collect();
        all.sort_unstable();
        all.dedup();
        Ok(Account { uid, gid, groups: all })
    }

    fn gid(&self, group: &str) -> Option<u32> {
        let named = groups(self.group).find(|entry| entry.name == group);
        named.map(|entry| entry.gid).or_else(|| number(group))
    }
}

/// The largest number means "as it is" to the kernel.
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|number| *number != u32::MAX)
}

struct User<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
}

struct Group<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

/// `name:password:uid:gid:comment:home:shell`; lines that are none are passed over, as the C library does.
fn passwd(text: &str) -> impl Iterator<Item = User<'_>> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, _) = (fields.next()?, fields.next()?);
        let (uid, gid) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        Some(User { name, uid, gid })
    })
}

/// `name:password:gid:member,member`
fn groups(text: &str) -> impl Iterator<Item = Group<'_>> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, _) = (fields.next()?, fields.next()?);
        let gid = fields.next()?.parse().ok()?;
        Some(Group { name, gid, members: fields.next().unwrap_or_default().trim() })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ACCOUNTS: Accounts<'_> = Accounts {
        passwd: "root:x:0:0:root:/root:/bin/sh\n# a comment\nnobody:x:65534:65534:::\n\
                 portcullis:x:990:980:TLS:/nonexistent:/usr/sbin/nologin\nbroken:x:no:1\n",
        group: "root:x:0:\nportcullis:x:980:\nssl-cert:x:117:postgres,portcullis\nother:x:118:portcullis2\n",
    };

    fn find(user: &str, group: Option<&str>) -> Result<(u32, u32, Vec<u32>), Unknown> {
        ACCOUNTS.find(user, group).map(|account| (account.uid, account.gid, account.groups))
    }

    #[test]
    fn a_user_has_its_own_group_and_those_that_list_it() {
        let account = Ok((990, 980, vec![117, 980]));
        assert_eq!(find("portcullis", None), account);
        assert_eq!(find("990", None), account, "the number of a user that has a name");
        assert_eq!(find("nobody", None), Ok((65534, 65534, vec![65534])));
    }

    #[test]
    fn another_group_takes_the_place_of_its_own() {
        assert_eq!(find("portcullis", Some("root")), Ok((990, 0, vec![0, 117])));
        assert_eq!(find("portcullis", Some("4711")), Ok((990, 4711, vec![117, 4711])));
    }

    #[test]
    fn numbers_need_no_entry_but_a_group() {
        assert_eq!(find("4711", Some("4712")), Ok((4711, 4712, vec![4712])));
        assert_eq!(find("4711", None), Err(Unknown::GroupOfNumber));
    }

    #[test]
    fn names_that_are_nowhere_are_unknown() {
        for name in ["ldapuser", "broken", "", "# a comment", "-1", "4294967295"] {
            assert_eq!(find(name, None), Err(Unknown::User), "{name}");
        }
        assert_eq!(find("nobody", Some("nogroup")), Err(Unknown::Group));
    }

    proptest! {
        #[test]
        fn any_files_are_survived(passwd in "[a-z0-9:,\n]{0,64}", group in "[a-z0-9:,\n]{0,64}", user in "[a-z0-9]{0,3}") {
            let accounts = Accounts { passwd: &passwd, group: &group };
            if let Ok(account) = accounts.find(&user, None) {
                prop_assert!(account.groups.contains(&account.gid));
            }
        }
    }
}
