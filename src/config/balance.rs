//! How an endpoint of a pool is chosen: `balance`, `hash` and `sticky`.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::complaint::Complaint;
use crate::config::http_words;
use crate::config::read::Field;
use crate::config::read::Table;
use crate::config::schema::Key;
use crate::config::value::Value;

/// How an endpoint is chosen.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Balance {
    /// Always the same one for the same key, as long as it is there; few keys move when the pool
    /// changes.
    ConsistentHash(HashKey),
    /// The one with the fewest requests in flight, for its weight.
    LeastRequests,
    /// One after the other, in proportion to their weights.
    RoundRobin,
    /// The less busy one of two that are drawn by weight.
    TwoChoices,
}

/// What a consistent hash is made of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum HashKey {
    /// The client's address without the port. Stands in for a field or a cookie that is not there.
    ClientAddress,
    /// The value of a cookie.
    Cookie(String),
    /// The first value of a field of the request; the name in lower case.
    Header(String),
}

/// `sticky = { cookie = "route" }`: a client stays with the endpoint that answered it first.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sticky {
    /// The cookie's name.
    pub cookie: String,
    /// How long the client keeps it; None: until the browser is closed.
    pub max_age: Option<Duration>,
}

/// The keys of `hash`, where it is a table.
pub const HASH_KEYS: &[Key] = &[
    Key::absent("header", "\"x-user\"", "one of: the name of a header, whose first value counts"),
    Key::absent(
        "cookie",
        "\"session\"",
        "the name of a cookie; without it, the client's address counts",
    ),
];

/// The keys of `sticky`.
pub const STICKY_KEYS: &[Key] = &[
    Key::needed("cookie", "\"route\"", "name of the cookie"),
    Key::absent(
        "max_age",
        "\"1h\"",
        "how long the client keeps it; default: until the browser is closed",
    ),
];

impl Balance {
    /// Reads `balance`, and the `hash` that belongs to one of its values.
    pub fn read(table: &Table<'_>) -> Self {
        let kind = table.field("balance", |value| value.choice(KINDS));
        let hash = table.field("hash", HashKey::read);
        let is_hash = kind.good().is_some_and(|kind| kind.value == Kind::ConsistentHash);
        if let (false, false, Some(place)) = (is_hash, matches!(kind, Field::Bad(_)), hash.place())
        {
            let complaint = Complaint::error(
                place.clone(),
                "`hash` means something only with `balance = \"consistent_hash\"`",
            );
            let complaint = match kind.place() {
                Some(place) => complaint.see(place.clone(), "this does not use a hash"),
                None => complaint,
            };
            let help = "add `balance = \"consistent_hash\"`, or remove `hash`";
            table.document().complain(complaint.help(help));
        }
        match kind.or(Kind::RoundRobin) {
            Kind::ConsistentHash => Self::ConsistentHash(hash.or(HashKey::ClientAddress)),
            Kind::LeastRequests => Self::LeastRequests,
            Kind::RoundRobin => Self::RoundRobin,
            Kind::TwoChoices => Self::TwoChoices,
        }
    }
}

impl HashKey {
    fn read(value: &Value<'_>) -> Option<Self> {
        if value.entries().is_none() {
            let known: &[(&str, ())] = &[("client_address", ())];
            if value.is_text() && value.text()? != "client_address" {
                let message = format!("`{}` is not a value of `hash`", value.text()?);
                value.complain(message, "", Some(HASHES.to_owned()));
                return None;
            }
            return value.choice(known).map(|()| Self::ClientAddress);
        }
        let table = Table::open(value, "`hash`".to_owned(), "hash", &[HASH_KEYS])?;
        let header = table.field("header", |value| {
            http_words::field_name(value.document(), &value.place(), &value.text()?)
        });
        let cookie = table.field("cookie", http_words::cookie_name);
        match (header, cookie) {
            (Field::Good(header), Field::Absent) => Some(Self::Header(header.value)),
            (Field::Absent, Field::Good(cookie)) => Some(Self::Cookie(cookie.value)),
            (Field::Bad(_), _) | (_, Field::Bad(_)) => None,
            (Field::Absent, Field::Absent) | (Field::Good(_), Field::Good(_)) => {
                let message = "`hash` is made of one thing: a header, a cookie or the address";
                value.complain(message, "", Some(HASHES.to_owned()));
                None
            }
        }
    }
}

impl Sticky {
    /// Reads the table.
    pub fn read(value: &Value<'_>) -> Option<Self> {
        if value.entries().is_none() {
            let help = "write `sticky = { cookie = \"route\" }`, or leave it out".to_owned();
            value.wrong_type_help("a table", Some(help));
            return None;
        }
        let table = Table::open(value, "`sticky`".to_owned(), "sticky", &[STICKY_KEYS])?;
        let cookie = table.needed(&STICKY_KEYS[0], http_words::cookie_name);
        let max_age = table.field("max_age", |value| value.duration(COOKIE_AGES));
        Some(Self {
            cookie: cookie.good()?.value.clone(),
            max_age: max_age.good().map(|max_age| max_age.value),
        })
    }
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Kind {
    ConsistentHash,
    LeastRequests,
    RoundRobin,
    TwoChoices,
}

const KINDS: &[(&str, Kind)] = &[
    ("round_robin", Kind::RoundRobin),
    ("least_requests", Kind::LeastRequests),
    ("two_choices", Kind::TwoChoices),
    ("consistent_hash", Kind::ConsistentHash),
];

const HASHES: &str =
    "write \"client_address\", `{ header = \"x-user\" }` or `{ cookie = \"session\" }`";

/// Browsers keep no cookie for longer than 400 days (RFC 6265bis, section 5.5).
const COOKIE_AGES: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(400 * 24 * 3600);
