//! What a group of tokens says, and groups that say too little or the same twice.

use super::*;
use crate::config::read::testing::reads;
use crate::config::read::testing::refuses;

fn read(value: &Value<'_>) -> Option<Hsm> {
    let name = "prod".parse().expect("a name");
    RawHsm::read(&value.located(name), value).map(|raw| raw.hsm)
}

fn members(members: &str) -> String {
    format!("{{ module = 'a.so', pin = {{ env = 'PIN' }}, members = [{members}] }}")
}

#[test]
fn what_is_left_out_has_its_default() {
    let hsm = reads(&members("{ token = 'prod-a' }"), read);
    let member = Member {
        name: "prod-a".to_owned(),
        module: "a.so".into(),
        token: Some("prod-a".to_owned()),
        serial: None,
        pin: Secret::Env("PIN".to_owned()),
        priority: 1,
    };
    let expected = Hsm {
        name: "prod".parse().unwrap(),
        sessions: 8,
        sign_timeout: Duration::from_secs(2),
        probe_interval: Duration::from_secs(10),
        queue: 1024,
        members: vec![member],
        world_readable: WorldReadableKeys::Refuse,
    };
    assert_eq!(hsm, expected);
}

#[test]
fn a_member_may_say_all_by_itself() {
    let text = "{ members = [
        { token = 'a', module = 'x/a.so', pin = { file = 'pin-a' }, priority = 9 },
        { serial = '0a', name = 'rack 2', module = 'b.so', pin = { credential = 'pin-b' } },
    ] }";
    let hsm = reads(&text.replace('\n', ""), read);
    let modules: Vec<_> = hsm.members.iter().map(|member| member.module.clone()).collect();
    assert_eq!(modules, [PathBuf::from("etc/x/a.so"), "b.so".into()], "a bare name stays one");
    let pins: Vec<_> = hsm.members.iter().map(|member| member.pin.clone()).collect();
    let expected = [Secret::File("etc/pin-a".into()), Secret::Credential("pin-b".to_owned())];
    assert_eq!(pins, expected);
    assert_eq!(hsm.members[0].priority, 9);
    assert_eq!(hsm.members[1].name, "rack 2");
}

#[test]
fn what_neither_the_group_nor_a_member_says_is_told_once() {
    let complaints = refuses("{ members = [{ token = 'a' }, { token = 'b' }] }", read);
    assert_eq!(complaints.matches("`module` is missing").count(), 1, "{complaints}");
    assert_eq!(complaints.matches("`pin` is missing").count(), 1, "{complaints}");
    let complaints = refuses("{}", read);
    for key in ["module", "pin", "members"] {
        assert!(complaints.contains(&format!("`{key}` is missing")), "{key}: {complaints}");
    }
    let own =
        "{ module = 'a.so', members = [{ token = 'a', pin = { env = 'A' } }, { token = 'b' }] }";
    assert!(refuses(own, read).contains("`pin` is missing"));
}

#[test]
fn a_pin_in_the_open_is_refused_and_not_repeated() {
    for pin in ["'9753'", "9753", "{ value = '9753' }", "{ file = 'a', pin = '9753' }"] {
        let text = format!("{{ module = 'a.so', pin = {pin}, members = [{{ token = 'a' }}] }}");
        assert!(!refuses(&text, read).contains("9753"));
    }
}

#[test]
fn members_are_tokens_that_can_be_told_apart() {
    for (wrong, told) in [
        ("", "at least one token"),
        ("'prod-a'", "{ token = \"prod-a\" }"),
        ("{ name = 'a' }", "which token"),
        ("{ token = '' }", "empty"),
        ("{ token = 'a ' }", "blanks"),
        ("{ token = \"a\\n\" }", "control character"),
        ("{ serial = '01234567890123456' }", "16 bytes"),
        ("{ token = 'a', priority = 0 }", "1 to 9"),
        ("{ token = 'a' }, { token = 'a' }", "the token `a` is named twice"),
        ("{ token = 'a' }, { token = 'a', serial = '1', name = 'b' }", "named twice"),
        ("{ token = 'a' }, { token = 'b', name = 'a' }", "two members are called `a`"),
        ("{ token = 'a' }, { token = 'a', module = 'b.so' }", "two members are called `a`"),
    ] {
        let complaints = refuses(&members(wrong), read);
        assert!(complaints.contains(told), "{wrong}: {complaints}");
    }
    let good = "{ token = 'a', serial = '1', name = 'x' }, { token = 'a', serial = '2', name = 'y' }, { serial = '3' }";
    assert_eq!(reads(&members(good), read).members.len(), 3);
    let many: Vec<String> = (0..33).map(|at| format!("{{ token = 't{at}' }}")).collect();
    assert!(refuses(&members(&many.join(", ")), read).contains("33 members"));
}

#[test]
fn a_member_may_be_what_is_said_of_a_token() {
    let hsm = reads(&members("{ token = 'a', serial = '1' }, { token = 'b' }"), read);
    let may_be =
        |token, serial| hsm.members.iter().map(|m| m.may_be(token, serial)).collect::<Vec<_>>();
    assert_eq!(may_be(Some("a"), None), [true, false]);
    assert_eq!(may_be(Some("b"), Some("7")), [false, true]);
    assert_eq!(may_be(None, Some("1")), [true, false], "of `b` no serial number is known");
    assert_eq!(may_be(Some("a"), Some("2")), [false, false]);
    assert_eq!(may_be(None, None), [false, false]);
}

#[test]
fn numbers_and_times_have_bounds() {
    for wrong in [
        "sessions = 0",
        "sessions = 65",
        "sign_timeout = '49ms'",
        "sign_timeout = '11s'",
        "probe_interval = '0s'",
        "probe_interval = '6m'",
        "queue = 0",
        "queue = 65537",
    ] {
        refuses(
            &members("{ token = 'a' }").replace("{ module", &format!("{{ {wrong}, module")),
            read,
        );
    }
}
