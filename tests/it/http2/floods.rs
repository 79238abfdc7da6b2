//! Every flood is cut, told, and nobody else's trouble.

use super::is_counted;
use super::is_told;
use crate::kit::TwoSites;
use crate::kit::eventually;
use crate::kit::frames::*;

/// A flood and its end.
struct Flood {
    /// The word in log and metric.
    reason: &'static str,
    /// How often it is sent, at most.
    times: usize,
    each: fn(usize) -> Vec<u8>,
}

/// Each ends with ENHANCE_YOUR_CALM.
const FLOODS: &[Flood] = &[
    // CVE-2023-44487: some in one packet are enough, one by one it takes more.
    Flood { reason: "http2_reset_flood", times: 2000, each: |n| opened_and_reset(n, "/") },
    // CVE-2025-8671: what the client sends makes the proxy reset the stream.
    Flood {
        reason: "http2_error_flood",
        times: 2000,
        each: |n| {
            [get(odd(n), "shop.test", "/held"), number(WINDOW_UPDATE, odd(n), 0x7fff_ffff)].concat()
        },
    },
    // CVE-2024-27316.
    Flood {
        reason: "http2_continuation_flood",
        times: 5000,
        each: |n| match n {
            0 => frame(HEADERS, END_STREAM, 1, &block(&request("GET", "shop.test", "/"))),
            _ => frame(CONTINUATION, 0, 1, &field("x", "y")),
        },
    },
    // CVE-2019-9518.
    Flood {
        reason: "http2_data_flood",
        times: 5000,
        each: |n| match n {
            0 => headers(0, 1, &request("POST", "shop.test", "/count")),
            _ => frame(DATA, 0, 1, &[]),
        },
    },
    // CVE-2019-9515.
    Flood { reason: "http2_settings_flood", times: 5000, each: |_| frame(SETTINGS, 0, 0, &[]) },
    // CVE-2019-9512.
    Flood { reason: "http2_ping_flood", times: 5000, each: |_| frame(PING, 0, 0, &[7; 8]) },
    // CVE-2019-9513.
    Flood {
        reason: "http2_priority_flood",
        times: 5000,
        each: |n| frame(PRIORITY, 0, odd(n), &[0, 0, 0, 0, 16]),
    },
    // CVE-2019-9511.
    Flood { reason: "http2_window_flood", times: 5000, each: |_| number(WINDOW_UPDATE, 0, 1) },
    Flood { reason: "http2_unknown_flood", times: 5000, each: |_| frame(0xbb, 0, 0, b"what") },
];

/// SPEC PX-5: a bound for every size, and every count.
#[tokio::test]
async fn every_flood_is_cut_and_told_and_memory_stays_flat() {
    let street = TwoSites::start().await;
    let client = street.client("shop.test");
    let mut other = client.http2().await;
    assert_eq!(other.get("/").await.text(), "hello from shop");
    for Flood { reason, times, each } in FLOODS {
        let before = street.proxy.resident();
        let heard = Frames::open(&client).await.flood(*times, each).await;
        assert_eq!(heard.goaway, Some(ENHANCE_YOUR_CALM), "{reason}: {heard:?}");
        is_told(&street, reason, 1.0).await;
        assert_eq!(other.get("/").await.text(), "hello from shop", "another, after {reason}");
        let grown = street.proxy.resident().saturating_sub(before);
        assert!(grown < MEMORY, "{reason}: {grown} bytes");
    }
}

/// SPEC PX-5: a thousand requests that are reset at once are not a thousand for the origin.
#[tokio::test]
async fn a_rapid_reset_that_is_paced_reaches_the_origin_with_few_requests() {
    let street = TwoSites::start().await;
    let client = street.client("shop.test");
    let mut frames = Frames::open(&client).await;
    let mut sent = 0;
    for number in 0..1000 {
        // The answer to a ping says that what came before was read; each is a glitch by itself.
        let ping = frame(PING, 0, 0, &[1; 8]);
        if frames.try_say(&[opened_and_reset(number, "/held"), ping].concat()).await.is_err() {
            break;
        }
        sent += 1;
        if frames.until("a pong or the end", |heard| heard.pongs > 0).await.is_closed {
            break;
        }
    }
    is_told(&street, "http2_reset_flood", 1.0).await;
    assert!(sent < 250, "{sent} were read");
    assert!(street.shop.seen().len() <= 250, "{}", street.shop.seen().len());
}

