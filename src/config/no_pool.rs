//! `no_pool = { .. }` of a virtual service: what it does without a pool.

use crate::config::complaint::Complaint;
use crate::config::read::Table;
use crate::config::redirect;
use crate::config::schema::Key;
use crate::config::value::Value;
use crate::config::virtual_service::NoPool;

/// The keys of the table.
pub const KEYS: &[Key] = &[
    Key::absent("close", "true", "close the connection after the handshake"),
    Key::absent(
        "status",
        "404",
        "answer with this status, 200 to 599; with `redirect` 301, 302 (the default), 303, 307 or 308",
    ),
    Key::absent("body", "\"no such site\\n\"", "text of the answer; default: empty"),
    Key::absent("redirect", "\"https://www.example.com/\"", "send the client there"),
];

impl NoPool {
    /// Reads the table.
    pub fn read(value: &Value<'_>) -> Option<Self> {
        if value.entries().is_none() {
            value.wrong_type_help("a table", Some(WANTED.to_owned()));
            return None;
        }
        let table = Table::open(value, "`no_pool`".to_owned(), "no_pool", &[KEYS])?;
        let given = |key| table.value(key);
        match (given("close"), given("redirect"), given("status")) {
            (Some(close), None, None) if given("body").is_none() => Self::read_close(&close),
            (None, Some(redirect), status) if given("body").is_none() => {
                let location = location(&redirect);
                let status = match status {
                    Some(status) => redirect::status(&status),
                    None => Some(302),
                };
                Some(Self::Redirect { status: status?, location: location? })
            }
            (None, None, Some(status)) => {
                let code = status.integer(200..=599).map(|code| code as u16);
                let body = table.field("body", |value| value.text().map(String::from));
                let bodiless = code.is_some_and(|code| code == 204 || code == 304);
                if let (true, Some(place)) = (bodiless, body.place()) {
                    let message = "an answer with status 204 or 304 has no body";
                    let complaint = Complaint::error(place.clone(), message);
                    table.document().complain(complaint.help("remove `body`"));
                }
                Some(Self::Respond { status: code?, body: body.or(String::new()) })
            }
            _ => {
                let message = "`no_pool` must say one thing: close, answer or redirect";
                value.complain(message, "", Some(WANTED.to_owned()));
                None
            }
        }
    }

    fn read_close(value: &Value<'_>) -> Option<Self> {
        if value.flag()? {
            return Some(Self::Close);
        }
        let help = format!("remove it and say what to do instead: {WANTED}");
        value.complain("`close = false` says nothing", "", Some(help));
        None
    }
}

fn location(value: &Value<'_>) -> Option<String> {
    let text = value.word()?;
    let starts = ["https://", "http://", "/"].iter().any(|start| text.starts_with(start));
    if !starts || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        let help =
            "write a whole address in ASCII, such as \"https://www.example.com/\"".to_owned();
        value.complain("`redirect` is not an address", "", Some(help));
        return None;
    }
    Some(text.into_owned())
}

const WANTED: &str = "write `{ close = true }`, `{ status = 404, body = \"no such site\\n\" }` or \
                      `{ redirect = \"https://www.example.com/\" }`";
