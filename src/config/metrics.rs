//! `[metrics]`: bucket bounds of the histograms.

use crate::config::complaint::Complaint;
use crate::config::read::Table;
use crate::config::schema::Key;
use crate::config::value::Value;

/// The checked table.
#[derive(Clone, Debug, PartialEq)]
pub struct Metrics {
    /// Upper bounds of request and upstream times, in seconds, ascending.
    pub request_buckets: Vec<f64>,
    /// Upper bounds of handshake times, in seconds, ascending.
    pub handshake_buckets: Vec<f64>,
}

/// The keys of the table.
pub const KEYS: &[Key] = &[
    Key::default(
        "request_buckets",
        "[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]",
        "Upper bounds for request times and upstream times.",
    ),
    Key::default(
        "handshake_buckets",
        "[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]",
        "Upper bounds for handshake times.",
    ),
];

impl Default for Metrics {
    fn default() -> Self {
        Self {
            request_buckets: REQUEST_BUCKETS.to_vec(),
            handshake_buckets: HANDSHAKE_BUCKETS.to_vec(),
        }
    }
}

impl Metrics {
    /// Reads the table.
    pub fn read(value: &Value<'_>) -> Option<Self> {
        let table = Table::open(value, "[metrics]".to_owned(), "metrics", &[KEYS])?;
        let default = Self::default();
        Some(Self {
            request_buckets: table.or("request_buckets", default.request_buckets, buckets),
            handshake_buckets: table.or("handshake_buckets", default.handshake_buckets, buckets),
        })
    }
}

fn buckets(value: &Value<'_>) -> Option<Vec<f64>> {
    let bounds = value.located_list(|entry| entry.number(LEAST_BOUND..=MOST_BOUND))?;
    if bounds.is_empty() || bounds.len() > MOST_BUCKETS {
        let message = format!("{} must have from 1 to {MOST_BUCKETS} bounds", value.name());
        value.complain(message, "", None);
        return None;
    }
    if let Some(pair) = bounds.windows(2).find(|pair| pair[0].value >= pair[1].value) {
        let complaint = Complaint::error(
            pair[1].place.clone(),
            format!("the bounds of {} must ascend", value.name()),
        );
        value.document().complain(complaint.label(format!("not above {}", pair[0].value)));
        return None;
    }
    Some(bounds.into_iter().map(|bound| bound.value).collect())
}

/// What OpenTelemetry advises for HTTP, and two below it for a proxy next to its origins.
const REQUEST_BUCKETS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// From a resumed handshake on the same host to a client on a bad link.
const HANDSHAKE_BUCKETS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// Each bucket is a time series for each virtual service.
const MOST_BUCKETS: usize = 32;

const LEAST_BOUND: f64 = 0.000_001;
const MOST_BOUND: f64 = 86_400.0;
