//! The reader of `[[virtual_service.NAME.rules]]`, and which rules can never apply.

use crate::config::complaint::Complaint;
use crate::config::header_edits;
use crate::config::http_words;
use crate::config::networks;
use crate::config::rate_limit;
use crate::config::rate_limit::RateLimit;
use crate::config::read::Field;
use crate::config::read::Table;
use crate::config::rule::HeaderEdits;
use crate::config::rule::HeaderMatch;
use crate::config::rule::Match;
use crate::config::rule::PathMatch;
use crate::config::rule::Rewrite;
use crate::config::rule::Rule;
use crate::config::rule_action::RawAction;
use crate::config::schema::Key;
use crate::config::source::Located;
use crate::config::source::Place;
use crate::config::value::Value;
use crate::names::PoolName;

/// The keys of a rule.
pub const KEYS: &[Key] = &[
    Key::absent("path", "\"/login\"", "This path alone. Paths are compared after normalisation."),
    Key::absent(
        "path_prefix",
        "\"/api\"",
        "This path and all below: /api, /api/ and /api/x, not /apiary.",
    ),
    Key::absent("methods", "[\"GET\", \"HEAD\"]", "One of these methods."),
    Key::absent(
        "headers",
        "{ x-beta = \"1\", x-debug = true }",
        "Each of these headers: with this value, or `true`: with any.",
    ),
    Key::absent("clients", "[\"10.0.0.0/8\"]", "Clients from these addresses and networks."),
    Key::absent(
        "pool",
        "\"shop\"",
        "What becomes of the request, one of: another pool. Default: as without the rule.",
    ),
    Key::absent(
        "redirect",
        "\"https://www.example.com{uri}\"",
        "The client is sent there. {host}, {path} and {uri} (path and query) stand for those of the request.",
    ),
    Key::absent(
        "status",
        "404",
        "An answer with this status, 200 to 599; with `redirect` 301, 302 (the default), 303, 307 or 308.",
    ),
    Key::absent("body", "\"gone\\n\"", "Text of the answer. Default: empty."),
    Key::absent(
        "content_type",
        "\"text/html; charset=utf-8\"",
        "Kind of the text. Default: plain text in UTF-8.",
    ),
    Key::default("strip_prefix", "false", "true: the pool sees the path without `path_prefix`."),
    Key::absent(
        "rewrite",
        "\"/v2\"",
        "The pool sees this in place of `path_prefix`, or of the whole `path`. The query stays.",
    ),
    Key::absent(
        "request_headers",
        "{ set = { x-rule = \"api\" } }",
        "Edits after those of the service; a table with",
    )
    .with(header_edits::KEYS),
    Key::absent(
        "response_headers",
        "{ set = { cache-control = \"no-store\" } }",
        "Edits after those of the service; a table with the same keys.",
    ),
    Key::absent(
        "rate_limits",
        "[{ requests = \"5/m\" }]",
        "Beside those of the service; a list of tables with",
    )
    .with(rate_limit::KEYS),
    Key::absent("request_body", "\"1MiB\"", "In place of that of the service."),
];

/// Rules before their pools are known to exist.
#[derive(Debug, Default)]
pub struct RawRules {
    /// In the order of the file.
    pub rules: Vec<Rule>,
    /// The pools that they name.
    pub pools: Vec<Located<PoolName>>,
}

impl RawRules {
    /// Reads them all.
    pub fn read(value: &Value<'_>) -> Option<Self> {
        if value.entries().is_some() {
            let help = "write two brackets, once for each rule: [[virtual_service.NAME.rules]]";
            value.wrong_type_help("a list of tables", Some(help.to_owned()));
            return None;
        }
        let mut pools = Vec::new();
        let rules = value.located_list(|entry| read(entry, &mut pools))?;
        for (index, rule) in rules.iter().enumerate() {
            let covers = |other: &&Located<Rule>| covers(&other.value.matches, &rule.value.matches);
            if let Some(first) = rules[..index].iter().find(covers) {
                complain_unreachable(value, &rule.place, first);
            }
        }
        Some(Self { rules: rules.into_iter().map(|rule| rule.value).collect(), pools })
    }
}

fn complain_unreachable(value: &Value<'_>, place: &Place, first: &Located<Rule>) {
    let label = match first.value.matches == Match::default() {
        true => "this one matches every request",
        false => "this one matches all that it would match",
    };
    let complaint = Complaint::warning(place.clone(), "this rule never applies")
        .see(first.place.clone(), label)
        .note("of all rules, the first that matches applies, and no other")
        .help("move it further up, or remove it");
    value.document().complain(complaint);
}

