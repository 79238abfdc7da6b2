//! The `Date` field of responses (RFC 9110, section 6.6.1), made once a second for each worker.

use std::cell::RefCell;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use http::HeaderValue;
use time::OffsetDateTime;

/// Now, in whole seconds.
pub fn now() -> HeaderValue {
    let second = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    MADE.with_borrow_mut(|made| {
        if made.0 != second {
            *made = (second, render(second));
        }
        made.1.clone()
    })
}

fn render(second: u64) -> HeaderValue {
    let moment = i64::try_from(second)
        .ok()
        .and_then(|second| OffsetDateTime::from_unix_timestamp(second).ok())
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let text = format!(
        "{:.3}, {:02} {:.3} {:04} {:02}:{:02}:{:02} GMT",
        moment.weekday().to_string(),
        moment.day(),
        moment.month().to_string(),
        moment.year(),
        moment.hour(),
        moment.minute(),
        moment.second(),
    );
    HeaderValue::from_maybe_shared(Bytes::from(text))
        .unwrap_or_else(|_| HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT"))
}

thread_local! {
    static MADE: RefCell<(u64, HeaderValue)> = RefCell::new((0, render(0)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_written_as_rfc_9110_says() {
        assert_eq!(render(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(now().len(), "Sun, 06 Nov 1994 08:49:37 GMT".len());
    }
}
