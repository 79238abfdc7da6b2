//! Words of HTTP in a configuration: field names, field values, methods, statuses, paths.

use crate::config::complaint::Complaint;
use crate::config::read::Document;
use crate::config::source::Place;
use crate::config::value::Value;

/// Whether a text is a token of RFC 9110, section 5.6.2.
pub fn is_token(text: &str) -> bool {
    let is_token_byte =
        |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_token_byte)
}

/// The name of a field (RFC 9110, section 5.1) in lower case.
pub fn field_name(document: &Document<'_>, place: &Place, text: &str) -> Option<String> {
    if is_token(text) && text.len() <= MAX_NAME {
        return Some(text.to_ascii_lowercase());
    }
    let bare = text.trim().trim_end_matches(':');
    let help = match is_token(bare) && bare.len() <= MAX_NAME {
        true => format!("write \"{bare}\""),
        false => "a name has letters, digits and hyphens, such as \"x-env\"".to_owned(),
    };
    let message = format!("`{text}` is not the name of a header");
    document.complain(Complaint::error(place.clone(), message).help(help));
    None
}

/// The value of a field (RFC 9110, section 5.5): ASCII without control characters, and nothing blank
/// at its ends.
pub fn field_value(value: &Value<'_>) -> Option<String> {
    let text = value.text()?;
    let (message, help) = if text.bytes().any(|byte| byte == b'\r' || byte == b'\n') {
        ("the value of a header cannot hold a line break", "write it in one line")
    } else if text.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
        ("the value of a header cannot hold control characters", "remove them")
    } else if !text.is_ascii() {
        ("the value of a header is ASCII", "encode it, for example as percent-encoded UTF-8")
    } else if text.trim() != text {
        ("blanks at the ends of the value of a header do not travel", "remove them")
    } else {
        return Some(text.into_owned());
    };
    value.complain(message, "", Some(help.to_owned()));
    None
}

/// The name of a cookie: a token (RFC 6265, section 4.1.1).
pub fn cookie_name(value: &Value<'_>) -> Option<String> {
    let text = value.text()?;
    if !is_token(&text) || text.len() > MAX_NAME {
        let help = "a name has letters, digits, `_` and `-`, such as \"route\"".to_owned();
        value.complain(format!("`{text}` is not the name of a cookie"), "", Some(help));
        return None;
    }
    Some(text.into_owned())
}

/// A path of a request: begins with a slash; no query, no fragment, and nothing that a normalised
/// path does not have.
pub fn path(value: &Value<'_>) -> Option<String> {
    let text = value.text()?;
    let complain = |message: &str, help: String| value.complain(message, "", Some(help));
    if !text.starts_with('/') {
        let help = match text.split_once("://") {
            Some(_) => "write the path alone; hosts are the `domains` of the service".to_owned(),
            None => format!("write \"/{text}\""),
        };
        complain("a path begins with a slash", help);
        return None;
    }
    if text.contains('*') {
        let above = text.split("/*").next().unwrap_or_default();
        let above = if above.is_empty() || above.contains('*') { "/api" } else { above };
        let help = format!("write `path_prefix = \"{above}\"` for it and all below");
        complain("`*` stands for itself in a path", help);
        return None;
    }
    if let Some(at) = text.find(['?', '#']) {
        let help = format!("write \"{}\"", &text[..at]);
        complain("a path is compared without its query", help);
        return None;
    }
    if let Some(other) = text.chars().find(|c| !c.is_ascii_graphic()) {
        let help = format!("write {} as it travels, percent-encoded", other.escape_default());
        complain("a path is ASCII without blanks", help);
        return None;
    }
    let inner = text.split('/').skip(1);
    let count = inner.clone().count();
    let mut inner = inner.take(count.saturating_sub(1));
    if inner.any(str::is_empty) || text.split('/').any(|part| part == "." || part == "..") {
        complain(
            "paths are compared after `//`, `/./` and `/../` are resolved: none has these",
            "write the path as it is after that".to_owned(),
        );
        return None;
    }
    Some(text.into_owned())
}

/// Statuses `"404"` or `404`, and ranges `"200-299"`: first and last.
pub fn status_range(value: &Value<'_>) -> Option<(u16, u16)> {
    if value.is_integer() {
        let status = value.integer(100..=599)? as u16;
        return Some((status, status));
    }
    let text = value.text()?;
    let range = parse_status_range(&text);
    if range.is_none() {
        let help = match text.to_ascii_lowercase().strip_suffix("xx") {
            Some(class) if class.len() == 1 => format!("write \"{class}00-{class}99\""),
            _ => "write \"200\" or \"200-299\"; statuses are 100 to 599".to_owned(),
        };
        value.complain(format!("`{text}` is not a status or a range of them"), "", Some(help));
    }
    range
}

fn parse_status_range(text: &str) -> Option<(u16, u16)> {
    let status = |text: &str| -> Option<u16> {
        let is_number = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|status| is_number && (100..=599).contains(status))
    };
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (status(first.trim())?, status(last.trim())?),
        None => (status(text)?, status(text)?),
    };
    (first <= last).then_some((first, last))
}

/// Longer names are mistakes, and some origins refuse them.
const MAX_NAME: usize = 128;

#[cfg(test)]
mod tests {
    use proptest::proptest;

    use super::*;
    use crate::config::read::testing::reads;
    use crate::config::read::testing::refuses;

    #[test]
    fn statuses_are_numbers_texts_or_ranges() {
        assert_eq!(reads("404", status_range), (404, 404));
        assert_eq!(reads("'404'", status_range), (404, 404));
        assert_eq!(reads("'200-299'", status_range), (200, 299));
        assert!(refuses("'2xx'", status_range).contains("\"200-299\""));
        for wrong in ["'299-200'", "'20'", "'200-'", "'+20-299'", "99", "600", "'200-600'"] {
            refuses(wrong, status_range);
        }
    }

    #[test]
    fn paths_are_as_they_travel() {
        for good in ["/", "/api", "/api/", "/a%20b", "/.well-known/x", "/..a"] {
            assert_eq!(reads(&format!("'{good}'"), path), good);
        }
        assert!(refuses("'api'", path).contains("\"/api\""));
        assert!(refuses("'/api/*'", path).contains("path_prefix"));
        assert!(refuses("'/a?b=1'", path).contains("\"/a\""));
        for wrong in ["''", "'/ü'", "'/a b'", "'//a'", "'/a/../b'", "'/a/.'", "'https://a/'"] {
            refuses(wrong, path);
        }
    }

    #[test]
    fn values_of_fields_are_one_line_of_ascii() {
        assert_eq!(reads("'max-age=1; x'", field_value), "max-age=1; x");
        for wrong in [r#""a\r\nb: c""#, r#""\u0000""#, "'ü'", "' a'"] {
            refuses(wrong, field_value);
        }
    }

    proptest! {
        #[test]
        fn every_range_in_order_is_a_range(first in 100_u16..=599, last in 100_u16..=599) {
            let expected = (first <= last).then_some((first, last));
            assert_eq!(parse_status_range(&format!("{first}-{last}")), expected);
        }

        #[test]
        fn ranges_of_arbitrary_text_are_in_bounds(text in "\\PC{0,9}") {
            if let Some((first, last)) = parse_status_range(&text) {
                assert!((100..=last).contains(&first) && last <= 599);
            }
        }
    }
}
