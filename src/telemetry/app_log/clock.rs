//! The `time` of a line: RFC 3339, UTC, milliseconds. The civil date is computed once a second.

use std::cell::Cell;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use time::OffsetDateTime;

/// Appends the present time, such as `2026-11-21T20:15:30.123Z`.
pub(super) fn push_now(out: &mut Vec<u8>) {
    // A clock before 1970 is a broken clock; lines are written all the same.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    push(out, now.as_secs(), now.subsec_millis());
}

fn push(out: &mut Vec<u8>, seconds: u64, milliseconds: u32) {
    let (cached, mut text) = SECOND.get();
    if cached != seconds {
        text = civil(seconds);
        SECOND.set((seconds, text));
    }
    out.extend_from_slice(&text);
    let digit = |divisor: u32| b'0' + (milliseconds / divisor % 10) as u8;
    out.extend_from_slice(&[b'.', digit(100), digit(10), digit(1), b'Z']);
}

fn civil(seconds: u64) -> [u8; 19] {
    let time = OffsetDateTime::from_unix_timestamp(seconds.try_into().unwrap_or(i64::MAX))
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let mut text = *b"0000-00-00T00:00:00";
    let mut put = |at: usize, width: usize, mut value: u32| {
        for byte in text[at..at + width].iter_mut().rev() {
            *byte = b'0' + (value % 10) as u8;
            value /= 10;
        }
    };
    put(0, 4, time.year().unsigned_abs());
    put(5, 2, u8::from(time.month()).into());
    put(8, 2, time.day().into());
    put(11, 2, time.hour().into());
    put(14, 2, time.minute().into());
    put(17, 2, time.second().into());
    text
}

thread_local! {
    /// The second that was last asked for and its text; the epoch's own text is the first.
    static SECOND: Cell<(u64, [u8; 19])> = const { Cell::new((0, *b"1970-01-01T00:00:00")) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(seconds: u64, milliseconds: u32) -> String {
        let mut out = Vec::new();
        push(&mut out, seconds, milliseconds);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn times_are_rfc_3339_in_utc_with_milliseconds() {
        assert_eq!(text(0, 0), "1970-01-01T00:00:00.000Z");
        assert_eq!(text(1_709_210_096, 7), "2024-02-29T12:34:56.007Z");
        assert_eq!(text(1_709_210_096, 999), "2024-02-29T12:34:56.999Z");
        assert_eq!(text(1_798_761_599, 10), "2026-12-31T23:59:59.010Z");
    }
}
