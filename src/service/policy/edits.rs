//! Edits of header fields, parsed at reload: a request costs no check of a name or a value.

use http::HeaderName;
use http::HeaderValue;
use http::header;

use crate::config::rule::HeaderEdits;
use crate::message::Fields;

/// Compiled `request_headers` or `response_headers`. Fields that say where a message ends, or that
/// concern one connection, are the proxy's own: edits of those are left out, whatever was written.
#[derive(Debug, Default)]
pub struct Edits {
    remove: Box<[HeaderName]>,
    set: Box<[(HeaderName, HeaderValue)]>,
    add: Box<[(HeaderName, HeaderValue)]>,
}

impl Edits {
    /// Compiles what was written. The configuration has been checked; what is no field is left out.
    pub fn compile(config: &HeaderEdits) -> Self {
        let name = |text: &String| text.parse::<HeaderName>().ok().filter(may_be_edited);
        let field = |(name_text, value): &(String, String)| {
            Some((name(name_text)?, HeaderValue::from_str(value).ok()?))
        };
        let removed = config.remove.iter().filter_map(name);
        Self {
            // Without a host there is no request.
            remove: removed.filter(|name| *name != header::HOST).collect(),
            set: config.set.iter().filter_map(field).collect(),
            add: config.add.iter().filter_map(field).collect(),
        }
    }

    /// Edits in the order remove, set, add.
    pub fn apply(&self, fields: &mut Fields) {
        for name in &self.remove {
            fields.remove(name);
        }
        for (name, value) in &self.set {
            fields.insert(name.clone(), value.clone());
        }
        for (name, value) in &self.add {
            fields.append(name.clone(), value.clone());
        }
    }
}

fn may_be_edited(name: &HeaderName) -> bool {
    let framing = [
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::EXPECT,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ];
    !framing.contains(name) && *name != "keep-alive" && *name != "proxy-connection"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::testing;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    #[test]
    fn fields_are_removed_then_set_then_added() {
        let edits = Edits::compile(&HeaderEdits {
            remove: vec!["x-gone".into(), "x-both".into()],
            set: pairs(&[("x-both", "new"), ("x-set", "1")]),
            add: pairs(&[("x-set", "2"), ("x-more", "3")]),
        });
        let mut fields =
            testing::fields(&[("x-gone", "0"), ("x-both", "old"), ("x-more", "0"), ("x-set", "0")]);
        edits.apply(&mut fields);
        let all = |name: &str| fields.get_all(name).cloned().collect::<Vec<_>>();
        assert!(all("x-gone").is_empty());
        assert_eq!(all("x-both"), ["new"]);
        assert_eq!(all("x-set"), ["1", "2"]);
        assert_eq!(all("x-more"), ["0", "3"]);
    }

    #[test]
    fn what_frames_a_message_is_not_edited() {
        let names = ["content-length", "transfer-encoding", "connection", "upgrade", "keep-alive"];
        let edits = Edits::compile(&HeaderEdits {
            remove: names.iter().map(|name| (*name).into()).chain(["host".into()]).collect(),
            set: pairs(&names.map(|name| (name, "7"))),
            add: pairs(&[("x-line", "a\r\nx-injected: 1"), ("not a name", "1")]),
        });
        let mut fields = Fields::new();
        fields.insert(header::CONTENT_LENGTH, HeaderValue::from_static("2"));
        fields.insert(header::HOST, HeaderValue::from_static("a"));
        edits.apply(&mut fields);
        assert_eq!(fields.len(), 2, "{fields:?}");
        assert_eq!(fields.get(header::CONTENT_LENGTH).expect("kept"), "2");
    }
}
