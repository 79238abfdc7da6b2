//! Where clients are sent: locations with placeholders, statuses of redirects, and `http_redirect`.

use crate::config::complaint::Complaint;
use crate::config::read::Field;
use crate::config::read::Table;
use crate::config::schema::Key;
use crate::config::suggest;
use crate::config::value::Value;
use crate::config::virtual_service::HttpRedirect;

/// The keys of `http_redirect`.
pub const KEYS: &[Key] = &[
    Key::absent(
        "location",
        "\"https://www.example.com{uri}\"",
        "where to; {host}, {path} and {uri} (path and query) stand for those of the request",
    ),
    Key::absent(
        "status",
        "308",
        "301, 302, 303, 307 or 308; default: 301 for GET and HEAD, 308 for the others",
    ),
    Key::absent("refuse", "true", "404 instead"),
];

impl HttpRedirect {
    /// Reads the table.
    pub fn read(value: &Value<'_>) -> Option<Self> {
        if value.entries().is_none() {
            value.wrong_type_help("a table", Some(WANTED.to_owned()));
            return None;
        }
        let table = Table::open(value, value.name(), "http_redirect", &[KEYS])?;
        let location = table.field("location", location);
        let status = table.field("status", status);
        let refuse = table.field("refuse", Value::flag);
        let refuses = refuse.good().is_some_and(|refuse| refuse.value);
        if let (true, Some(place)) = (refuses, location.place().or(status.place())) {
            let message = "`refuse` answers 404, so there is nowhere to send anybody";
            let complaint = Complaint::error(place.clone(), message);
            table.document().complain(complaint.help("remove `refuse`, or all but `refuse`"));
            return None;
        }
        match location {
            Field::Good(location) => {
                let status = status.good().map(|status| status.value);
                Some(Self::To { location: location.value, status })
            }
            Field::Bad(_) => None,
            Field::Absent if refuses => Some(Self::Refuse),
            Field::Absent => {
                let message = format!("{} says nothing", value.name());
                value.complain(message, "", Some(WANTED.to_owned()));
                None
            }
        }
    }
}

/// The status of a redirect.
pub fn status(value: &Value<'_>) -> Option<u16> {
    let status = value.integer(200..=599)?;
    if ![301, 302, 303, 307, 308].contains(&status) {
        let help = "a redirect has status 301, 302, 303, 307 or 308".to_owned();
        value.complain(format!("{status} is not the status of a redirect"), "", Some(help));
        return None;
    }
    Some(status as u16)
}

/// A location that may hold `{host}`, `{path}` and `{uri}`.
pub fn location(value: &Value<'_>) -> Option<String> {
    let text = value.word()?;
    let message_and_help = mistake_in(&text);
    if let Some((message, help)) = message_and_help {
        value.complain(message, "", Some(help));
        return None;
    }
    if text.contains("/{uri}") || text.contains("/{path}") {
        let message = "`{uri}` and `{path}` begin with a slash: this makes two";
        let help = format!("write \"{}\"", text.replace("/{", "{"));
        value.document().complain(Complaint::warning(value.place(), message).help(help));
    }
    Some(text.into_owned())
}

/// What is wrong with a location, and what to do about it.
fn mistake_in(text: &str) -> Option<(String, String)> {
    if let Some(placeholder) = unknown_placeholder(text) {
        let inner = placeholder.trim_matches(['{', '}']);
        let meant = FROM_OTHERS.iter().find(|(other, _)| *other == inner).map(|(_, own)| *own);
        let known = PLACEHOLDERS.iter().map(|known| known.trim_matches(['{', '}']));
        let meant = meant.or_else(|| suggest::nearest(inner, known));
        let help = meant.map(|meant| format!("did you mean `{{{meant}}}`?"));
        let help = help.unwrap_or_else(|| format!("there are {}", suggest::listed(PLACEHOLDERS)));
        return Some((format!("`{placeholder}` stands for nothing"), help));
    }
    if let Some(variable) = text.split('$').nth(1) {
        let name: String =
            variable.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        if let Some((_, own)) = FROM_OTHERS.iter().find(|(other, _)| *other == name) {
            return Some((
                format!("`${name}` stands for itself here"),
                format!("did you mean `{{{own}}}`?"),
            ));
        }
    }
    let bare = PLACEHOLDERS.iter().fold(text.to_owned(), |text, known| text.replace(known, "a"));
    if !bare.bytes().all(|byte| byte.is_ascii_graphic()) {
        let help = "encode everything else, as in \"/a%20b\"";
        return Some(("a location is ASCII without blanks".to_owned(), help.to_owned()));
    }
    let starts = ["https://", "http://", "/"].iter().any(|start| text.starts_with(start));
    if !starts || text == "https://" || text == "http://" {
        let help = "write a whole address, such as \"https://www.example.com{uri}\"";
        return Some((format!("`{text}` is not an address"), help.to_owned()));
    }
    let absolute = ["https://", "http://"].iter().find_map(|scheme| text.strip_prefix(scheme));
    if absolute.is_some_and(|rest| !begins_with_host(rest)) {
        let help = "write a whole address, such as \"https://www.example.com{uri}\"";
        return Some((format!("`{text}` names no host"), help.to_owned()));
    }
    if ["//", "/\\", "/{uri}", "/{path}"].iter().any(|start| text.starts_with(start)) {
        let help = "write a whole address, such as \"https://www.example.com{uri}\"";
        return Some((
            "two slashes at the beginning lead to another host, which the client could choose"
                .to_owned(),
            help.to_owned(),
        ));
    }
    None
}

