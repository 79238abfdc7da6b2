//! Spellings of a path, and how servers read what is sent on.

use proptest::prelude::*;

use super::*;

fn sent(path: &str) -> String {
    normalise(path).expect("unambiguous").sent.into_owned()
}

#[test]
fn the_usual_path_is_not_copied() {
    for path in ["/", "/a", "/a/b.html", "/a/", "/a/b..c/~x", "/a./b...", "/a:b@c", "*"] {
        let normalised = normalise(path).expect("unambiguous");
        assert!(matches!(normalised.sent, Cow::Borrowed(same) if same == path), "{path}");
        assert!(matches!(normalised.matched, Cow::Borrowed(_)), "{path}");
    }
}

#[test]
fn spellings_of_one_path_are_one_path() {
    for path in [
        "/a/b",
        "//a/b",
        "/a//b",
        "/./a/b",
        "/a/./b",
        "/a/x/../b",
        "/../a/b",
        "/%61/b",
        "/a/%2e/b",
        "/a/x/%2E%2e/b",
        "/x/.%2e/a/b",
        "/a%2db/../a/b",
        "/../../a///./b",
    ] {
        assert_eq!(sent(path), "/a/b", "{path}");
    }
    for path in ["/a/", "/a/.", "/a/b/..", "/a//", "/a/%2e", "/a/b/%2e%2e"] {
        assert_eq!(sent(path), "/a/", "{path}");
    }
    for path in ["/", "//", "/.", "/..", "/a/..", "/a/../..", "/%2e%2E/"] {
        assert_eq!(sent(path), "/", "{path}");
    }
    assert_eq!(sent("/.well-known/x"), "/.well-known/x");
}

#[test]
fn what_is_reserved_stays_encoded_for_the_endpoint_and_is_decoded_for_rules() {
    let normalised = normalise("/a%3ab%40c%c3%a9%25").expect("unambiguous");
    assert_eq!(normalised.sent, "/a%3Ab%40c%C3%A9%25");
    assert_eq!(&*normalised.matched, "/a:b@cé%".as_bytes());
}

#[test]
fn parameters_are_sent_and_not_compared() {
    for (path, sent, matched) in [
        ("/a;v=1", "/a;v=1", "/a"),
        ("/a;v=1/b;w/c", "/a;v=1/b;w/c", "/a/b/c"),
        ("/a%3bv", "/a%3Bv", "/a"),
        ("/a/x;y/../b", "/a/b", "/a/b"),
        ("/;id=1", "/;id=1", "/"),
        ("/a/;id=1", "/a/;id=1", "/a/"),
    ] {
        let normalised = normalise(path).expect("unambiguous");
        let text = std::str::from_utf8(&normalised.matched).expect("text");
        assert_eq!((&*normalised.sent, text), (sent, matched), "{path}");
    }
}

#[test]
fn what_can_be_read_in_two_ways_is_refused() {
    for path in [
        "/a%2fb",
        "/a%2Fb",
        "/a%00",
        "/a\\b",
        "/a%5cb",
        "/..%5c..",
        "/a%",
        "/a%2",
        "/a%zz",
        "/%u002e",
        "/a/%2e%2e%2fb",
        "/%+1",
        "/a%0a",
        "/a%0D%0Ab",
        "/a%7f",
        "/%252e%252e/a",
        "/%2561",
        "/%25%36%31",
        "/a%252fb",
        "/a%252520b",
        "/%c0%ae%c0%ae/a",
        "/a%C1%9cb",
        "/a%e0%80%afb",
        "/a%f0%80%80%afb",
        "/x/..;/a",
        "/x/..;y=1/a",
        "/x/%2e%2e;/a",
        "/x/..%3b/a",
        "/.;/a",
        "/;/a",
        "/x/;y/a",
        "/x/..;",
    ] {
        assert_eq!(normalise(path), Err(Ambiguous), "{path}");
    }
}

/// Segments without regard to how they are written, read off literally.
fn naive(path: &str) -> Vec<u8> {
    let decoded = without_parameters(&decode(path.as_bytes()));
    let mut stack: Vec<&[u8]> = Vec::new();
    let segments: Vec<_> = decoded.split(|byte| *byte == b'/').skip(1).collect();
    for segment in &segments {
        match *segment {
            b"" | b"." => {}
            b".." => drop(stack.pop()),
            name => stack.push(name),
        }
    }
    let ends = matches!(segments.last(), Some(&(b"" | b"." | b"..")));
    let mut out = stack.iter().flat_map(|name| [b"/", *name].concat()).collect::<Vec<_>>();
    if ends {
        out.push(b'/');
    }
    out
}

