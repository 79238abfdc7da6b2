//! What a PKCS#11 URI says, what it may not say, and that it is written as it is read.

use proptest::option;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prelude::prop;
use proptest::proptest;

use super::*;

fn selector(text: &str) -> KeySelector {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn error(text: &str) -> UriError {
    text.parse::<KeySelector>().expect_err(text)
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// As `p11tool --list-privkeys` of GnuTLS prints it for SoftHSM.
#[test]
fn what_p11tool_prints_is_read() {
    let printed = "pkcs11:model=SoftHSM%20v2;manufacturer=SoftHSM%20project;serial=4b8f6c7a1d2e3f40;\
                   token=prod-a;id=%10;object=shop-ec;type=private";
    let expected = KeySelector {
        id: Some(vec![0x10]),
        label: some("shop-ec"),
        token: some("prod-a"),
        serial: some("4b8f6c7a1d2e3f40"),
        manufacturer: some("SoftHSM project"),
        model: some("SoftHSM v2"),
    };
    assert_eq!(selector(printed), expected);
    let canonical = "pkcs11:token=prod-a;serial=4b8f6c7a1d2e3f40;manufacturer=SoftHSM%20project;\
                     model=SoftHSM%20v2;id=%10;object=shop-ec;type=private";
    assert_eq!(expected.to_string(), canonical);
}

#[test]
fn values_are_decoded_and_ids_are_bytes() {
    assert_eq!(selector("pkcs11:id=a%00%fF+").id, Some(vec![b'a', 0, 255, b'+']));
    assert_eq!(selector("PKCS11:object=M%C3%BCnchen%3b1").label, some("München;1"));
    assert_eq!(selector("pkcs11:object=a=b/c").label, some("a=b/c"));
    assert_eq!(selector("pkcs11:object=a;serial=").serial, some(""), "the empty string");
}

#[test]
fn what_does_not_belong_into_it_is_refused_with_a_reason() {
    let told = [
        ("", "begin with `pkcs11:`"),
        ("prod-a", "begin with `pkcs11:`"),
        ("pkcs12:object=a", "begin with `pkcs11:`"),
        ("pkcs11:", "which key"),
        ("pkcs11:token=a;type=private", "which key"),
        ("pkcs11:object=;id=", "which key"),
        ("pkcs11:object", "NAME=VALUE"),
        ("pkcs11:object=a;", "NAME=VALUE"),
        ("pkcs11:object=a b", "write %20"),
        ("pkcs11:object=ü", "write %C3%BC"),
        ("pkcs11:object=100%", "two hexadecimal digits"),
        ("pkcs11:object=%+1", "two hexadecimal digits"),
        ("pkcs11:object=%aü", "write %C3%BC"),
        ("pkcs11:object=%ff", "`object` is not UTF-8"),
        ("pkcs11:object=a;object=b", "`object` stands in it twice"),
        ("pkcs11:id=a;type=private;type=private", "`type` stands in it twice"),
        ("pkcs11:object=a;type=cert", "`type=private`"),
        ("pkcs11:object=a;slot-id=1", "slots change their numbers"),
        ("pkcs11:object=a;library-version=2", "`module` in [hsm.NAME]"),
        ("pkcs11:object=a?module-path=/a.so", "`module` in [hsm.NAME]"),
        ("pkcs11:object=a?module-name=a", "`module` in [hsm.NAME]"),
        ("pkcs11:object=a?pin-source=file:/pin", "`pin` of [hsm.NAME]"),
        ("pkcs11:object=a?x", "NAME=VALUE"),
        ("pkcs11:object=a;x-colour=red", "`x-colour` is unknown"),
        ("pkcs11:object=a;Token=b", "`Token` is unknown"),
    ];
    for (text, told) in told {
        let message = error(text).to_string();
        assert!(message.contains(told), "{text}: {message}");
    }
}

#[test]
fn a_pin_is_noticed_wherever_it_stands_and_not_repeated() {
    for text in [
        "pkcs11:object=a?pin-value=1234",
        "pkcs11:slot-id=1?module-path=/a.so&pin-value=1234",
        "pkcs11:object=a;PIN=1234",
        "pkcs11:object=a,pin_value=1234",
        "pkcs11:object=a; user-pin = 1234",
        "pkcs11:token=pin-value=1234;object=a",
        "pkcs11:object=a?pin%2Dvalue=1234",
        "pin=1234",
    ] {
        let error = error(text);
        assert_eq!(error, UriError::PinValue, "{text}");
        assert!(!error.to_string().contains("1234"));
    }
    assert_eq!(selector("pkcs11:object=shopping;id=1").label, some("shopping"));
}

fn selectors() -> impl Strategy<Value = KeySelector> {
    let text = || option::of(any::<String>());
    let id = option::of(prop::collection::vec(any::<u8>(), 0..9));
    (id, any::<String>(), text(), text(), text(), text()).prop_map(
        |(id, label, token, serial, manufacturer, model)| {
            let label = if id.as_ref().is_some_and(|id| id.len() % 2 == 1) {
                None
            } else {
                Some(format!("k{label}"))
            };
            KeySelector { id, label, token, serial, manufacturer, model }
        },
    )
}

proptest! {
    #[test]
    fn it_is_read_as_it_was_written(selector in selectors()) {
        let written = selector.to_string();
        assert_eq!(written.parse(), Ok(selector), "{written}");
    }

    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        let _ = text.parse::<KeySelector>();
    }

    /// Closer to a URI than arbitrary text comes by itself.
    #[test]
    fn what_is_like_a_uri_never_panics(
        text in "pkcs11:((id|object|token|type|pin-value|ü)?[=;?&%]?[\\PC%0-9a-f]{0,4}[;?&]?){0,6}",
    ) {
        if let Ok(selector) = text.parse::<KeySelector>() {
            assert_eq!(selector.to_string().parse(), Ok(selector));
        }
    }
}
