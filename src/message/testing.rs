//! Fields for tests.

use http::HeaderName;
use http::HeaderValue;

use crate::message::Fields;

/// These fields, in this order.
pub fn fields(list: &[(&str, &str)]) -> Fields {
    let field = |(name, value): &(&str, &str)| {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
        (name, HeaderValue::from_str(value).expect("a value"))
    };
    list.iter().map(field).collect()
}
