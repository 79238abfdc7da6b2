//! Bodies for answers of our own, by status, from files that were read at reload (SPEC PX-4).

use std::collections::BTreeMap;

use bytes::Bytes;
use http::HeaderValue;

/// `error_pages` of a service.
#[derive(Debug, Default)]
pub struct Pages(Box<[(u16, Page)]>);

/// One page.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Page {
    /// What the file holds.
    pub body: Bytes,
    /// Told by how it begins.
    pub content_type: HeaderValue,
}

impl Pages {
    /// Takes what the files hold, by status.
    pub fn new(contents: BTreeMap<u16, Bytes>) -> Self {
        let page = |(status, body): (u16, Bytes)| {
            (status, Page { content_type: content_type(&body), body })
        };
        Self(contents.into_iter().map(page).collect())
    }

    /// The page for a status.
    pub fn get(&self, status: u16) -> Option<&Page> {
        let place = self.0.binary_search_by_key(&status, |(status, _)| *status).ok()?;
        Some(&self.0[place].1)
    }
}

fn content_type(body: &[u8]) -> HeaderValue {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    HeaderValue::from_static(match body.trim_ascii_start().first() {
        Some(b'<') => "text/html; charset=utf-8",
        Some(b'{') => "application/json",
        _ => "text/plain; charset=utf-8",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_found_by_its_status_and_says_what_it_is() {
        let contents = [
            (404, "\n  <!doctype html>"),
            (502, "{\"error\": 502}"),
            (503, "Later."),
            (504, ""),
            (500, "\u{feff}<html>"),
        ];
        let contents = contents.map(|(status, text)| (status, Bytes::from(text)));
        let pages = Pages::new(BTreeMap::from(contents));
        for (status, expected) in [
            (404, "text/html; charset=utf-8"),
            (500, "text/html; charset=utf-8"),
            (502, "application/json"),
            (503, "text/plain; charset=utf-8"),
            (504, "text/plain; charset=utf-8"),
        ] {
            assert_eq!(pages.get(status).expect("a page").content_type, expected, "{status}");
        }
        assert_eq!(pages.get(505), None);
    }
}