/// SPEC PX-5: HPACK bomb (CVE-2016-6581), a field of 4 KiB in the dynamic table, named again and again.
#[tokio::test]
async fn a_block_that_unpacks_to_megabytes_ends_the_connection() {
    let street = TwoSites::start().await;
    let client = street.client("shop.test");
    let before = street.proxy.resident();
    for _ in 0..20 {
        let mut frames = Frames::open(&client).await;
        let mut bomb = block(&request("GET", "shop.test", "/"));
        // Literal with incremental indexing (RFC 7541, section 6.2.1), then its index.
        let mut kept = field("x-bomb", &"b".repeat(3900));
        kept[0] = 0x40;
        bomb.extend(kept);
        bomb.extend([0xbe; 12_000]);
        frames.say(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &bomb)).await;
        let heard = frames.until_closed().await;
        assert_eq!(heard.goaway, Some(ENHANCE_YOUR_CALM), "{heard:?}");
    }
    is_told(&street, "request_head_too_large", 20.0).await;
    let grown = street.proxy.resident().saturating_sub(before);
    assert!(grown < MEMORY, "{grown} bytes");
    assert!(street.shop.seen().is_empty());
}

/// SPEC PX-5: a head beyond the limit is refused, and the connection goes on.
#[tokio::test]
async fn a_head_that_is_a_little_too_large_is_answered_431() {
    let street = TwoSites::start().await;
    let mut frames = Frames::open(&street.client("shop.test")).await;
    let long = "v".repeat(11_000);
    let mut fields = request("GET", "shop.test", "/");
    fields.extend([("a", &*long), ("b", &*long), ("c", &*long)]);
    let block = block(&fields);
    let (first, rest) = block.split_at(16_000);
    let (second, third) = rest.split_at(16_000);
    frames.say(&frame(HEADERS, END_STREAM, 1, first)).await;
    frames.say(&frame(CONTINUATION, 0, 1, second)).await;
    frames.say(&frame(CONTINUATION, END_HEADERS, 1, third)).await;
    frames.say(&get(3, "shop.test", "/")).await;
    let heard = frames.until("an answer to the second", |heard| heard.ended.contains(&3)).await;
    assert_eq!(heard.statuses[&1], 431);
    assert_eq!(heard.statuses[&3], 200);
    assert_eq!(street.shop.seen().len(), 1);
}

/// SPEC PX-5: streams beyond the bound are refused, those within it are served.
#[tokio::test]
async fn streams_beyond_the_bound_are_refused_and_a_crowd_of_them_is_a_flood() {
    let street = TwoSites::start().await;
    let client = street.client("shop.test");
    let mut frames = Frames::open(&client).await;
    for number in 0..130 {
        frames.say(&get(odd(number), "shop.test", "/held")).await;
    }
    let heard = frames.until("thirty refusals", |heard| heard.resets.len() == 30).await;
    assert!(heard.resets.values().all(|code| *code == REFUSED_STREAM), "{heard:?}");
    assert!(heard.resets.keys().all(|stream| *stream > 199), "{heard:?}");
    eventually("a hundred at the origin", async || (street.shop.seen().len() == 100).then_some(()))
        .await;
    let heard = frames.flood(2000, |number| get(odd(number + 130), "shop.test", "/held")).await;
    assert_eq!(heard.goaway, Some(ENHANCE_YOUR_CALM), "{heard:?}");
    is_counted(&street, "http2_error_flood", 1.0).await;
    assert_eq!(street.shop.seen().len(), 100);
}

/// SPEC PX-5: what a hundred streams with full windows leave with the proxy is bounded.
#[tokio::test]
async fn a_hundred_uploads_that_never_end_cost_a_window() {
    let street = TwoSites::start().await;
    let client = street.client("shop.test");
    let before = street.proxy.resident();
    let mut frames = Frames::open(&client).await;
    for number in 0..100 {
        frames.say(&headers(0, odd(number), &request("POST", "shop.test", "/held"))).await;
    }
    // What the first window lets through: 64 KiB, for the connection is told of more only later.
    for number in 0..60 {
        frames.say(&frame(DATA, 0, odd(number), &[b'u'; 1000])).await;
    }
    frames.say(&frame(PING, 0, 0, &[1; 8])).await;
    frames.until("a pong", |heard| heard.pongs > 0).await;
    let grown = street.proxy.resident().saturating_sub(before);
    assert!(grown < MEMORY, "{grown} bytes");
}

fn opened_and_reset(number: usize, path: &str) -> Vec<u8> {
    let stream = odd(number);
    [get(stream, "shop.test", path), self::number(RST_STREAM, stream, CANCEL)].concat()
}

/// The number of a client's stream.
fn odd(number: usize) -> u32 {
    number as u32 * 2 + 1
}

/// What a flood may leave behind: buffers of some connections, and never what was sent.
const MEMORY: u64 = 8 << 20;
