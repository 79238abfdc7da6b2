//! The admin address as a client: requests to it, and Prometheus text as numbers.

use std::net::SocketAddr;

use hyper::Method;
use tokio::net::TcpStream;

use super::http::Broken;
use super::http::Http;
use super::http::Reply;
use super::http::empty;
use super::within;

/// One request to the admin address.
pub(crate) async fn ask(admin: SocketAddr, method: Method, path: &str) -> Result<Reply, Broken> {
    let connecting = within("the admin address", TcpStream::connect(admin)).await;
    let tcp = connecting.map_err(|error| Broken(error.to_string()))?;
    let mut http = Http::http1(tcp, &admin.to_string(), None).await;
    let request = http.head(method, path).body(empty()).expect("a request");
    http.send(request).await
}

/// One sample of a scrape.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) value: f64,
}

impl Sample {
    /// The value of a label; empty where it has none.
    pub(crate) fn label(&self, name: &str) -> &str {
        self.labels.iter().find(|(label, _)| label == name).map_or("", |(_, value)| value)
    }

    /// Whether it has this name and at least these labels.
    pub(crate) fn is(&self, name: &str, labels: &[(&str, &str)]) -> bool {
        self.name == name && labels.iter().all(|(label, value)| self.label(label) == *value)
    }

    /// Name and labels as one text: what makes a time series.
    pub(crate) fn series(&self) -> String {
        format!("{}{:?}", self.name, self.labels)
    }
}

/// Reads the text format; a line that is none fails the test.
pub(crate) fn samples(text: &str) -> Vec<Sample> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| sample(line).unwrap_or_else(|| panic!("not a sample: {line}"))).collect()
}

fn sample(line: &str) -> Option<Sample> {
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = match series.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}')?),
        None => (series, ""),
    };
    let mut pairs = Vec::new();
    let mut rest = labels;
    while !rest.is_empty() {
        let (label, after) = rest.split_once("=\"")?;
        let (quoted, after) = quoted(after)?;
        pairs.push((label.to_owned(), quoted));
        rest = after.strip_prefix(',').unwrap_or(after);
    }
    let value = match value {
        "+Inf" => f64::INFINITY,
        value => value.parse().ok()?,
    };
    Some(Sample { name: name.to_owned(), labels: pairs, value })
}

/// The text up to the closing quote, unescaped, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    loop {
        match characters.next()? {
            (end, '"') => return Some((value, &text[end + 1..])),
            (_, '\\') => value.push(match characters.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            (_, other) => value.push(other),
        }
    }
}
