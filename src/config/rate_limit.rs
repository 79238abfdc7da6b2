//! `rate_limits = [{ .. }]` of a virtual service or of a rule.

use std::time::Duration;

use crate::config::complaint::Complaint;
use crate::config::read::Field;
use crate::config::read::Table;
use crate::config::schema::Key;
use crate::config::value::Value;

/// So many in a period, with a burst.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RateLimit {
    /// What is counted.
    pub counts: Counted,
    /// Who shares a count.
    pub per: Per,
    /// At least 1.
    pub amount: u32,
    /// `"100/s"`, `"100/m"`, `"100/h"`
    pub period: Duration,
    /// How many may come at once after a pause. Default: `amount`.
    pub burst: u32,
}

/// What a rate limit counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Counted {
    /// `connections = "20/s"`: connections, before their handshake costs anything.
    Connections,
    /// `requests = "100/s"`: requests; more are answered with 429.
    Requests,
}

/// Who shares a count.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Per {
    /// `per = "client"`, the default: each client address (an IPv6 client: its /64).
    Client,
    /// `per = "service"`: all clients together.
    Service,
}

/// The keys of one limit.
pub const KEYS: &[Key] = &[
    Key::absent("requests", "\"100/s\"", "requests in a second (s), a minute (m) or an hour (h)"),
    Key::absent(
        "connections",
        "\"20/s\"",
        "instead: connections, before their handshake costs anything; not in a rule",
    ),
    Key::absent("burst", "200", "how many may come at once after a pause; default: as many"),
    Key::default(
        "per",
        "\"client\"",
        "\"client\": each client address (an IPv6 client: its /64) by itself; \"service\": all together",
    ),
];

impl RateLimit {
    /// Reads a list of them.
    pub fn read_list(value: &Value<'_>) -> Option<Vec<Self>> {
        value.list(Self::read)
    }

    /// As [`RateLimit::read_list`], for a rule: a connection has no path yet.
    pub fn read_list_of_rule(value: &Value<'_>) -> Option<Vec<Self>> {
        value.list(|value| {
            let limit = Self::read(value)?;
            if limit.counts == Counted::Connections {
                let message = "a rule cannot limit connections: it is about requests";
                let help = "move it to the `rate_limits` of the virtual service".to_owned();
                value.complain(message, "", Some(help));
                return None;
            }
            Some(limit)
        })
    }

    fn read(value: &Value<'_>) -> Option<Self> {
        if value.entries().is_none() {
            value.wrong_type_help("a table", Some(WANTED.to_owned()));
            return None;
        }
        let table = Table::open(value, "a rate limit".to_owned(), "rate_limit", &[KEYS])?;
        let burst = table.field("burst", |value| value.integer(1..=u64::from(MOST)));
        let per = table.or("per", Per::Client, |value| value.choice(PER));
        let requests = table.field("requests", rate);
        let connections = table.field("connections", rate);
        let (counts, rate) = match (requests, connections) {
            (Field::Good(rate), Field::Absent) => (Counted::Requests, rate.value),
            (Field::Absent, Field::Good(rate)) => (Counted::Connections, rate.value),
            (Field::Good(requests), Field::Good(connections)) => {
                let message = "one limit counts one thing: requests or connections";
                let complaint = Complaint::error(connections.place, message)
                    .see(requests.place, "this counts requests")
                    .help("write two limits: [{ requests = .. }, { connections = .. }]");
                table.document().complain(complaint);
                return None;
            }
            (Field::Absent, Field::Absent) => {
                value.complain("a rate limit without a rate", "", Some(WANTED.to_owned()));
                return None;
            }
            (Field::Bad(_), _) | (_, Field::Bad(_)) => return None,
        };
        let burst = match burst {
            Field::Absent => rate.amount,
            Field::Bad(_) => return None,
            Field::Good(burst) => burst.value as u32,
        };
        Some(Self { counts, per, amount: rate.amount, period: rate.period, burst })
    }
}

/// So many in a period.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Rate {
    amount: u32,
    period: Duration,
}

fn rate(value: &Value<'_>) -> Option<Rate> {
    if value.is_integer() {
        let help = "name the period: \"100/s\", \"100/m\" or \"100/h\"".to_owned();
        value.wrong_type_help("a rate such as \"100/s\"", Some(help));
        return None;
    }
    let text = value.text()?;
    let rate = parse_rate(&text);
    if rate.is_none() {
        let message = format!("`{text}` is not a rate such as \"100/s\"");
        value.complain(message, "", Some(help(&text)));
    }
    rate
}

