//! The syntax of `Forwarded` (RFC 7239, section 4): elements, parameters, quoted strings, nodes.

use std::borrow::Cow;
use std::net::IpAddr;
use std::net::SocketAddr;

use http::header;

use crate::message::Fields;

/// One hop that has an address.
#[derive(Debug)]
pub struct Element<'a> {
    /// As it came.
    pub text: &'a str,
    /// Whom the hop was for.
    pub address: IpAddr,
    proto: Option<Cow<'a, str>>,
    host: Option<Cow<'a, str>>,
}

impl Element<'_> {
    /// What the hop was asked with.
    pub fn proto(&self) -> Option<&str> {
        self.proto.as_deref()
    }

    /// What the hop was asked for.
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }
}

/// The elements behind the last one that is malformed or names no address, in their order.
pub fn read(fields: &Fields) -> Vec<Element<'_>> {
    let mut elements = Vec::new();
    'lines: for line in fields.get_all(header::FORWARDED).rev() {
        // Where quotes do not match, nothing is known about the whole line.
        let Some(parts) = line.to_str().ok().and_then(|line| split(line, ',')) else { break };
        for part in parts.into_iter().rev().map(str::trim).filter(|part| !part.is_empty()) {
            match element(part) {
                Some(element) => elements.push(element),
                None => break 'lines,
            }
        }
    }
    elements.reverse();
    elements
}

/// A node's address: alone, with a port, in brackets. None: hidden, unknown, or something else.
pub fn node(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = bare.unwrap_or(text).parse::<IpAddr>().ok();
    let address = address.or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()))?;
    Some(address.to_canonical())
}

/// A value as a parameter takes it: a token, or in quotes.
pub fn value(text: &str) -> Cow<'_, str> {
    if is_token(text) {
        return Cow::Borrowed(text);
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    Cow::Owned(quoted)
}

fn element(text: &str) -> Option<Element<'_>> {
    let (mut address, mut proto, mut host) = (None, None, None);
    for pair in split(text, ';')?.into_iter().map(str::trim).filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=')?;
        let value = unquoted(value)?;
        let place = match name {
            _ if name.eq_ignore_ascii_case("for") => {
                // Twice is malformed (section 4).
                if address.replace(node(&value)?).is_some() {
                    return None;
                }
                continue;
            }
            _ if name.eq_ignore_ascii_case("proto") => &mut proto,
            _ if name.eq_ignore_ascii_case("host") => &mut host,
            _ if is_token(name) => continue,
            _ => return None,
        };
        if place.replace(value).is_some() {
            return None;
        }
    }
    Some(Element { text, address: address?, proto, host })
}

/// Splits where a separator stands outside of quotes. None: the quotes do not match.
fn split(text: &str, separator: char) -> Option<Vec<&str>> {
    let (mut parts, mut start) = (Vec::new(), 0);
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            _ if c == separator && !is_quoted => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    (!is_quoted).then_some(parts)
}

fn unquoted(text: &str) -> Option<Cow<'_, str>> {
    let Some(inner) = text.strip_prefix('"') else {
        return is_token(text).then_some(Cow::Borrowed(text));
    };
    let inner = inner.strip_suffix('"')?;
    if !inner.contains(['"', '\\']) {
        return Some(Cow::Borrowed(inner));
    }
    let mut plain = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(c) = characters.next() {
        match c {
            '"' => return None,
            '\\' => plain.push(characters.next()?),
            other => plain.push(other),
        }
    }
    Some(Cow::Owned(plain))
}

/// RFC 9110, section 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_where_they_are_no_tokens() {
        assert_eq!(value("192.0.2.7"), "192.0.2.7");
        assert_eq!(value("[2001:db8::7]:443"), "\"[2001:db8::7]:443\"");
        assert_eq!(value("a\"b\\"), "\"a\\\"b\\\\\"");
    }

    #[test]
    fn parameters_may_be_quoted_and_come_in_any_order_and_case() {
        let found =
            element("Host=\"a,b;c\";FOR=\"192.0.2.7:80\" ; by=_x;proto=https").expect("fine");
        assert_eq!(found.address, IpAddr::from([192, 0, 2, 7]));
        assert_eq!((found.host(), found.proto()), (Some("a,b;c"), Some("https")));
    }

    #[test]
    fn what_is_not_an_element_is_none() {
        for text in [
            "",
            "for",
            "for=",
            "for=unknown",
            "for=_x",
            "for=1.2.3.4;for=1.2.3.4",
            "for=\"1.2.3.4",
            "for=1.2.3.4;=x",
            "for=::1",
            "proto=https",
            "for=1.2.3.4;host=a b",
            "for=\"1.2.3.4\"x",
        ] {
            assert!(element(text).is_none(), "{text}");
        }
    }
}
