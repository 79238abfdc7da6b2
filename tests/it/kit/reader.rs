//! How origins read requests off a connection: strictly, and in the ways of those that are known to
//! read more than one into what a proxy took for one. Written without a look at the proxy.

/// A way of reading.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reader {
    /// As RFC 9112 has it.
    Strict,
    /// Any line end, any spelling of `chunked` in whatever looks like Transfer-Encoding, before any
    /// length.
    Chunks,
    /// Any line end, and the first length there is, before any chunks.
    FirstLength,
    /// Any line end, and the last length there is, before any chunks.
    LastLength,
}

/// One request, as a way of reading sees it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Request {
    /// The request target.
    pub(crate) target: String,
    /// Its body has come to an end.
    pub(crate) is_whole: bool,
}

/// All requests in these bytes, up to where there is nothing more that looks like one.
pub(crate) fn requests(bytes: &[u8], reader: Reader) -> Vec<Request> {
    let mut all = Vec::new();
    let mut rest = bytes;
    while let Some((head, behind)) = head(rest, reader) {
        let target = head[0].split(' ').nth(1).unwrap_or_default().to_owned();
        let end = body(&head[1..], behind, reader);
        all.push(Request { target, is_whole: end.is_some() });
        let Some(behind) = end else { break };
        rest = behind;
    }
    all
}

/// The lines of a head, and what comes behind it. Strict readers end lines with CR LF; the others do
/// so with LF, and look over empty lines before the first one.
fn head(bytes: &[u8], reader: Reader) -> Option<(Vec<String>, &[u8])> {
    let mut lines = Vec::new();
    let mut rest = bytes;
    loop {
        let (line, behind) = line(rest, reader)?;
        rest = behind;
        match (line.is_empty(), lines.is_empty()) {
            (true, true) if reader == Reader::Strict => return None,
            (true, true) => {}
            (true, false) => return Some((lines, rest)),
            (false, _) => lines.push(String::from_utf8_lossy(line).into_owned()),
        }
    }
}

fn line(bytes: &[u8], reader: Reader) -> Option<(&[u8], &[u8])> {
    if reader == Reader::Strict {
        let end = bytes.windows(2).position(|two| two == b"\r\n")?;
        return Some((&bytes[..end], &bytes[end + 2..]));
    }
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let line = &bytes[..end];
    Some((line.strip_suffix(b"\r").unwrap_or(line), &bytes[end + 1..]))
}

/// What is behind the body; None where it has not ended.
fn body<'a>(fields: &[String], bytes: &'a [u8], reader: Reader) -> Option<&'a [u8]> {
    let is_chunked = values(fields, "transfer-encoding", reader)
        .any(|value| value.to_ascii_lowercase().contains("chunked"));
    let lengths: Vec<_> = values(fields, "content-length", reader).filter_map(number).collect();
    let length = match reader {
        Reader::Strict | Reader::Chunks if is_chunked => None,
        Reader::LastLength => lengths.last(),
        Reader::Strict | Reader::Chunks | Reader::FirstLength => lengths.first(),
    };
    match length {
        Some(length) => bytes.get(*length..),
        None if is_chunked => chunks(bytes, reader),
        None => Some(bytes),
    }
}

/// Readers that are not strict take blanks around names, and underscores in them, for nothing.
fn values<'a>(
    fields: &'a [String],
    wanted: &'static str,
    reader: Reader,
) -> impl Iterator<Item = &'a str> {
    fields.iter().filter_map(move |field| {
        let (name, value) = field.split_once(':')?;
        let is_it = match reader {
            Reader::Strict => name.eq_ignore_ascii_case(wanted),
            _ => name.trim().replace('_', "-").eq_ignore_ascii_case(wanted),
        };
        is_it.then_some(value.trim())
    })
}

/// The digits that it begins with.
fn number(text: &str) -> Option<usize> {
    let text = text.trim_start_matches('+');
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

fn chunks(bytes: &[u8], reader: Reader) -> Option<&[u8]> {
    let mut rest = bytes;
    loop {
        let (size, behind) = line(rest, reader)?;
        let size = String::from_utf8_lossy(size);
        let size = size.split(';').next().unwrap_or_default().trim().trim_start_matches("0x");
        let size = usize::from_str_radix(size, 16).ok()?;
        rest = behind;
        if size == 0 {
            break;
        }
        rest = rest.get(size..)?;
        let (_, behind) = line(rest, reader)?;
        rest = behind;
    }
    loop {
        let (trailer, behind) = line(rest, reader)?;
        rest = behind;
        if trailer.is_empty() {
            return Some(rest);
        }
    }
}
