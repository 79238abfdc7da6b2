//! Sticky cookies: a client stays with the endpoint that answered it.
//!
//! The cookie names the endpoint by a digest of its label and the pool's name: the same after a reload
//! and on every instance, and no address that a client could read. It is passed on to the endpoint like
//! any cookie, as HAProxy does by default. Must not know which endpoints are available.

use aws_lc_rs::digest;
use http::HeaderValue;
use http::header;

use crate::config::balance;
use crate::message::Fields;
use crate::names::PoolName;
use crate::upstream::cookie;

/// What the cookie's value says: an endpoint, in 64 bits of hexadecimal.
pub type Token = [u8; 16];

/// The tokens of a pool's endpoints. Made anew when they change.
#[derive(Debug)]
pub struct Sticky {
    cookie: String,
    /// By place.
    endpoints: Vec<(Token, HeaderValue)>,
    /// Sorted by token.
    places: Vec<(Token, usize)>,
}

impl Sticky {
    /// The labels are those of the endpoints, in order.
    pub fn new(config: &balance::Sticky, pool: &PoolName, labels: &[&str]) -> Self {
        let tokens = labels.iter().map(|label| token(pool, label));
        let endpoints = tokens.map(|token| (token, set_cookie(config, &token)));
        let endpoints: Vec<_> = endpoints.collect();
        let places = endpoints.iter().enumerate().map(|(place, (token, _))| (*token, place));
        let mut places: Vec<_> = places.collect();
        places.sort_unstable();
        Self { cookie: config.cookie.clone(), endpoints, places }
    }

    /// What the client's cookie says, whether or not there is such an endpoint.
    pub fn read(&self, fields: &Fields) -> Option<Token> {
        cookie::value(fields, &self.cookie)?.try_into().ok()
    }

    /// The place of the endpoint that is meant, if it is still there.
    pub fn place(&self, token: &Token) -> Option<usize> {
        let found = self.places.binary_search_by(|(other, _)| other.cmp(token)).ok()?;
        Some(self.places[found].1)
    }

    /// Tells the client who answered, unless its cookie said so.
    pub fn mark(&self, asked: Option<Token>, place: usize, fields: &mut Fields) {
        if let Some((token, set_cookie)) = self.endpoints.get(place)
            && asked != Some(*token)
        {
            fields.append(header::SET_COOKIE, set_cookie.clone());
        }
    }
}

fn token(pool: &PoolName, label: &str) -> Token {
    let text = format!("portcullis route\0{pool}\0{label}");
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    let mut token = [0; 16];
    for (pair, byte) in token.chunks_exact_mut(2).zip(digest.as_ref()) {
        pair[0] = HEX[usize::from(byte >> 4)];
        pair[1] = HEX[usize::from(byte & 15)];
    }
    token
}

/// `Secure`, because clients come over TLS; `Lax`, so that a link from elsewhere arrives at the same
/// endpoint.
fn set_cookie(config: &balance::Sticky, token: &Token) -> HeaderValue {
    let value = String::from_utf8_lossy(token);
    let max_age = config.max_age.map(|age| format!("; Max-Age={}", age.as_secs()));
    let text = format!(
        "{}={value}; Path=/; HttpOnly; Secure; SameSite=Lax{}",
        config.cookie,
        max_age.unwrap_or_default()
    );
    // The name has been checked to be a token.
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

const HEX: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn sticky(labels: &[&str]) -> Sticky {
        let config = balance::Sticky {
            cookie: "route".to_owned(),
            max_age: Some(Duration::from_secs(3600)),
        };
        Sticky::new(&config, &"shop".parse().unwrap(), labels)
    }

    fn marked(sticky: &Sticky, asked: Option<Token>, place: usize) -> Option<String> {
        let mut fields = Fields::new();
        sticky.mark(asked, place, &mut fields);
        fields.get("set-cookie").map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_cookie_finds_its_endpoint_wherever_it_has_moved_in_the_list() {
        let (two, three) = (sticky(&["a:1", "b:1"]), sticky(&["c:1", "b:1", "a:1"]));
        let set = marked(&two, None, 0).unwrap();
        let (pair, attributes) = set.split_once("; ").unwrap();
        assert_eq!(attributes, "Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=3600");
        let mut fields = Fields::new();
        fields
            .insert(http::HeaderName::from_static("cookie"), HeaderValue::try_from(pair).unwrap());
        let token = three.read(&fields).unwrap();
        assert_eq!(three.place(&token), Some(2));
        assert_eq!(marked(&three, Some(token), 2), None);
        assert!(marked(&three, Some(token), 1).is_some());
    }

    #[test]
    fn the_value_is_the_same_for_ever() {
        // Instances of different versions share clients. By sha256sum.
        let set = marked(&sticky(&["10.0.0.1:8080"]), None, 0).unwrap();
        assert!(set.starts_with("route=bdcb3601b5b0d57e; "), "{set}");
    }

    #[test]
    fn what_is_no_token_names_nobody() {
        let sticky = sticky(&["a:1"]);
        let mut fields = Fields::new();
        fields
            .insert(http::HeaderName::from_static("cookie"), HeaderValue::from_static("route=a:1"));
        assert_eq!(sticky.read(&fields), None);
        assert_eq!(sticky.place(b"0000000000000000"), None);
    }
}