/// A path there would be read as the host, and the client chooses the path.
fn begins_with_host(rest: &str) -> bool {
    rest.starts_with("{host}")
        || rest.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '[')
}

/// The first `{..}` that is none of ours, or a brace without the other.
fn unknown_placeholder(text: &str) -> Option<String> {
    let rest = PLACEHOLDERS.iter().fold(text.to_owned(), |text, known| text.replace(known, "\n"));
    let at = rest.find(['{', '}'])?;
    let from = &rest[at..];
    let end = from.find('}').map_or(1, |end| end + 1);
    Some(from[..end].replace('\n', ".."))
}

const WANTED: &str = "write `{ location = \"https://www.example.com{uri}\" }` or `{ refuse = true }`; without \
                      the key, clients are sent to the same host and path over HTTPS";

const PLACEHOLDERS: &[&str] = &["{host}", "{path}", "{uri}"];

/// Words of other proxies, and ours for them.
const FROM_OTHERS: &[(&str, &str)] = &[
    ("request_uri", "uri"),
    ("url", "uri"),
    ("query", "uri"),
    ("http_host", "host"),
    ("hostname", "host"),
    ("server_name", "host"),
    ("host", "host"),
    ("uri", "uri"),
    ("path", "path"),
    ("document_uri", "path"),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::any;
    use proptest::proptest;

    use super::*;
    use crate::config::read::testing::reads;
    use crate::config::read::testing::refuses;

    #[test]
    fn locations_may_hold_parts_of_the_request() {
        for good in [
            "https://www.example.com{uri}",
            "https://{host}:8443{path}",
            "/login?to={path}",
            "/x?to=http://{uri}",
        ] {
            assert_eq!(reads(&format!("'{good}'"), location), good);
        }
    }

    #[test]
    fn what_is_no_location_is_told_why() {
        let wrong = [
            ("https://a{request_uri}", "`{uri}`"),
            ("https://a$request_uri", "`{uri}`"),
            ("https://a{pth}", "`{path}`"),
            ("https://a{", "`{` stands for nothing"),
            ("https://a}{uri}", "`}` stands for nothing"),
            ("www.example.com", "not an address"),
            ("https://", "not an address"),
            ("/{uri}", "another host"),
            ("//evil.example", "another host"),
            ("/\\evil.example", "another host"),
            ("https://{uri}", "names no host"),
            ("https:///x", "names no host"),
            ("https://a/ü", "ASCII"),
        ];
        for (text, told) in wrong {
            let complaints = refuses(&format!("'{text}'"), location);
            assert!(complaints.contains(told), "{text}: {complaints}");
        }
    }

    #[test]
    fn a_plain_request_is_redirected_or_refused() {
        let to = reads("{ location = 'https://a{uri}', status = 308 }", HttpRedirect::read);
        let location = "https://a{uri}".to_owned();
        assert_eq!(to, HttpRedirect::To { location, status: Some(308) });
        assert_eq!(reads("{ refuse = true }", HttpRedirect::read), HttpRedirect::Refuse);
        for wrong in [
            "{}",
            "{ refuse = false }",
            "{ status = 308 }",
            "{ refuse = true, status = 308 }",
            "true",
        ] {
            refuses(wrong, HttpRedirect::read);
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in any::<String>()) {
            let _ = mistake_in(&text);
        }
    }
}
