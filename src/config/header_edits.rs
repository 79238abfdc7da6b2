//! `request_headers = { .. }` and `response_headers = { .. }`: edits of header fields.

use crate::config::complaint::Complaint;
use crate::config::http_words::field_name;
use crate::config::http_words::field_value;
use crate::config::read::Document;
use crate::config::read::Table;
use crate::config::rule::HeaderEdits;
use crate::config::schema::Key;
use crate::config::source::Place;
use crate::config::value::Value;

/// The keys of the table.
pub const KEYS: &[Key] = &[
    Key::absent("remove", "[\"x-debug\"]", "names that go; done first"),
    Key::absent(
        "set",
        "{ x-env = \"prod\" }",
        "one value in place of all that are there; done second",
    ),
    Key::absent("add", "{ x-tag = \"a\" }", "one value beside those that are there; done last"),
];

impl HeaderEdits {
    /// Reads the table.
    pub fn read(value: &Value<'_>) -> Option<Self> {
        let table = Table::open(value, value.name(), "header_edits", &[KEYS])?;
        let edits = Self {
            set: table.or("set", Vec::new(), pairs),
            add: table.or("add", Vec::new(), pairs),
            remove: table.or("remove", Vec::new(), |value| {
                value.list(|entry| {
                    let text = entry.text()?;
                    editable(entry.document(), &entry.place(), &text)
                })
            }),
        };
        if edits.is_empty() && table.is_empty() {
            let help = "write `{ set = { x-env = \"prod\" } }`, or `add` or `remove`";
            let complaint =
                Complaint::warning(value.place(), format!("{} edits nothing", value.name()));
            value.document().complain(complaint.help(help));
        }
        Some(edits)
    }
}

/// `{ x-a = "1", x-b = "2" }`
fn pairs(value: &Value<'_>) -> Option<Vec<(String, String)>> {
    let Some(entries) = value.entries() else {
        let help = format!("write `{} = {{ x-env = \"prod\" }}`", value.word_of_table());
        value.wrong_type_help("a table of names and values", Some(help));
        return None;
    };
    let document = value.document();
    let mut pairs: Vec<(String, String)> = Vec::with_capacity(entries.len());
    let mut is_good = true;
    for (name, entry) in entries {
        let place = document.place(name.span());
        let pair = editable(document, &place, name.get_ref()).zip(field_value(&value.entry(entry)));
        let Some((name, text)) = pair else {
            is_good = false;
            continue;
        };
        if pairs.iter().any(|(other, _)| *other == name) {
            let message = format!("`{name}` is named twice in {}", value.name());
            let help = "remove one: capital and small letters do not matter in names of headers";
            document.complain(Complaint::error(place, message).label("again").help(help));
            is_good = false;
        }
        pairs.push((name, text));
    }
    is_good.then_some(pairs)
}

/// A name that an operator may edit, in lower case.
fn editable(document: &Document<'_>, place: &Place, text: &str) -> Option<String> {
    let name = field_name(document, place, text)?;
    let Some(reason) = reason_against(&name) else { return Some(name) };
    let complaint = Complaint::error(place.clone(), format!("`{name}` cannot be edited"))
        .note(reason)
        .help(format!("remove `{name}`"));
    document.complain(complaint);
    None
}

/// Fields that are the proxy's own to write (RFC 9110, section 7.6.1; RFC 9112, section 6).
fn reason_against(name: &str) -> Option<&'static str> {
    match name {
        "connection" | "keep-alive" | "proxy-connection" | "te" | "trailer" | "upgrade" => Some(
            "it is about one connection, and the proxy writes it for each of its connections itself",
        ),
        "content-length" | "transfer-encoding" => Some(
            "it says where the body ends: two parties that read it differently can be made to mix \
             up requests (request smuggling)",
        ),
        "host" => {
            Some("the endpoint gets the host that was checked against the `domains` of the service")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::read::testing::reads;
    use crate::config::read::testing::refuses;

    #[test]
    fn names_are_lower_case_and_keep_their_order_of_kinds() {
        let edits = reads(
            "{ set = { X-Env = 'prod' }, add = { x-tag = 'a' }, remove = ['X-Debug'] }",
            HeaderEdits::read,
        );
        assert_eq!(edits.set, [("x-env".to_owned(), "prod".to_owned())]);
        assert_eq!(edits.add, [("x-tag".to_owned(), "a".to_owned())]);
        assert_eq!(edits.remove, ["x-debug"]);
    }

    #[test]
    fn what_frames_a_message_is_not_edited() {
        for name in ["host", "Content-Length", "transfer-encoding", "Connection", "upgrade"] {
            for edits in [
                format!("{{ set = {{ {name} = 'x' }} }}"),
                format!("{{ add = {{ {name} = 'x' }} }}"),
                format!("{{ remove = ['{name}'] }}"),
            ] {
                assert!(refuses(&edits, HeaderEdits::read).contains("cannot be edited"), "{edits}");
            }
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        assert!(refuses("{ remove = ['x-a:'] }", HeaderEdits::read).contains("\"x-a\""));
        refuses("{ set = { 'x a' = '1' } }", HeaderEdits::read);
        refuses("{ set = { ':path' = '1' } }", HeaderEdits::read);
        assert!(refuses("{ set = { x-a = '1', X-A = '2' } }", HeaderEdits::read).contains("twice"));
        assert!(refuses("{ set = ['x-a: 1'] }", HeaderEdits::read).contains("names and values"));
    }
}
