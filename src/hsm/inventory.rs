//! What there is: the tokens of a module, and the private keys in a token. Changes nothing.

use std::fmt::Write;
use std::path::Path;

use cryptoki::object::Attribute;
use cryptoki::object::AttributeType;
use cryptoki::object::ObjectHandle;
use cryptoki::slot::TokenInfo;

use crate::config::Config;
use crate::config::certificate::KeySource;
use crate::config::hsm::Member;
use crate::config::pkcs11_uri::KeySelector;
use crate::hsm::connection::Connection;
use crate::hsm::module::Module;
use crate::hsm::public_half;
use crate::hsm::trouble::Trouble;
use crate::key::Algorithm;
use crate::names::CertificateName;

/// What a token says of itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Token {
    /// Empty where it has not been initialised.
    pub label: String,
    /// Its serial number.
    pub serial: String,
    /// Who made it.
    pub manufacturer: String,
    /// Which model it is.
    pub model: String,
    /// Open sessions, if it says so: of this process, with many modules.
    pub sessions: Option<u64>,
    /// How many there may be, if it says so and there is a limit.
    pub most_sessions: Option<u64>,
}

/// A private key of a token.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Key {
    /// `CKA_ID`.
    pub id: Vec<u8>,
    /// `CKA_LABEL`.
    pub label: String,
    /// Its kind; None where it is none that is supported.
    pub algorithm: Option<Algorithm>,
    /// Whether it may leave the token; None where it does not say so.
    pub is_extractable: Option<bool>,
    /// Whether the token keeps its value to itself; None where it does not say so.
    pub is_sensitive: Option<bool>,
    /// Whether it wants its PIN before every signature.
    pub always_authenticates: bool,
}

/// A token and its private keys.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Inventory {
    /// The token.
    pub token: Token,
    /// In the order of their labels and ids.
    pub keys: Vec<Key>,
}

/// The tokens of a module, without logging in.
///
/// # Errors
/// The module cannot be loaded, or says nothing.
pub fn tokens(module: &Path) -> Result<Vec<Token>, Trouble> {
    let alive = Module::load(module)?.enter()?;
    let context = alive.module().context();
    let slots = context.get_slots_with_token().map_err(|error| Trouble::of_call(&error))?;
    // One that cannot be asked is as good as absent.
    let tokens = slots.into_iter().filter_map(|slot| context.get_token_info(slot).ok());
    let mut tokens: Vec<_> = tokens.map(|token| Token::from(&token)).collect();
    // Slots are in no order.
    tokens.sort_by(|one, other| (&one.label, &one.serial).cmp(&(&other.label, &other.serial)));
    Ok(tokens)
}

/// The token of a connection and its private keys.
///
/// # Errors
/// The token cannot be asked.
pub fn of(connection: &Connection) -> Result<Inventory, Trouble> {
    let handles = connection.matching(&KeySelector::default())?;
    let keys = handles.into_iter().map(|handle| key(connection, handle));
    let mut keys = keys.collect::<Result<Vec<_>, Trouble>>()?;
    keys.sort_by(|one, other| (&one.label, &one.id).cmp(&(&other.label, &other.id)));
    Ok(Inventory { token: Token::from(connection.token()), keys })
}

/// The certificates that a key of a token is configured for, in whatever group.
pub fn users_of<'a>(config: &'a Config, token: &Token, key: &Key) -> Vec<&'a CertificateName> {
    let uses = |source: &KeySource| match source {
        KeySource::File { .. } => false,
        KeySource::Token { hsm, key: selector } => {
            let members = config.hsms.get(hsm).map_or(&[][..], |hsm| &hsm.members);
            token.may_be(selector)
                && key.may_be(selector)
                && members.iter().any(|member| token.is_of(member))
        }
    };
    let certificates = config.certificates.values();
    certificates.filter(|one| uses(&one.key)).map(|one| &one.name).collect()
}

impl Token {
    /// Whether it is what a member names.
    pub fn is_of(&self, member: &Member) -> bool {
        is(&member.token, &self.label) && is(&member.serial, &self.serial)
    }

    fn may_be(&self, selector: &KeySelector) -> bool {
        is(&selector.token, &self.label)
            && is(&selector.serial, &self.serial)
            && is(&selector.manufacturer, &self.manufacturer)
            && is(&selector.model, &self.model)
    }
}

impl From<&TokenInfo> for Token {
    fn from(info: &TokenInfo) -> Self {
        let label = if info.token_initialized() { info.label() } else { "" };
        Self {
            label: label.to_owned(),
            serial: info.serial_number().to_owned(),
            manufacturer: info.manufacturer_id().to_owned(),
            model: info.model().to_owned(),
            sessions: info.session_count(),
            most_sessions: info.max_session_count().into(),
        }
    }
}

impl Key {
    /// Whether it is what the `id` and the label of a selector say.
    pub fn may_be(&self, selector: &KeySelector) -> bool {
        is(&selector.label, &self.label) && selector.id.as_ref().is_none_or(|id| *id == self.id)
    }

    /// What means this key of this token, and no other; prints as its URI.
    pub fn selector_in(&self, token: &Token) -> KeySelector {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let serial = if token.label.is_empty() { some(&token.serial) } else { None };
        KeySelector {
            id: Some(self.id.clone()).filter(|id| !id.is_empty()),
            label: some(&self.label),
            token: some(&token.label),
            serial,
            ..KeySelector::default()
        }
    }

