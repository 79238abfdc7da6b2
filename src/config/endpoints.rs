//! `endpoints = [..]` of a pool.

use std::collections::HashMap;
use std::path::Path;

use crate::config::complaint::Complaint;
use crate::config::pool::Endpoint;
use crate::config::read::Table;
use crate::config::schema::Key;
use crate::config::source::Located;
use crate::config::value::Value;
use crate::names::EndpointAddr;

/// The keys of an endpoint, where it is a table.
pub const KEYS: &[Key] = &[
    Key::needed(
        "address",
        "\"10.0.0.1:8080\"",
        "address or name, and port; or the path of a socket: \"unix:/run/app.sock\"",
    ),
    Key::default("weight", "1", "its share, 0 to 1000; 0 drains it"),
];

/// Reads the list.
pub fn endpoints(value: &Value<'_>) -> Option<Vec<Endpoint>> {
    let endpoints = value.located_list(endpoint)?;
    if endpoints.is_empty() {
        let help = "name at least one, such as [\"10.0.0.1:8080\"]".to_owned();
        value.complain("a pool needs at least one endpoint", "nothing here", Some(help));
        return None;
    }
    let mut seen = HashMap::with_capacity(endpoints.len());
    for Located { value: endpoint, place } in &endpoints {
        if let Some(first) = seen.insert(endpoint.address.clone(), place) {
            let message = format!("the endpoint `{}` is named twice", endpoint.address);
            let complaint = Complaint::error(place.clone(), message).label("again");
            let complaint = complaint.see(first.clone(), "first here");
            value.document().complain(complaint.help("remove one"));
        }
    }
    if endpoints.iter().all(|endpoint| endpoint.value.weight == 0) {
        let message = "every endpoint of this pool has weight 0";
        let complaint = Complaint::warning(value.place(), message)
            .note("weight 0 drains an endpoint: only clients that are bound to it still reach it")
            .help("give at least one of them a weight from 1 to 1000");
        value.document().complain(complaint);
    }
    Some(endpoints.into_iter().map(|endpoint| endpoint.value).collect())
}

fn endpoint(value: &Value<'_>) -> Option<Endpoint> {
    if value.entries().is_none() {
        return address(value).map(|address| Endpoint { address, weight: 1 });
    }
    let table = Table::open(value, "an endpoint".to_owned(), "endpoint", &[KEYS])?;
    let weight = table.or("weight", 1, |value| value.integer(0..=1000)) as u32;
    let address = table.needed(&KEYS[0], address).good()?.value.clone();
    Some(Endpoint { address, weight })
}

fn address(value: &Value<'_>) -> Option<EndpointAddr> {
    value.parse("an endpoint", |text| {
        if let Some(path) = text.strip_prefix("unix:") {
            return Some(socket_help(value, path));
        }
        if let Some((scheme, rest)) = text.split_once("://") {
            let bare = rest.split('/').next().unwrap_or(rest);
            let tls = if scheme == "https" { "; for TLS add `tls = {}` to the pool" } else { "" };
            return Some(format!("write only the address and the port: \"{bare}\"{tls}"));
        }
        if text.starts_with('/') {
            return Some(format!("a socket in the file system is \"unix:{text}\""));
        }
        let has_port = text.rsplit_once(':').is_some_and(|(_, port)| !port.is_empty());
        (!has_port).then(|| format!("add the port: \"{}:8080\"", text.trim_end_matches(':')))
    })
}

/// What to write for a socket whose path cannot be used.
fn socket_help(value: &Value<'_>, path: &str) -> String {
    if path.starts_with('@') {
        return "abstract sockets have no permissions and are not used: let the application listen on \
                a path, such as \"unix:/run/app.sock\""
            .to_owned();
    }
    if path.starts_with('/') || path.is_empty() || path.contains('\0') {
        return "write the whole path of the socket: \"unix:/run/app.sock\"".to_owned();
    }
    let directory = &value.document().directory;
    let here = if directory.is_absolute() { directory } else { Path::new("/run") };
    let path = path.trim_start_matches("./");
    format!("write the whole path: \"unix:{}\"", here.join(path).display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::read::testing::reads;
    use crate::config::read::testing::refuses;

    #[test]
    fn endpoints_are_addresses_names_sockets_and_tables() {
        let list = "['10.0.0.1:80', { address = 'app:80', weight = 2 }, 'unix:/run/a.sock']";
        let read = reads(list, endpoints);
        let addresses: Vec<String> = read.iter().map(|one| one.address.to_string()).collect();
        assert_eq!(addresses, ["10.0.0.1:80", "app:80", "unix:/run/a.sock"]);
        assert_eq!(read.iter().map(|one| one.weight).collect::<Vec<_>>(), [1, 2, 1]);
    }

    #[test]
    fn sockets_need_a_whole_path() {
        let wrong = [
            ("unix:app.sock", "\"unix:/run/app.sock\""),
            ("unix:./app.sock", "\"unix:/run/app.sock\""),
            ("unix:", "\"unix:/run/app.sock\""),
            ("unix:/", "whole path"),
            ("unix:@app", "abstract"),
            ("/run/app.sock", "\"unix:/run/app.sock\""),
        ];
        for (text, told) in wrong {
            let complaints = refuses(&format!("['{text}']"), endpoints);
            assert!(complaints.contains(told), "{text}: {complaints}");
        }
        refuses("['unix:/run/a.sock', 'unix:///run//a.sock']", endpoints);
    }

    #[test]
    fn weights_are_0_to_1000() {
        refuses("[{ address = 'a:1', weight = 1001 }]", endpoints);
        refuses("[{ address = 'a:1', weight = -1 }]", endpoints);
        refuses("[{ weight = 1 }]", endpoints);
    }
}