fn read(value: &Value<'_>, pools: &mut Vec<Located<PoolName>>) -> Option<Rule> {
    let table = Table::open(value, "a rule".to_owned(), "rules", &[KEYS])?;
    let matches = matches(&table);
    let path = matches.as_ref().and_then(|matches| matches.path.as_ref());
    let rewrite = rewrite(&table, path);
    let action = RawAction::read(&table);
    pools.extend(action.pool);
    let edits = |key| table.or(key, HeaderEdits::default(), HeaderEdits::read);
    let body = table.field("request_body", |value| value.size(0..=u64::MAX >> 1));
    let rule = Rule {
        rewrite,
        // What it matches is not known when that is past reading: all of it would be a wrong guess.
        matches: matches?,
        action: action.action,
        request_headers: edits("request_headers"),
        response_headers: edits("response_headers"),
        rate_limits: table.or("rate_limits", Vec::new(), RateLimit::read_list_of_rule),
        request_body: body.good().map(|body| body.value as u64),
    };
    if table.is_empty() {
        let help = "say which requests it is for (`path_prefix`, `methods` ..) and what becomes of them \
                    (`pool`, `redirect`, `status` ..)";
        let complaint = Complaint::warning(value.place(), "this rule says nothing");
        table.document().complain(complaint.help(help));
    }
    Some(rule)
}

fn matches(table: &Table<'_>) -> Option<Match> {
    let path = table.field("path", compared_path);
    let prefix = table.field("path_prefix", compared_path);
    if let (Some(path), Some(prefix)) = (path.place(), prefix.place()) {
        let complaint =
            Complaint::error(prefix.clone(), "`path` and `path_prefix` exclude each other")
                .see(path.clone(), "this is one path")
                .help("remove one of them, or make two rules");
        table.document().complain(complaint);
    }
    let clients = table.field("clients", networks::some_networks);
    let (methods, headers) = (table.field("methods", methods), table.field("headers", headers));
    let path = match (path, prefix) {
        (Field::Absent, Field::Absent) => None,
        (Field::Good(path), Field::Absent) => Some(PathMatch::Exact(path.value)),
        (Field::Absent, Field::Good(prefix)) => Some(PathMatch::Prefix(prefix.value)),
        _ => return None,
    };
    Some(Match {
        path,
        methods: methods.unless_bad()?.unwrap_or_default(),
        headers: headers.unless_bad()?.unwrap_or_default(),
        clients: networks::plain(&clients.unless_bad()?.unwrap_or_default()),
    })
}

fn compared_path(value: &Value<'_>) -> Option<String> {
    let path = http_words::path(value)?;
    let Some(at) = path.find(';').or_else(|| path.to_ascii_lowercase().find("%3b")) else {
        return Some(path);
    };
    let help = format!("write \"{}\"", &path[..at]);
    value.complain("paths are compared without their parameters", "", Some(help));
    None
}

fn methods(value: &Value<'_>) -> Option<Vec<String>> {
    let methods = value.list(|entry| {
        let text = entry.text()?;
        if !http_words::is_token(&text) {
            let help = "write one method for each entry: [\"GET\", \"HEAD\"]".to_owned();
            entry.complain(format!("`{text}` is not a method"), "", Some(help));
            return None;
        }
        let upper = text.to_ascii_uppercase();
        if *text != upper && METHODS.contains(&&*upper) {
            let complaint = Complaint::warning(entry.place(), format!("no client sends `{text}`"));
            let complaint = complaint.note("capital and small letters matter in methods");
            entry.document().complain(complaint.help(format!("write \"{upper}\"")));
        }
        Some(text.into_owned())
    })?;
    if methods.is_empty() {
        let help = "name at least one, or remove the key".to_owned();
        value.complain("`methods` is empty", "no request matches", Some(help));
        return None;
    }
    Some(methods)
}

fn headers(value: &Value<'_>) -> Option<Vec<(String, HeaderMatch)>> {
    let Some(entries) = value.entries() else {
        let help = "write `headers = { x-beta = \"1\", x-debug = true }`".to_owned();
        value.wrong_type_help("a table of names and values", Some(help));
        return None;
    };
    let mut headers = Vec::with_capacity(entries.len());
    let mut is_good = true;
    for (name, entry) in entries {
        let document = value.document();
        let name = http_words::field_name(document, &document.place(name.span()), name.get_ref());
        let entry = value.entry(entry);
        let wanted = if entry.is_flag() {
            if entry.flag() == Some(false) {
                let help = "put a rule for requests that have it before this one".to_owned();
                entry.complain("a rule cannot ask for a header that is not there", "", Some(help));
                None
            } else {
                Some(HeaderMatch::Present)
            }
        } else {
            http_words::field_value(&entry).map(HeaderMatch::Value)
        };
        let pair = name.zip(wanted);
        is_good &= pair.is_some();
        headers.extend(pair);
    }
    is_good.then_some(headers)
}

