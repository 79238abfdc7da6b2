//! What becomes of the requests of a rule: `pool`, `redirect`, or an answer.

use crate::config::complaint::Complaint;
use crate::config::http_words;
use crate::config::read::Field;
use crate::config::read::Table;
use crate::config::redirect;
use crate::config::rule::Action;
use crate::config::source::Located;
use crate::config::source::Place;
use crate::config::value::Value;
use crate::names::PoolName;

/// An action before its pool is known to exist.
#[derive(Debug)]
pub struct RawAction {
    /// What is done.
    pub action: Action,
    /// The pool that it names.
    pub pool: Option<Located<PoolName>>,
}

impl RawAction {
    /// Reads the keys of the action from the table of a rule.
    pub fn read(table: &Table<'_>) -> Self {
        let pool: Field<PoolName> = table.field("pool", |value| value.parse("a name", |_| None));
        let location = table.field("redirect", redirect::location);
        let status = match location.is_absent() {
            true => table.field("status", answer_status),
            false => table.field("status", redirect::status),
        };
        let action = match (&pool, &location, &status) {
            (_, Field::Good(location), _) => Action::Redirect {
                status: status.good().map_or(302, |status| status.value),
                location: location.value.clone(),
            },
            (_, Field::Absent, Field::Good(status)) => respond(table, status.value),
            (Field::Good(pool), ..) => Action::Pool(pool.value.clone()),
            _ => Action::Continue,
        };
        check_one(table, &pool, &location, &status);
        check_text(table, &location, &status);
        check_effect(table, &location, &status);
        Self { action, pool: pool.good().cloned() }
    }
}

fn answer_status(value: &Value<'_>) -> Option<u16> {
    let status = value.integer(200..=599).map(|status| status as u16)?;
    if (300..=399).contains(&status) && status != 304 {
        let complaint = Complaint::warning(value.place(), format!("{status} without a location"));
        let help = "name where to: `redirect = \"https://www.example.com{uri}\"`";
        value.document().complain(complaint.help(help));
    }
    Some(status)
}

fn respond(table: &Table<'_>, status: u16) -> Action {
    let body = table.field("body", |value| value.text().map(String::from));
    if let (204 | 205 | 304, Some(place)) = (status, body.place()) {
        let message = format!("an answer with status {status} has no body");
        table.document().complain(Complaint::error(place.clone(), message).help("remove `body`"));
    }
    let content_type = table.or("content_type", PLAIN.to_owned(), content_type);
    Action::Respond { status, body: body.or(String::new()), content_type }
}

fn content_type(value: &Value<'_>) -> Option<String> {
    let text = http_words::field_value(value)?;
    let essence = text.split(';').next().unwrap_or_default().trim_end();
    let is_type = essence
        .split_once('/')
        .is_some_and(|(kind, sub)| http_words::is_token(kind) && http_words::is_token(sub));
    if !is_type {
        let help = "write a type and a subtype, such as \"text/html; charset=utf-8\"".to_owned();
        value.complain(format!("`{text}` is not a content type"), "", Some(help));
        return None;
    }
    Some(text)
}

/// A rule does one thing.
fn check_one(
    table: &Table<'_>,
    pool: &Field<PoolName>,
    location: &Field<String>,
    status: &Field<u16>,
) {
    let pool = pool.place().map(|place| (place, "requests go to this pool"));
    let location = location.place().map(|place| (place, "clients are sent there"));
    let status = status.place().filter(|_| location.is_none());
    let status = status.map(|place| (place, "the proxy answers"));
    let mut actions: Vec<(&Place, &str)> = [pool, location, status].into_iter().flatten().collect();
    actions.sort_by_key(|(place, _)| place.span().start);
    let [(first, said), .., (second, again)] = actions[..] else { return };
    let complaint = Complaint::error(second.clone(), "a rule has one action, and this has two")
        .label(again)
        .see(first.clone(), said)
        .help("remove one of them, or make two rules that match different requests");
    table.document().complain(complaint);
}

/// `body` and `content_type` belong to an answer.
fn check_text(table: &Table<'_>, location: &Field<String>, status: &Field<u16>) {
    if location.is_absent() && !status.is_absent() {
        return;
    }
    for key in ["body", "content_type"] {
        let Some(value) = table.value(key) else { continue };
        let message = format!("`{key}` belongs to an answer, and this rule gives none");
        let help = match location.is_absent() {
            true => format!("add a status, such as `status = 404`, or remove `{key}`"),
            false => format!("remove `{key}`: a redirect needs no text"),
        };
        let complaint = Complaint::error(value.key_place(), message);
        table.document().complain(complaint.help(help));
    }
}

/// What changes a request on its way to a pool has no effect where it does not go on.
fn check_effect(table: &Table<'_>, location: &Field<String>, status: &Field<u16>) {
    let Some(stop) = location.place().or(status.place()) else { return };
    for key in ["strip_prefix", "rewrite", "request_headers", "request_body"] {
        let Some(value) = table.value(key) else { continue };
        let message = format!("`{key}` has no effect: the request goes to no pool");
        let complaint = Complaint::warning(value.key_place(), message)
            .see(stop.clone(), "it is answered here")
            .help(format!("remove `{key}`"));
        table.document().complain(complaint);
    }
}

/// What a text is unless it is said.
const PLAIN: &str = "text/plain; charset=utf-8";
