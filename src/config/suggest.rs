//! "Did you mean": what an operator probably wanted to write.

use crate::config::schema::Key;
use crate::config::schema::RULE;
use crate::config::schema::TABLES;
use crate::config::schema::TOP;

/// The candidate that looks most like a word, if one looks like it at all.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > MAX_WORD {
        return None;
    }
    let word = comparable(word);
    let allowed = (word.len() / 3).max(1);
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let limit = best.map_or(allowed, |(distance, _)| distance.saturating_sub(1));
        if candidate.len() > MAX_WORD || candidate.len().abs_diff(word.len()) > limit {
            continue;
        }
        let distance = strsim::osa_distance(&word, &comparable(candidate));
        if distance <= limit {
            best = Some((distance, candidate));
            if distance == 0 {
                break;
            }
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// "did you mean `edge`?"
pub fn did_you_mean<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    nearest(word, candidates).map(|candidate| format!("did you mean `{candidate}`?"))
}

/// What to do about a key that does not exist in a table that has `known` keys.
pub fn for_key(key: &str, table: &str, known: &[&str]) -> Option<String> {
    if let Some((_, why)) = LATER.iter().find(|(later, _)| *later == key) {
        return Some(format!("`{key}` is not in this version: {why}"));
    }
    if key.to_ascii_lowercase().contains("pass") && table == "certificate" {
        return Some(format!("the passphrase belongs to the key: {PASSPHRASE}"));
    }
    if matches!(key, "hsm" | "label" | "pkcs11") && table == "certificate" {
        return Some(format!("`{key}` belongs to the key: {IN_A_TOKEN}"));
    }
    if let Some(help) = did_you_mean(key, known.iter().copied()) {
        return Some(help);
    }
    let lower = key.to_ascii_lowercase();
    let meant = ELSEWHERE.iter().filter(|(other, _)| *other == lower);
    if let Some((_, word)) = meant.into_iter().find(|(_, word)| known.contains(word)) {
        return Some(format!("did you mean `{word}`?"));
    }
    belongs(key, table).or_else(|| listing(known))
}

/// "`sample` belongs in [log]": the commonest slip in TOML is a key below the wrong header.
fn belongs(key: &str, table: &str) -> Option<String> {
    if TOP.iter().any(|top| top.name == key) || TABLES.iter().any(|other| other.word == key) {
        return Some(format!(
            "move `{key}` to the top of the file: a key belongs to the [table] above it"
        ));
    }
    if table == "virtual_service"
        && RULE.keys.iter().copied().flatten().any(|rule| rule.name == key)
    {
        return Some(format!("`{key}` belongs in a {}", rule_header()));
    }
    let has_key = |keys: &[&[Key]]| keys.iter().copied().flatten().any(|other| other.name == key);
    let home = TABLES.iter().find(|other| other.word != table && has_key(other.keys))?;
    if home.example.is_empty() {
        Some(format!("`{key}` belongs in [{}]", home.word))
    } else {
        Some(format!("`{key}` belongs in a [{}.NAME]", home.word))
    }
}

fn rule_header() -> String {
    RULE.example.replace("shop", "NAME")
}

fn listing(known: &[&str]) -> Option<String> {
    if known.is_empty() || known.len() > MAX_LISTED {
        return None;
    }
    Some(format!("the keys here are {}", listed(known)))
}

