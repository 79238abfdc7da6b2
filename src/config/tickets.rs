//! `[tickets]`: the site's ticket secret, from which every ticket key is derived.

use std::time::Duration;

use crate::config::complaint::Complaint;
use crate::config::read::Table;
use crate::config::schema::Key;
use crate::config::secret;
use crate::config::secret::Secret;
use crate::config::value::Value;

/// The checked table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tickets {
    /// At least 32 bytes. None: `ticket-secret` in the state directory, made at the first start.
    /// Instances with the same secret resume each other's sessions.
    pub secret: Option<Secret>,
    /// How long one key is used for new tickets. Default 12h.
    pub period: Duration,
    /// How many earlier periods are still accepted. Default 1.
    pub keep: u32,
}

/// The keys of the table.
pub const KEYS: &[Key] = &[
    Key::absent(
        "secret",
        "{ file = \"secrets/tickets\" }",
        "At least 32 random bytes. Instances with the same secret resume each other's sessions. Default: \
         ticket-secret in the state directory, made at the first start.",
    )
    .with(secret::KEYS),
    Key::default("period", "\"12h\"", "How long one key is used for new tickets. From 1m to 7d."),
    Key::default("keep", "1", "How many earlier periods are still accepted. From 0 to 16."),
];

impl Default for Tickets {
    fn default() -> Self {
        Self { secret: None, period: Duration::from_secs(12 * 3600), keep: 1 }
    }
}

impl Tickets {
    /// Reads the table.
    pub fn read(value: &Value<'_>) -> Option<Self> {
        let table = Table::open(value, "[tickets]".to_owned(), "tickets", &[KEYS])?;
        let default = Self::default();
        let period = |value: &Value<'_>| value.duration(LEAST_PERIOD..=LONGEST_USE);
        let keep = |value: &Value<'_>| value.integer(0..=16);
        let tickets = Self {
            secret: table.or("secret", None, |value| Secret::read(value).map(Some)),
            period: table.or("period", default.period, period),
            keep: table.field("keep", keep).or(1) as u32,
        };
        if tickets.period * (tickets.keep + 1) > LONGEST_USE {
            let place = table.value("period").or(table.value("keep"));
            let place = place.map_or(table.place().clone(), |value| value.place());
            let complaint =
                Complaint::error(place, "tickets would be accepted for more than 7 days")
                    .note("a ticket lives for `period` times (`keep` + 1); RFC 8446 allows 7 days")
                    .help("shorten `period` or lower `keep`");
            table.document().complain(complaint);
        }
        Some(tickets)
    }
}

/// Below this, clients would hardly ever resume.
const LEAST_PERIOD: Duration = Duration::from_secs(60);

/// RFC 8446, section 4.6.1.
const LONGEST_USE: Duration = Duration::from_secs(7 * 24 * 3600);
