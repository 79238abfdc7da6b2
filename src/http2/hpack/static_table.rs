//! The static table (RFC 7541, appendix A), by index and by name; and other names that browsers send.

use bytes::Bytes;
use http::HeaderName;
use http::HeaderValue;
use http::header;

use super::Field;
use super::Pseudo;
use super::table::Entry;

/// The entry with this index, from 1.
pub(super) fn entry(index: usize) -> Option<&'static Entry> {
    ENTRIES.get(index.checked_sub(1)?)
}

/// The first index of a name that is no pseudo-header field's.
#[inline]
pub(super) fn index_of(name: &str) -> Option<usize> {
    let index = usize::from(PLACES[place(name.as_bytes())?]);
    (*NAMES.get(index.checked_sub(1)?)? == name).then_some(index)
}

/// A name that is not in the static table, but in many requests: one of these needs no memory.
pub(super) fn well_known(name: &[u8]) -> Option<HeaderName> {
    WELL_KNOWN.iter().find(|known| known.as_str().as_bytes() == name).cloned()
}

/// How many entries there are.
pub(super) const LENGTH: usize = NAMES.len();

/// Where [`PLACES`] has the index of a name: all have places of their own. There is none for the empty one.
const fn place(name: &[u8]) -> Option<usize> {
    let ([first, ..], [.., last]) = (name, name) else { return None };
    Some((2 * name.len() + 50 * *last as usize + *first as usize) % PLACE_COUNT)
}

const PLACE_COUNT: usize = 256;

/// Indices by place; 0 where there is none.
static PLACES: [u8; PLACE_COUNT] = {
    let mut places = [0; PLACE_COUNT];
    let mut index = FIRST_REGULAR;
    while index <= LENGTH {
        let Some(place) = place(NAMES[index - 1].as_bytes()) else { panic!("an empty name") };
        assert!(places[place] == 0, "two names in one place");
        places[place] = index as u8;
        index += 1;
    }
    places
};

/// The first index that is no pseudo-header field's.
const FIRST_REGULAR: usize = 15;

const fn pseudo(index: usize, pseudo: Pseudo, value: &'static str) -> Entry {
    let field = Field::Pseudo(pseudo, Bytes::from_static(value.as_bytes()));
    Entry::new(field, NAMES[index - 1].len(), value.len())
}

const fn regular(index: usize, name: HeaderName, value: &'static str) -> Entry {
    let field = Field::Regular(name, HeaderValue::from_static(value));
    Entry::new(field, NAMES[index - 1].len(), value.len())
}

#[rustfmt::skip]
static ENTRIES: [Entry; LENGTH] = [
    pseudo(1, Pseudo::Authority, ""),
    pseudo(2, Pseudo::Method, "GET"),
    pseudo(3, Pseudo::Method, "POST"),
    pseudo(4, Pseudo::Path, "/"),
    pseudo(5, Pseudo::Path, "/index.html"),
    pseudo(6, Pseudo::Scheme, "http"),
    pseudo(7, Pseudo::Scheme, "https"),
    pseudo(8, Pseudo::Status, "200"),
    pseudo(9, Pseudo::Status, "204"),
    pseudo(10, Pseudo::Status, "206"),
    pseudo(11, Pseudo::Status, "304"),
    pseudo(12, Pseudo::Status, "400"),
    pseudo(13, Pseudo::Status, "404"),
    pseudo(14, Pseudo::Status, "500"),
    regular(15, header::ACCEPT_CHARSET, ""),
    regular(16, header::ACCEPT_ENCODING, "gzip, deflate"),
    regular(17, header::ACCEPT_LANGUAGE, ""),
    regular(18, header::ACCEPT_RANGES, ""),
    regular(19, header::ACCEPT, ""),
    regular(20, header::ACCESS_CONTROL_ALLOW_ORIGIN, ""),
    regular(21, header::AGE, ""),
    regular(22, header::ALLOW, ""),
    regular(23, header::AUTHORIZATION, ""),
    regular(24, header::CACHE_CONTROL, ""),
    regular(25, header::CONTENT_DISPOSITION, ""),
    regular(26, header::CONTENT_ENCODING, ""),
    regular(27, header::CONTENT_LANGUAGE, ""),
    regular(28, header::CONTENT_LENGTH, ""),
    regular(29, header::CONTENT_LOCATION, ""),
    regular(30, header::CONTENT_RANGE, ""),
    regular(31, header::CONTENT_TYPE, ""),
    regular(32, header::COOKIE, ""),
    regular(33, header::DATE, ""),
    regular(34, header::ETAG, ""),
    regular(35, header::EXPECT, ""),
    regular(36, header::EXPIRES, ""),
    regular(37, header::FROM, ""),
    regular(38, header::HOST, ""),
    regular(39, header::IF_MATCH, ""),
    regular(40, header::IF_MODIFIED_SINCE, ""),
    regular(41, header::IF_NONE_MATCH, ""),
    regular(42, header::IF_RANGE, ""),
    regular(43, header::IF_UNMODIFIED_SINCE, ""),
    regular(44, header::LAST_MODIFIED, ""),
    regular(45, header::LINK, ""),
    regular(46, header::LOCATION, ""),
    regular(47, header::MAX_FORWARDS, ""),
    regular(48, header::PROXY_AUTHENTICATE, ""),
    regular(49, header::PROXY_AUTHORIZATION, ""),
    regular(50, header::RANGE, ""),
    regular(51, header::REFERER, ""),
    regular(52, header::REFRESH, ""),
    regular(53, header::RETRY_AFTER, ""),
    regular(54, header::SERVER, ""),
    regular(55, header::SET_COOKIE, ""),
    regular(56, header::STRICT_TRANSPORT_SECURITY, ""),
    regular(57, header::TRANSFER_ENCODING, ""),
    regular(58, header::USER_AGENT, ""),
    regular(59, header::VARY, ""),
    regular(60, header::VIA, ""),
    regular(61, header::WWW_AUTHENTICATE, ""),
];