proptest! {
    #[test]
    fn any_spelling_matches_as_its_segments_do(
        path in "/(a|b|\\.|\\.\\.|/|%2e|%2E|%61|%40|%25z|b;p|b%3bp){0,12}"
    ) {
        let Ok(normalised) = normalise(&path) else {
            // Nothing but dots with parameters is refused of these.
            prop_assert!(path.contains(';') || path.contains("%3b"), "{}", path);
            return Ok(());
        };
        prop_assert_eq!(&*normalised.matched, &*naive(&path));
    }

    #[test]
    fn what_is_sent_is_normal_already(path in "/[a-c./%0-9A-F;]{0,16}") {
        if let Ok(normalised) = normalise(&path) {
            prop_assert!(normalised.sent.starts_with('/'));
            prop_assert!(!normalised.sent.contains("//"), "{}", normalised.sent);
            let again = normalise(&normalised.sent).expect("still unambiguous");
            prop_assert_eq!(&again.sent, &normalised.sent);
            prop_assert_eq!(&again.matched, &normalised.matched);
            let slashes = |bytes: &[u8]| bytes.iter().filter(|b| **b == b'/').count();
            prop_assert_eq!(slashes(again.sent.as_bytes()), slashes(&again.matched));
        }
    }

    #[test]
    fn nothing_that_a_client_sends_panics(path in "\\PC*") {
        let _ = normalise(&path);
    }

    /// Whoever reads what is sent, and in whatever way: it is what rules were asked about.
    #[test]
    fn no_server_reads_another_path_than_rules_have_seen(
        path in "/(admin|x|a|\\.|/|\\.\\.|//|/\\./|/\\.\\./|%61dmin|adm%69n|%2e|%2E%2e|%2f|%252f|%252e\
                 |%2561|%25|2e|61|%32|\\\\|%5c|%255C|;|;v=1|%3b|%3Bv|%253b|%c0%af|%C0%AE|%c1%9c\
                 |%e0%80%af|%f0%80%80%ae|%ef%bc%8f|%c3%a9|%00|%0a|%20|%3F|%|u002f){0,9}"
    ) {
        let Ok(normalised) = normalise(&path) else { return Ok(()) };
        for reader in Reader::all() {
            let read = reader.read(&normalised.sent);
            let seen = String::from_utf8_lossy(&normalised.matched);
            prop_assert_eq!(&read, seen.trim_end_matches('/'), "{} {:?}", &normalised.sent, reader);
        }
    }

    #[test]
    fn the_query_is_nobodys_business(query in "[!-~&&[^#<>]]{0,20}") {
        let uri: Option<http::Uri> = format!("/a//../b?{query}").parse().ok();
        if let Some(uri) = uri {
            prop_assert_eq!(normalise(uri.path()).expect("unambiguous").sent, "/b");
            prop_assert_eq!(uri.query(), Some(&*query));
        }
    }
}

/// A server that reads paths in a way of its own. Written without a look at what it judges.
#[derive(Clone, Copy, Debug)]
struct Reader {
    decodes: usize,
    cuts_parameters: Cuts,
    is_windows: bool,
    is_careless_with_utf8: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Cuts {
    Never,
    BeforeDecoding,
    AfterDecoding,
}

impl Reader {
    fn all() -> impl Iterator<Item = Self> {
        let cuts = [Cuts::Never, Cuts::BeforeDecoding, Cuts::AfterDecoding];
        (0..3 * 2 * 2 * 2).map(move |number| Self {
            decodes: 1 + number % 2,
            cuts_parameters: cuts[number / 2 % 3],
            is_windows: number / 6 % 2 == 1,
            is_careless_with_utf8: number / 12 == 1,
        })
    }

    /// The path of the file that it opens; parameters that it does not know are cut off at the end,
    /// because rules do not see them.
    fn read(self, sent: &str) -> String {
        let mut text = sent.as_bytes().to_vec();
        if self.cuts_parameters == Cuts::BeforeDecoding {
            text = cut(&text);
        }
        for _ in 0..self.decodes {
            text = percent_decoded(&text);
        }
        if self.is_careless_with_utf8 {
            text = carelessly(&text);
        }
        if self.cuts_parameters == Cuts::AfterDecoding {
            text = cut(&text);
        }
        if self.is_windows {
            text.iter_mut().filter(|byte| **byte == b'\\').for_each(|byte| *byte = b'/');
        }
        text.truncate(text.iter().position(|byte| *byte == 0).unwrap_or(text.len()));
        let mut open: Vec<&[u8]> = Vec::new();
        for segment in text.split(|byte| *byte == b'/') {
            match segment {
                b"" | b"." => {}
                b".." => drop(open.pop()),
                name => open.push(name),
            }
        }
        let file = open.iter().flat_map(|name| [b"/", *name].concat()).collect::<Vec<_>>();
        let file = String::from_utf8_lossy(&cut(&file)).into_owned();
        file.trim_end_matches('/').to_owned()
    }
}

fn cut(text: &[u8]) -> Vec<u8> {
    let names = text.split(|byte| *byte == b'/');
    let names = names.map(|segment| segment.split(|byte| *byte == b';').next().unwrap_or(b""));
    names.collect::<Vec<_>>().join(&b'/')
}

fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let digits = text.get(at + 1..at + 3).and_then(|two| std::str::from_utf8(two).ok());
        let byte = digits
            .filter(|two| two.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|two| u8::from_str_radix(two, 16).ok());
        match byte {
            Some(byte) if text[at] == b'%' => {
                out.push(byte);
                at += 3;
            }
            _ => {
                out.push(text[at]);
                at += 1;
            }
        }
    }
    out
}

/// Takes the lowest bits of what looks like a character, whatever the highest ones say.
fn carelessly(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let (length, first) = match text[at] {
            byte @ 0xC0..=0xDF => (2, u32::from(byte & 0x1F)),
            byte @ 0xE0..=0xEF => (3, u32::from(byte & 0x0F)),
            byte @ 0xF0..=0xF7 => (4, u32::from(byte & 0x07)),
            byte => (1, u32::from(byte)),
        };
        let rest = text.get(at + 1..at + length).unwrap_or_default();
        let all = rest.iter().fold(first, |all, byte| all << 6 | u32::from(byte & 0x3F));
        match u8::try_from(all) {
            Ok(byte) if byte < 0x80 && length > 1 => out.push(byte),
            _ => out.extend_from_slice(&text[at..(at + length).min(text.len())]),
        }
        at += length;
    }
    out
}