fn rewrite(table: &Table<'_>, path: Option<&PathMatch>) -> Option<Rewrite> {
    let strip = table.field("strip_prefix", Value::flag);
    let rewrite = table.field("rewrite", http_words::path);
    let strips = strip.good().is_some_and(|strip| strip.value);
    let complain = |place: &Place, message: &str, help: &str| {
        table.document().complain(Complaint::error(place.clone(), message).help(help));
    };
    let is_prefix =
        matches!(path, Some(PathMatch::Prefix(_))) || table.value("path_prefix").is_some();
    if let (true, false, Some(place)) = (strips, is_prefix, strip.place()) {
        let help = "add `path_prefix = \"/api\"`, or remove it";
        complain(place, "`strip_prefix` needs a `path_prefix`", help);
    }
    let has_path = is_prefix || table.value("path").is_some();
    if let (false, Some(place)) = (has_path, rewrite.place()) {
        let help = "add the `path_prefix` or the `path` in whose place it stands";
        complain(place, "`rewrite` needs a `path_prefix` or a `path`", help);
    }
    if let (true, Some(place)) = (strips, rewrite.place()) {
        let help = "remove one: `rewrite` already stands in place of the prefix";
        complain(place, "`rewrite` and `strip_prefix` exclude each other", help);
    }
    match rewrite {
        Field::Good(rewrite) => Some(Rewrite::Replace(rewrite.value)),
        Field::Absent | Field::Bad(_) => strips.then_some(Rewrite::StripPrefix),
    }
}

/// Whether a rule matches every request that another one matches.
fn covers(wide: &Match, narrow: &Match) -> bool {
    let path = match (&wide.path, &narrow.path) {
        (None, _) => true,
        (Some(PathMatch::Prefix(wide)), Some(narrow)) => {
            let (PathMatch::Exact(narrow) | PathMatch::Prefix(narrow)) = narrow;
            let below = narrow.strip_prefix(&**wide);
            below
                .is_some_and(|rest| rest.is_empty() || wide.ends_with('/') || rest.starts_with('/'))
        }
        (Some(PathMatch::Prefix(wide)), None) => wide == "/",
        (Some(PathMatch::Exact(wide)), Some(PathMatch::Exact(narrow))) => wide == narrow,
        (Some(PathMatch::Exact(_)), _) => false,
    };
    let methods = wide.methods.is_empty()
        || (!narrow.methods.is_empty()
            && narrow.methods.iter().all(|method| wide.methods.contains(method)));
    let headers = wide.headers.iter().all(|(name, wide)| {
        let of_same_name = narrow.headers.iter().filter(|(other, _)| other == name);
        of_same_name.into_iter().any(|(_, narrow)| *wide == HeaderMatch::Present || wide == narrow)
    });
    let clients = wide.clients.is_empty()
        || (!narrow.clients.is_empty()
            && narrow
                .clients
                .iter()
                .all(|narrow| wide.clients.iter().any(|wide| wide.contains(narrow))));
    path && methods && headers && clients
}

/// RFC 9110, section 9, and PATCH of RFC 5789.
const METHODS: &[&str] =
    &["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::read::testing::reads;
    use crate::config::read::testing::refuses;

    /// Whether what the first matches leaves nothing for the second.
    fn hides(first: &str, second: &str) -> bool {
        let rules = reads(&format!("[{{ {first} }}, {{ {second} }}]"), RawRules::read).rules;
        covers(&rules[0].matches, &rules[1].matches)
    }

    #[test]
    fn a_wider_rule_hides_what_comes_after_it() {
        for (first, second) in [
            ("status = 404", "path = '/a'"),
            ("path_prefix = '/'", "methods = ['GET']"),
            ("path_prefix = '/a'", "path_prefix = '/a/b'"),
            ("path_prefix = '/a'", "path = '/a'"),
            ("path_prefix = '/a/'", "path = '/a/b'"),
            ("methods = ['GET', 'HEAD']", "methods = ['HEAD'], path = '/a'"),
            ("headers = { x-a = true }", "headers = { x-a = '1', x-b = '2' }"),
            ("clients = ['10.0.0.0/8']", "clients = ['10.1.0.0/16', '10.2.3.4']"),
        ] {
            assert!(hides(first, second), "{first} | {second}");
        }
    }

    #[test]
    fn a_rule_that_leaves_something_hides_nothing() {
        for (first, second) in [
            ("path_prefix = '/a'", "path_prefix = '/ab'"),
            ("path_prefix = '/a/'", "path = '/a'"),
            ("path_prefix = '/a/b'", "path_prefix = '/a'"),
            ("path = '/a'", "path_prefix = '/a'"),
            ("methods = ['GET']", "path = '/a'"),
            ("headers = { x-a = '1' }", "headers = { x-a = true }"),
            ("clients = ['10.0.0.0/8']", "clients = ['10.1.0.0/16', '11.0.0.1']"),
        ] {
            assert!(!hides(first, second), "{first} | {second}");
        }
    }

    #[test]
    fn what_a_broken_rule_matches_is_not_guessed() {
        let told = refuses("[{ path = 'a' }, { path = '/b' }]", RawRules::read);
        assert!(!told.contains("never applies"), "{told}");
    }

    #[test]
    fn a_path_has_no_parameters() {
        for path in ["/a;v=1", "/a%3Bv"] {
            let told = refuses(&format!("[{{ path = '{path}', status = 404 }}]"), RawRules::read);
            assert!(told.contains("write \"/a\""), "{told}");
        }
    }
}