const NAMES: [&str; 61] = [
    ":authority",
    ":method",
    ":method",
    ":path",
    ":path",
    ":scheme",
    ":scheme",
    ":status",
    ":status",
    ":status",
    ":status",
    ":status",
    ":status",
    ":status",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "accept-ranges",
    "accept",
    "access-control-allow-origin",
    "age",
    "allow",
    "authorization",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "etag",
    "expect",
    "expires",
    "from",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-modified",
    "link",
    "location",
    "max-forwards",
    "proxy-authenticate",
    "proxy-authorization",
    "range",
    "referer",
    "refresh",
    "retry-after",
    "server",
    "set-cookie",
    "strict-transport-security",
    "transfer-encoding",
    "user-agent",
    "vary",
    "via",
    "www-authenticate",
];

static WELL_KNOWN: [HeaderName; 22] = [
    HeaderName::from_static("priority"),
    HeaderName::from_static("sec-ch-ua"),
    HeaderName::from_static("sec-ch-ua-mobile"),
    HeaderName::from_static("sec-ch-ua-platform"),
    HeaderName::from_static("sec-fetch-dest"),
    HeaderName::from_static("sec-fetch-mode"),
    HeaderName::from_static("sec-fetch-site"),
    HeaderName::from_static("sec-fetch-user"),
    HeaderName::from_static("sec-fetch-storage-access"),
    HeaderName::from_static("sec-gpc"),
    HeaderName::from_static("sec-purpose"),
    HeaderName::from_static("x-requested-with"),
    HeaderName::from_static("x-csrf-token"),
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("grpc-accept-encoding"),
    HeaderName::from_static("grpc-encoding"),
    HeaderName::from_static("grpc-timeout"),
    HeaderName::from_static("keep-alive"),
];

#[cfg(test)]
mod tests {
    use super::super::Name;
    use super::*;

    #[test]
    fn entries_have_the_names_beside_them() {
        for (index, name) in (1..).zip(NAMES) {
            let entry = entry(index).expect("one for each name");
            match entry.name() {
                Ok(Name::Pseudo(pseudo)) => assert_eq!(format!(":{pseudo:?}").to_lowercase(), name),
                Ok(Name::Regular(regular)) => assert_eq!(regular, name),
                Err(malformed) => panic!("{malformed:?}"),
            }
            assert_eq!(entry.name_length(), name.len());
        }
        assert!(entry(0).is_none() && entry(62).is_none());
        assert_eq!(entry(16).expect("there").size(), 15 + 13 + 32);
    }

    #[test]
    fn names_are_found_and_others_are_not() {
        for (index, name) in (1..).zip(NAMES).skip(FIRST_REGULAR - 1) {
            assert_eq!(index_of(name), Some(index), "{name}");
        }
        for name in ["", ":status", "x-request-id", "accepts", "Accept", "a"] {
            assert_eq!(index_of(name), None, "{name}");
        }
        let other = HeaderName::from_static("sec-fetch-mode");
        assert_eq!(well_known(b"sec-fetch-mode"), Some(other));
        assert_eq!(well_known(b"sec-fetch-node"), None);
    }
}
