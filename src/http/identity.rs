//! Who a request is: its id, and its place in a trace (SPEC OBS-4).

use std::cell::Cell;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::hash::Hasher;

use bytes::Bytes;
use http::HeaderName;
use http::HeaderValue;

use crate::message::Fields;

/// The request's id and trace, as they are passed on.
#[derive(Clone, Debug)]
pub struct Identity {
    /// `x-request-id`: the client's if it is a token of at most 128 characters, or 32 hex digits.
    pub request_id: HeaderValue,
    /// `traceparent` of W3C Trace Context: the client's if it is valid.
    pub traceparent: HeaderValue,
}

impl Identity {
    /// Takes what the client sent, makes what it did not, and leaves both in the fields.
    ///
    /// `sampled` is said of a trace that begins here: whether this exchange's log line is kept.
    pub fn establish(fields: &mut Fields, sampled: bool) -> Self {
        let request_id = fields.get(REQUEST_ID).filter(|value| is_token(value.as_bytes())).cloned();
        let traceparent =
            fields.get(TRACEPARENT).filter(|value| is_traceparent(value.as_bytes())).cloned();
        let identity = match (request_id, traceparent) {
            (Some(request_id), Some(traceparent)) => Self { request_id, traceparent },
            (Some(request_id), None) => {
                let trace = trace_of(request_id.as_bytes()).unwrap_or_else(random_hex);
                Self { request_id, traceparent: value(begin_trace(&trace, sampled)) }
            }
            (None, Some(traceparent)) => {
                let request_id = value(Bytes::copy_from_slice(&random_hex()));
                Self { request_id, traceparent }
            }
            (None, None) => {
                // One buffer for both: the id is a slice of the trace.
                let trace = begin_trace(&random_hex(), sampled);
                Self { request_id: value(trace.slice(3..35)), traceparent: value(trace) }
            }
        };
        if fields.get(TRACEPARENT) != Some(&identity.traceparent) {
            // State of a trace that does not go on.
            fields.remove(TRACESTATE);
            fields.insert(TRACEPARENT, identity.traceparent.clone());
        }
        fields.insert(REQUEST_ID, identity.request_id.clone());
        identity
    }

    /// The 32 hex digits of the trace.
    pub fn trace_id(&self) -> &str {
        self.traceparent.to_str().ok().and_then(|text| text.get(3..35)).unwrap_or_default()
    }
}

/// Characters of a token (RFC 9110, section 5.6.2), and not too many of them.
fn is_token(bytes: &[u8]) -> bool {
    (1..=128).contains(&bytes.len())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b))
}

/// `version-trace-parent-flags` in lower-case hex; a later version may add something behind a dash.
fn is_traceparent(bytes: &[u8]) -> bool {
    let is_hex = |range: std::ops::Range<usize>| {
        bytes[range].iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_nonzero = |range: std::ops::Range<usize>| bytes[range].iter().any(|b| *b != b'0');
    bytes.len() >= 55
        && [2, 35, 52].iter().all(|dash| bytes[*dash] == b'-')
        && [0..2, 3..35, 36..52, 53..55].into_iter().all(is_hex)
        && is_nonzero(3..35)
        && is_nonzero(36..52)
        && &bytes[..2] != b"ff"
        && (bytes.len() == 55 || (&bytes[..2] != b"00" && bytes[55] == b'-'))
}

/// A request id that can be a trace id.
fn trace_of(id: &[u8]) -> Option<[u8; 32]> {
    let id: [u8; 32] = id.try_into().ok()?;
    let is_hex = id.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    (is_hex && id.iter().any(|b| *b != b'0')).then_some(id)
}

fn begin_trace(trace: &[u8; 32], sampled: bool) -> Bytes {
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
    text[3..35].copy_from_slice(trace);
    write_hex(&mut text[36..52], random().max(1));
    text[54] = if sampled { b'1' } else { b'0' };
    Bytes::copy_from_slice(&text)
}

fn random_hex() -> [u8; 32] {
    let mut text = [0; 32];
    write_hex(&mut text[..16], random().max(1));
    write_hex(&mut text[16..], random());
    text
}

fn write_hex(text: &mut [u8], mut number: u64) {
    for digit in text.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(number & 15) as usize];
        number >>= 4;
    }
}

/// Unique, not secret: xorshift128+ (Vigna), seeded for each thread from the system's random source.
fn random() -> u64 {
    STATE.with(|state| {
        let (mut x, y) = state.get();
        x ^= x << 23;
        let next = x ^ y ^ (x >> 17) ^ (y >> 26);
        state.set((y, next));
        next.wrapping_add(y)
    })
}

fn seed() -> u64 {
    RandomState::new().build_hasher().finish() | 1
}

fn value(text: Bytes) -> HeaderValue {
    HeaderValue::from_maybe_shared(text).unwrap_or_else(|_| HeaderValue::from_static("-"))
}

thread_local! {
    static STATE: Cell<(u64, u64)> = Cell::new((seed(), seed()));
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::testing;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn established(fields: &[(&'static str, &'static str)]) -> (Identity, Fields) {
        let mut map = testing::fields(fields);
        (Identity::establish(&mut map, true), map)
    }

    #[test]
    fn what_the_client_sent_is_kept_if_valid() {
        let (identity, fields) = established(&[
            ("x-request-id", "abc.123"),
            ("traceparent", VALID),
            ("tracestate", "a=b"),
        ]);
        assert_eq!(identity.request_id, "abc.123");
        assert_eq!(identity.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(fields.get("tracestate").expect("kept"), "a=b");
    }

    #[test]
    fn both_are_made_and_agree_if_the_client_sent_none() {
        let (identity, fields) = established(&[]);
        assert_eq!(identity.request_id, identity.trace_id());
        assert!(is_traceparent(fields.get("traceparent").expect("made").as_bytes()));
        assert_eq!(fields.get("x-request-id").expect("made").len(), 32);
        assert_ne!(identity.request_id, established(&[]).0.request_id);
    }

    #[test]
    fn what_is_not_valid_is_replaced() {
        for bad in [
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "short",
        ] {
            let (identity, fields) = established(&[
                ("traceparent", bad),
                ("tracestate", "a=b"),
                ("x-request-id", "a b"),
            ]);
            assert_ne!(identity.traceparent, bad);
            assert!(!fields.contains("tracestate"));
            assert_eq!(identity.request_id.len(), 32);
        }
    }
}