fn parse_rate(text: &str) -> Option<Rate> {
    let (amount, unit) = text.split_once('/')?;
    let seconds = match unit.trim() {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    let amount = amount.trim();
    let is_number = amount.bytes().all(|byte| byte.is_ascii_digit());
    let amount = amount.parse().ok().filter(|amount| is_number && (1..=MOST).contains(amount))?;
    Some(Rate { amount, period: Duration::from_secs(seconds) })
}

fn help(text: &str) -> String {
    let digits: String = text.trim().chars().take_while(char::is_ascii_digit).collect();
    if digits.parse() == Ok(0_u32) {
        return "at least 1; to let nobody in, write `deny = [\"0.0.0.0/0\", \"::/0\"]`".to_owned();
    }
    if digits.parse::<u32>().is_ok_and(|amount| amount <= MOST) {
        let unit = text.rsplit('/').next().unwrap_or_default();
        let unit = unit.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
        return match unit.chars().next() {
            Some('s') => format!("write \"{digits}/s\""),
            Some('m') if !unit.starts_with("ms") && !unit.starts_with("mo") => {
                format!("write \"{digits}/m\"")
            }
            Some('h') => format!("write \"{digits}/h\""),
            _ => format!("name the period: \"{digits}/s\", \"{digits}/m\" or \"{digits}/h\""),
        };
    }
    format!("write a number from 1 to {MOST} and a period: \"100/s\", \"100/m\" or \"100/h\"")
}

const WANTED: &str = "write `{ requests = \"100/s\" }` or `{ connections = \"20/s\" }`";

/// A thousand times what one host can answer.
const MOST: u32 = 1_000_000_000;

const PER: &[(&str, Per)] = &[("client", Per::Client), ("service", Per::Service)];

#[cfg(test)]
mod tests {
    use proptest::prelude::any;
    use proptest::proptest;

    use super::*;
    use crate::config::read::testing::reads;
    use crate::config::read::testing::refuses;

    #[test]
    fn the_burst_is_the_amount_unless_it_is_named() {
        let limits =
            "[{ requests = '100/s' }, { connections = '20/m', burst = 5, per = 'service' }]";
        let minute = Duration::from_secs(60);
        let expected = [
            RateLimit {
                counts: Counted::Requests,
                per: Per::Client,
                amount: 100,
                period: Duration::from_secs(1),
                burst: 100,
            },
            RateLimit {
                counts: Counted::Connections,
                per: Per::Service,
                amount: 20,
                period: minute,
                burst: 5,
            },
        ];
        assert_eq!(reads(limits, RateLimit::read_list), expected);
    }

    #[test]
    fn what_is_no_rate_is_told_how_to_write_one() {
        let wrong = [
            ("100", "\"100/s\""),
            ("'100'", "\"100/s\", \"100/m\""),
            ("'100r/s'", "write \"100/s\""),
            ("'100/sec'", "write \"100/s\""),
            ("'100/1m'", "write \"100/m\""),
            ("'0/s'", "deny"),
            ("'-1/s'", "a number from 1"),
            ("'99999999999/s'", "a number from 1"),
        ];
        for (text, told) in wrong {
            let complaints = refuses(&format!("[{{ requests = {text} }}]"), RateLimit::read_list);
            assert!(complaints.contains(told), "{text}: {complaints}");
        }
        for wrong in [
            "[{}]",
            "['100/s']",
            "[{ requests = '1/s', connections = '1/s' }]",
            "[{ requests = '1/s', burst = 0 }]",
            "[{ requests = '1/s', per = 'ip' }]",
        ] {
            refuses(wrong, RateLimit::read_list);
        }
        refuses("[{ connections = '1/s' }]", RateLimit::read_list_of_rule);
    }

    proptest! {
        #[test]
        fn every_rate_in_range_is_read(amount in 1..=MOST, unit in 0_usize..3) {
            let (letter, seconds) = [('s', 1), ('m', 60), ('h', 3600)][unit];
            let expected = Rate { amount, period: Duration::from_secs(seconds) };
            assert_eq!(parse_rate(&format!("{amount}/{letter}")), Some(expected));
        }

        #[test]
        fn arbitrary_text_never_panics(text in any::<String>()) {
            if let Some(rate) = parse_rate(&text) {
                assert!(rate.amount > 0);
            }
            let _ = help(&text);
        }
    }
}