    /// Its id in hexadecimal digits, as the configuration takes it.
    pub fn id_digits(&self) -> String {
        digits(&self.id)
    }

    /// What is the matter with it, in sentences.
    pub fn problems(&self) -> Vec<&'static str> {
        let problems = [
            (self.algorithm.is_none(), "its kind is not supported"),
            (self.is_extractable == Some(true), "it can leave the token (CKA_EXTRACTABLE)"),
            (self.is_sensitive == Some(false), "the token reveals it (no CKA_SENSITIVE)"),
            (
                self.always_authenticates,
                "it wants its PIN before every signature (CKA_ALWAYS_AUTHENTICATE)",
            ),
        ];
        problems.into_iter().filter(|(is_so, _)| *is_so).map(|(_, problem)| problem).collect()
    }
}

/// Bytes in hexadecimal digits.
pub fn digits(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn is(asked: &Option<String>, known: &str) -> bool {
    asked.as_deref().is_none_or(|asked| asked == known)
}

fn key(connection: &Connection, handle: ObjectHandle) -> Result<Key, Trouble> {
    let session = connection.session();
    let asked = [
        AttributeType::Id,
        AttributeType::Label,
        AttributeType::Extractable,
        AttributeType::Sensitive,
    ];
    let said = session.get_attributes(handle, &asked);
    let mut key = Key {
        id: Vec::new(),
        label: String::new(),
        algorithm: public_half::algorithm_of(session, handle)?,
        is_extractable: None,
        is_sensitive: None,
        always_authenticates: connection.always_authenticates(handle),
    };
    for attribute in said.map_err(|error| Trouble::of_call(&error))? {
        match attribute {
            Attribute::Id(id) => key.id = id,
            Attribute::Label(label) => key.label = String::from_utf8_lossy(&label).into_owned(),
            Attribute::Extractable(is_so) => key.is_extractable = Some(is_so),
            Attribute::Sensitive(is_so) => key.is_sensitive = Some(is_so),
            _ => {}
        }
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(label: &str, serial: &str) -> Token {
        Token {
            label: label.to_owned(),
            serial: serial.to_owned(),
            manufacturer: "m".to_owned(),
            model: "x".to_owned(),
            sessions: None,
            most_sessions: None,
        }
    }

    fn key(label: &str, id: &[u8]) -> Key {
        Key {
            id: id.to_vec(),
            label: label.to_owned(),
            algorithm: Some(Algorithm::P256),
            is_extractable: Some(false),
            is_sensitive: Some(true),
            always_authenticates: false,
        }
    }

    #[test]
    fn a_uri_means_one_key_of_one_token() {
        let uri = key("shop", &[0x10, 0xff]).selector_in(&token("prod a", "1")).to_string();
        assert_eq!(uri, "pkcs11:token=prod%20a;id=%10%FF;object=shop;type=private");
        let uri = key("", &[1]).selector_in(&token("", "42")).to_string();
        assert_eq!(uri, "pkcs11:serial=42;id=%01;type=private");
    }

    #[test]
    fn a_key_is_known_by_what_is_said_of_it() {
        let selector: KeySelector = "pkcs11:id=%10;object=shop".parse().unwrap();
        assert!(key("shop", &[0x10]).may_be(&selector));
        assert!(!key("shop", &[0x11]).may_be(&selector));
        assert!(!key("blog", &[0x10]).may_be(&selector));
    }

    #[test]
    fn users_are_the_certificates_of_all_groups_with_the_token() {
        let text = r#"
state_dir = "state"
[virtual_service.edge]
listen = ["127.0.0.1:1"]
certificates = ["one", "two"]
no_pool = { status = 404 }
[certificate.one]
chain = "one.pem"
key = { hsm = "first", label = "shop" }
[certificate.two]
chain = "two.pem"
key = { hsm = "second", id = "10" }
[hsm.first]
module = "m.so"
pin = { env = "PIN" }
members = [{ token = "a" }]
[hsm.second]
module = "m.so"
pin = { env = "PIN" }
members = [{ serial = "1" }, { token = "b" }]
"#;
        let config = Config::parse("test.toml", text).unwrap().config;
        let users = |token, key| {
            let users = users_of(&config, &token, &key);
            users.into_iter().map(CertificateName::as_str).collect::<Vec<_>>()
        };
        assert_eq!(users(token("a", "1"), key("shop", &[0x10])), ["one", "two"]);
        assert_eq!(users(token("a", "2"), key("shop", &[0x10])), ["one"]);
        assert_eq!(users(token("b", "2"), key("shop", &[0x10])), ["two"]);
        assert_eq!(users(token("c", "2"), key("shop", &[0x10])), [""; 0]);
        assert_eq!(users(token("a", "1"), key("blog", &[0x11])), [""; 0]);
    }

    #[test]
    fn what_is_wrong_with_a_key_is_said() {
        assert!(key("a", &[1]).problems().is_empty());
        let loose = Key { is_extractable: Some(true), is_sensitive: Some(false), ..key("a", &[1]) };
        assert_eq!(loose.problems().len(), 2);
    }
}
