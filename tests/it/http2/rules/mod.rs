//! RFC 9113, rule by rule: what each breach gets, and that it never reaches an origin.
//!
//! A row reads: when this is said after the preface and settings, that follows.

mod messages;
mod rows;

use crate::kit::Client;
use crate::kit::TwoSites;
use crate::kit::frames::*;

/// What has to follow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Then {
    /// GOAWAY with this code, and the end of the connection.
    Connection(u32),
    /// Stream 1 is reset with this code, and the connection goes on.
    Stream(u32),
    /// Stream 1 is answered with this status, and the connection goes on.
    Status(u16),
    /// A stream error or 400 (section 8.1.1), and the connection goes on.
    Malformed,
}

/// One rule.
struct Row {
    section: &'static str,
    what: &'static str,
    /// What the client says.
    says: fn() -> Vec<u8>,
    then: Then,
}

const fn row(section: &'static str, what: &'static str, says: fn() -> Vec<u8>, then: Then) -> Row {
    Row { section, what, says, then }
}

impl Row {
    /// What is wrong, if anything is.
    async fn complaint(&self, client: &Client) -> Option<String> {
        let mut frames = Frames::open(client).await;
        // Where it is the connection that ends, some of it may not be taken any more.
        drop(frames.try_say(&(self.says)()).await);
        let expected = self.then;
        let heard = frames.until(self.what, |heard| expected.is_settled(heard)).await;
        let mut is_so = expected.is_there(&heard);
        if !matches!(expected, Then::Connection(_)) {
            is_so &= !heard.is_closed && frames.try_say(&get(101, "shop.test", "/")).await.is_ok();
            let next = frames.until(self.what, |heard| heard.ended.contains(&101)).await;
            is_so &= next.statuses.get(&101) == Some(&200);
        }
        let Self { section, what, .. } = self;
        (!is_so).then(|| format!("{section} {what}: {expected:?}, but {heard:?}"))
    }
}

impl Then {
    /// Whether it is there, or something else in its place.
    fn is_settled(self, heard: &Heard) -> bool {
        let is_over = heard.ended.contains(&1) || heard.resets.contains_key(&1);
        heard.goaway.is_some() || (is_over && !matches!(self, Self::Connection(_)))
    }

    fn is_there(self, heard: &Heard) -> bool {
        match self {
            Self::Connection(code) => heard.goaway == Some(code),
            Self::Stream(code) => heard.resets.get(&1) == Some(&code),
            Self::Status(status) => {
                heard.statuses.get(&1) == Some(&status) && heard.ended.contains(&1)
            }
            Self::Malformed => {
                Self::Stream(PROTOCOL_ERROR).is_there(heard) || Self::Status(400).is_there(heard)
            }
        }
    }
}

/// SPEC PX-5: what is against RFC 9113 is refused as it says.
#[tokio::test]
async fn frames_that_are_against_the_rules_get_what_the_rules_say() {
    all(rows::ROWS).await;
}

/// SPEC PX-5, VS-6: requests that are against RFC 9113 never reach an origin.
#[tokio::test]
async fn messages_that_are_malformed_never_reach_an_origin() {
    all(messages::ROWS).await;
}

async fn all(rows: &[Row]) {
    let street = TwoSites::with("[timeouts]\nrequest_head = \"2s\"\nrequest_body = \"2s\"").await;
    let client = street.client("shop.test");
    let mut complaints = Vec::new();
    for row in rows {
        complaints.extend(row.complaint(&client).await);
    }
    let whole = street.shop.whole();
    let half = whole.iter().filter(|path| path.contains("half"));
    complaints.extend(half.map(|path| format!("reached the origin as a whole: {path}")));
    let seen = street.shop.seen();
    let never = seen.iter().filter(|seen| seen.path.contains("never"));
    complaints.extend(never.map(|seen| format!("reached the origin: {seen:?}")));
    assert!(
        complaints.is_empty(),
        "{} of {}:\n{}",
        complaints.len(),
        rows.len(),
        complaints.join("\n")
    );
}

/// A connection that does not begin as section 3.4 says.
#[tokio::test]
async fn what_does_not_begin_as_http2_does_is_closed() {
    let street = TwoSites::start().await;
    let beginnings: [(&str, Vec<u8>); 4] = [
        ("HTTP/1.1", b"GET / HTTP/1.1\r\nhost: shop.test\r\n\r\n".to_vec()),
        ("no preface", frame(SETTINGS, 0, 0, &[]).repeat(3)),
        ("a preface that is a little wrong", [&PREFACE[..23], b"!"].concat()),
        ("noise", vec![0xff; 64]),
    ];
    for (what, bytes) in &beginnings {
        let mut frames = Frames::silent(&street.client("shop.test")).await;
        frames.say(bytes).await;
        let heard = frames.until_closed().await;
        assert!(heard.is_closed && heard.statuses.is_empty(), "{what}: {heard:?}");
    }
    super::is_told(&street, "http2_bad_preface", beginnings.len() as f64).await;
    assert!(street.shop.seen().is_empty());
}

/// Each kind of end has its word in log and metric.
#[tokio::test]
async fn a_breach_of_the_rules_is_told_to_the_operator() {
    let street = TwoSites::start().await;
    let breaches: [(&str, Vec<u8>); 4] = [
        ("http2_protocol_error", frame(DATA, 0, 0, b"x")),
        ("http2_frame_size_error", frame(HEADERS, END_HEADERS, 1, &[0; 20_000])),
        ("http2_flow_control_error", number(WINDOW_UPDATE, 0, 0x7fff_ffff)),
        ("http2_protocol_error", frame(CONTINUATION, END_HEADERS, 1, b"x")),
    ];
    for (index, (reason, bytes)) in breaches.iter().enumerate() {
        let mut frames = Frames::open(&street.client("shop.test")).await;
        frames.say(bytes).await;
        frames.until_closed().await;
        super::is_told(&street, reason, if index == 3 { 2.0 } else { 1.0 }).await;
    }
}