/// "`a`, `b` and `c`".
pub fn listed(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

fn comparable(word: &str) -> String {
    word.to_ascii_lowercase().replace('-', "_")
}

const PASSPHRASE: &str =
    "`key = { file = \"certs/shop.key\", passphrase = { file = \"secrets/shop\" } }`";

const IN_A_TOKEN: &str = "`key = { hsm = \"prod\", label = \"shop-ec\" }`";

/// What is known to come, so that nobody looks for a typing mistake.
const LATER: &[(&str, &str)] = &[("acme", "certificates come from files")];

/// Words of other proxies, and ours for them.
const ELSEWHERE: &[(&str, &str)] = &[
    ("access", "allow"),
    ("address", "listen"),
    ("addresses", "listen"),
    ("algorithm", "balance"),
    ("backend", "pool"),
    ("bind", "listen"),
    ("blacklist", "deny"),
    ("block", "deny"),
    ("body_size", "request_body"),
    ("ca_file", "ca"),
    ("cert", "certificates"),
    ("cert", "chain"),
    ("cert_file", "chain"),
    ("certificate", "certificates"),
    ("certificate", "chain"),
    ("check", "health"),
    ("ciphers", "cipher_suites"),
    ("ciphersuites", "cipher_suites"),
    ("client_auth", "client_certificate"),
    ("client_max_body_size", "request_body"),
    ("cookie", "sticky"),
    ("crt", "chain"),
    ("curves", "groups"),
    ("error_page", "error_pages"),
    ("errorfile", "error_pages"),
    ("file", "chain"),
    ("forwarded_headers", "forwarded"),
    ("fullchain", "chain"),
    ("header", "headers"),
    ("health_check", "health"),
    ("healthcheck", "health"),
    ("host", "domains"),
    ("hostname", "domains"),
    ("hostnames", "domains"),
    ("hosts", "domains"),
    ("ip", "clients"),
    ("key_file", "key"),
    ("lb", "balance"),
    ("lb_policy", "balance"),
    ("library", "module"),
    ("limit_req", "rate_limits"),
    ("limits", "rate_limits"),
    ("location", "redirect"),
    ("locations", "rules"),
    ("max_connections", "limit"),
    ("maxconn", "limit"),
    ("members", "endpoints"),
    ("method", "methods"),
    ("min_version", "versions"),
    ("name", "domains"),
    ("nameservers", "servers"),
    ("object", "label"),
    ("outlier_detection", "ejection"),
    ("path", "file"),
    ("persistence", "sticky"),
    ("port", "listen"),
    ("partition", "token"),
    ("prefix", "path_prefix"),
    ("private_key", "key"),
    ("profile", "tls_profile"),
    ("protocols", "versions"),
    ("provider", "module"),
    ("proxy_pass", "pool"),
    ("queue", "limit"),
    ("rate_limit", "rate_limits"),
    ("real_ip", "trusted_proxies"),
    ("resolvers", "servers"),
    ("return", "status"),
    ("routes", "rules"),
    ("send_proxy", "proxy_protocol"),
    ("session_persistence", "sticky"),
    ("set_real_ip_from", "trusted_proxies"),
    ("slowstart", "slow_start"),
    ("stickiness", "sticky"),
    ("server", "endpoints"),
    ("server_name", "domains"),
    ("server_names", "domains"),
    ("servers", "endpoints"),
    ("sni", "domains"),
    ("sni", "server_name"),
    ("ssl_certificate", "certificates"),
    ("ssl_ciphers", "cipher_suites"),
    ("ssl_ecdh_curve", "groups"),
    ("ssl_profile", "tls_profile"),
    ("ssl_protocols", "versions"),
    ("targets", "endpoints"),
    ("threads", "sessions"),
    ("threads", "workers"),
    ("timeout", "connect_timeout"),
    ("timeout", "sign_timeout"),
    ("tls", "tls_profile"),
    ("token_label", "token"),
    ("tokens", "members"),
    ("upstream", "pool"),
    ("uri", "pkcs11"),
    ("upstreams", "endpoints"),
    ("url", "endpoints"),
    ("user_pin", "pin"),
    ("weight", "priority"),
    ("whitelist", "allow"),
    ("worker_processes", "workers"),
];

/// Longer words are not typing mistakes, and comparing them would cost time.
const MAX_WORD: usize = 80;

/// More keys than these say nothing at a glance.
const MAX_LISTED: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found_and_strangers_are_not() {
        assert_eq!(nearest("egde", ["shop", "edge"]), Some("edge"));
        assert_eq!(
            nearest("least-requests", ["round_robin", "least_requests"]),
            Some("least_requests")
        );
        assert_eq!(nearest("zebra", ["shop", "edge"]), None);
    }

    #[test]
    fn words_of_other_proxies_lead_to_ours() {
        assert_eq!(
            for_key("ssl_protocols", "tls_profile", &["versions"]).as_deref(),
            Some("did you mean `versions`?")
        );
    }

    #[test]
    fn a_key_below_the_wrong_header_is_sent_home() {
        assert_eq!(
            for_key("sample", "admin", &["listen"]).as_deref(),
            Some("`sample` belongs in [log]")
        );
        assert!(for_key("workers", "admin", &["listen"]).is_some_and(|help| help.contains("top")));
    }
}
