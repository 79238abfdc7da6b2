//! One cookie of a request, without a copy (RFC 6265, section 5.4).

use http::header;

use crate::message::Fields;

/// The value of the first cookie with this name, in one field or in the crumbs of HTTP/2 (RFC 9113,
/// section 8.2.3).
pub fn value<'fields>(fields: &'fields Fields, name: &str) -> Option<&'fields [u8]> {
    let crumbs = fields.get_all(header::COOKIE);
    let mut pairs = crumbs.flat_map(|field| field.as_bytes().split(|byte| *byte == b';'));
    pairs.find_map(|pair| {
        let rest = pair.trim_ascii().strip_prefix(name.as_bytes())?;
        rest.strip_prefix(b"=")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let mut fields = Fields::new();
        assert_eq!(value(&fields, "route"), None);
        fields.append(
            http::HeaderName::from_static("cookie"),
            HeaderValue::from_static("xroute=1; routes=2;route=3 ; route=4"),
        );
        assert_eq!(value(&fields, "route"), Some(&b"3"[..]));
        assert_eq!(value(&fields, "rout"), None);
    }

    #[test]
    fn crumbs_are_one_list() {
        let mut fields = Fields::new();
        fields.append(http::HeaderName::from_static("cookie"), HeaderValue::from_static("a=1"));
        fields.append(http::HeaderName::from_static("cookie"), HeaderValue::from_static("b="));
        assert_eq!(value(&fields, "b"), Some(&b""[..]));
    }
}
