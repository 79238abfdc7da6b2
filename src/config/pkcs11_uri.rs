//! PKCS#11 URIs (RFC 7512): which key of a token is meant, and nothing else. Which module the token
//! belongs to, and its PIN, are said in `[hsm.NAME]`.

use std::fmt;
use std::fmt::Write as _;
use std::str::FromStr;

use thiserror::Error;

/// Which key of a token: what a PKCS#11 URI (RFC 7512), or `label` and `id`, say.
///
/// What is None may be anything.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct KeySelector {
    /// `CKA_ID` of the key: bytes.
    pub id: Option<Vec<u8>>,
    /// `CKA_LABEL` of the key; `object` in a URI.
    pub label: Option<String>,
    /// Label of the token.
    pub token: Option<String>,
    /// Serial number of the token.
    pub serial: Option<String>,
    /// Who made the token.
    pub manufacturer: Option<String>,
    /// Which model the token is.
    pub model: Option<String>,
}

impl FromStr for KeySelector {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        if names_a_pin(text) {
            return Err(UriError::PinValue);
        }
        let (scheme, rest) = text.split_once(':').ok_or(UriError::Scheme)?;
        if !scheme.eq_ignore_ascii_case("pkcs11") {
            return Err(UriError::Scheme);
        }
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut selector = Self::default();
        let mut kind = None;
        for attribute in path.split(';').filter(|_| !path.is_empty()) {
            let (name, value) = attribute.split_once('=').ok_or(UriError::Form)?;
            match name {
                "id" => put(&mut selector.id, "id", decoded(value)?)?,
                "object" => put(&mut selector.label, "object", text_of("object", value)?)?,
                "token" => put(&mut selector.token, "token", text_of("token", value)?)?,
                "serial" => put(&mut selector.serial, "serial", text_of("serial", value)?)?,
                "manufacturer" => {
                    let manufacturer = text_of("manufacturer", value)?;
                    put(&mut selector.manufacturer, "manufacturer", manufacturer)?;
                }
                "model" => put(&mut selector.model, "model", text_of("model", value)?)?,
                "type" if value == "private" => put(&mut kind, "type", ())?,
                "type" => return Err(UriError::Type(value.to_owned())),
                _ => return Err(refused(name)),
            }
        }
        if let Some(attribute) = query.split('&').next().filter(|first| !first.is_empty()) {
            let (name, _) = attribute.split_once('=').ok_or(UriError::Form)?;
            return Err(refused(name));
        }
        match selector.names_a_key() {
            true => Ok(selector),
            false => Err(UriError::NoKey),
        }
    }
}

/// The canonical form; what is read from it is equal.
impl fmt::Display for KeySelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("pkcs11:")?;
        let of_token = [
            ("token", &self.token),
            ("serial", &self.serial),
            ("manufacturer", &self.manufacturer),
            ("model", &self.model),
        ];
        for (name, value) in of_token {
            if let Some(value) = value {
                write!(f, "{name}={};", encoded(value))?;
            }
        }
        if let Some(id) = &self.id {
            f.write_str("id=")?;
            id.iter().try_for_each(|byte| write!(f, "%{byte:02X}"))?;
            f.write_char(';')?;
        }
        if let Some(label) = &self.label {
            write!(f, "object={};", encoded(label))?;
        }
        f.write_str("type=private")
    }
}

impl KeySelector {
    /// Whether it says which key: an empty `id` or label is none.
    pub fn names_a_key(&self) -> bool {
        let has_id = self.id.as_ref().is_some_and(|id| !id.is_empty());
        has_id || self.label.as_ref().is_some_and(|label| !label.is_empty())
    }
}

/// Why a text is not a URI that says which key is meant. No message repeats a PIN.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum UriError {
    /// A character that has to be encoded.
    #[error("the character {0:?} cannot stand in it; write {encoded}", encoded = encoded(&.0.to_string()))]
    Character(char),
    /// A percent sign without two hexadecimal digits.
    #[error("two hexadecimal digits follow a percent sign; a percent sign itself is `%25`")]
    Escape,
    /// A part without an equals sign.
    #[error("every part is `NAME=VALUE`, with `;` between them")]
    Form,
    /// `library-*`, `module-path` or `module-name`.
    #[error("`{0}` does not belong here; say which `module` in [hsm.NAME]")]
    Module(String),
    /// Neither `id` nor `object`.
    #[error("it does not say which key; add `object=LABEL` or `id=%10`")]
    NoKey,
    /// Bytes where a text is due.
    #[error("`{0}` is not UTF-8 text")]
    NotText(&'static str),
    /// `pin-source`.
    #[error("`pin-source` does not belong here; say where the PIN is in `pin` of [hsm.NAME]")]
    PinSource,
    /// `pin-value`, or what looks like it.
    #[error("a PIN does not belong here; say where it is in `pin` of [hsm.NAME]")]
    PinValue,
    /// It does not begin with `pkcs11:`.
    #[error("it does not begin with `pkcs11:`; write it as `p11tool --list-privkeys` prints it")]
    Scheme,
    /// `slot-*`.
    #[error("`{0}` does not belong here: slots change their numbers; name the `token`")]
    Slot(String),
    /// An attribute that stands there twice.
    #[error("`{0}` stands in it twice; keep one of them")]
    Twice(&'static str),
    /// Another type than `private`.
    #[error("`type={0}` is not what signs; write `type=private`, or leave it out")]
    Type(String),
    /// An attribute that nobody knows.
    #[error(
        "the attribute `{0}` is unknown; there are `token`, `serial`, `manufacturer`, `model`, `object`, \
         `id` and `type`"
    )]
    Unknown(String),
}

/// Whether an attribute of a text that should be a URI has a PIN, however it is spelled. Nobody should find
/// that in a log as well.
fn names_a_pin(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '%');
    let text = text.to_ascii_lowercase();
    let mut names = text.match_indices('=').map(|(at, _)| {
        let before = text[..at].trim_end();
        &before[before.trim_end_matches(is_part).len()..]
    });
    names.any(|name| name.contains("pin") && name != "pin-source")
}

fn refused(name: &str) -> UriError {
    match name {
        "pin-source" => UriError::PinSource,
        _ if name.starts_with("slot-") => UriError::Slot(name.to_owned()),
        _ if name.starts_with("library-") || name.starts_with("module-") => {
            UriError::Module(name.to_owned())
        }
        _ => UriError::Unknown(name.to_owned()),
    }
}

fn put<T>(slot: &mut Option<T>, name: &'static str, value: T) -> Result<(), UriError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(UriError::Twice(name)),
    }
}

fn text_of(name: &'static str, value: &str) -> Result<String, UriError> {
    String::from_utf8(decoded(value)?).map_err(|_| UriError::NotText(name))
}

fn decoded(value: &str) -> Result<Vec<u8>, UriError> {
    if let Some(other) = value.chars().find(|c| !is_unescaped(*c) && *c != '%') {
        return Err(UriError::Character(other));
    }
    let mut parts = value.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        let digits = digits.ok_or(UriError::Escape)?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| UriError::Escape)?);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    Ok(bytes)
}

fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// `pk11-pchar` of RFC 7512, section 2.3, and the slash, which is written in labels all the same.
fn is_unescaped(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~:[]@!$'()*+,=&/".contains(c)
}

#[cfg(test)]
#[path = "pkcs11_uri_tests.rs"]
mod tests;
