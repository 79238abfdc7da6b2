//! Loading as a whole: files, includes, defaults, inheritance, and input that is no configuration.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::any;
use proptest::prelude::prop;
use proptest::proptest;
use tempfile::TempDir;

use crate::config::Config;
use crate::config::admin::AdminListen;
use crate::config::certificate::KeySource;
use crate::config::complaint::Complaints;
use crate::config::limits::Limits;
use crate::config::load::Loaded;
use crate::config::log::LogTarget;
use crate::config::secret::Secret;
use crate::config::tls_profile::CipherSuite;
use crate::config::tls_profile::Group;
use crate::config::tls_profile::TlsVersion;
use crate::config::virtual_service::HostCheck;
use crate::config::virtual_service::NoPool;
use crate::config::virtual_service::Role;
use crate::config::virtual_service::Target;

const FAMILY: &str = "
[virtual_service.edge]
listen = ['127.0.0.1:8443']
redirect_http = ['127.0.0.1:8080']
certificates = ['site']
tls_profile = 'modern'

[virtual_service.shop]
parent = 'edge'
domains = ['Shop.Example.COM.', '*.shop.example.com']
certificates = ['site']
pool = 'site'

[certificate.site]
chain = 'certs/site.pem'

[pool.site]
endpoints = ['127.0.0.1:8080']
";

fn good(text: &str) -> Loaded {
    Config::parse("etc/main.toml", text).unwrap_or_else(|bad| panic!("{}", bad.render(false)))
}

fn bad(text: &str) -> Complaints {
    match Config::parse("etc/main.toml", text) {
        Ok(_) => panic!("this should not be a configuration:\n{text}"),
        Err(complaints) => complaints,
    }
}

fn name<T: std::str::FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| panic!("{text} is a name"))
}

fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for (file, text) in files {
        let path = directory.path().join(file);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, text).expect("a file");
    }
    directory
}

fn refused(path: &Path) -> String {
    let complaints = Config::load(path).expect_err("this should not load");
    assert!(!complaints.render(true).is_empty());
    complaints.to_string()
}

#[test]
fn what_is_left_out_has_its_default() {
    let config = good(FAMILY).config;
    assert_eq!(config.state_dir, Path::new("etc/state"));
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.admin.listen, AdminListen::Tcp(name("127.0.0.1:9901")));
    assert!(config.workers >= 1);
    let site = &config.certificates["site"];
    assert_eq!(site.chain, Path::new("etc/certs/site.pem"));
    let inside = KeySource::File { path: site.chain.clone(), passphrase: None };
    assert_eq!(site.key, inside, "the key is in the file of the chain");
    assert_eq!(config.virtual_services["edge"].target, Target::NoPool(NoPool::Close));
}

/// Ten thousand children name one parent and one pool.
#[test]
fn what_leads_to_a_table_is_the_name_that_the_table_has() {
    let config = good(FAMILY).config;
    let services = &config.virtual_services;
    let shop = &services["shop"];
    let Role::Child { parent, .. } = &shop.role else { panic!("a child") };
    let (edge, _) = services.get_key_value("edge").unwrap();
    assert!(std::ptr::eq(parent.as_str(), edge.as_str()));
    let Target::Pool(pool) = &shop.target else { panic!("a pool") };
    let (named, _) = config.pools.get_key_value(pool.as_str()).unwrap();
    assert!(std::ptr::eq(pool.as_str(), named.as_str()));
    let (certificate, _) =
        config.certificates.get_key_value(shop.certificates[0].as_str()).unwrap();
    assert!(std::ptr::eq(shop.certificates[0].as_str(), certificate.as_str()));
}

/// A reload holds nothing twice that it does not change.
#[test]
fn a_successor_has_what_is_equal_from_the_one_before() {
    let running = Arc::new(good(FAMILY).config);
    assert!(Arc::ptr_eq(&good(FAMILY).config.after(&running), &running));
    let edited = good(&FAMILY.replace("modern", "intermediate")).config;
    let successor = edited.clone().after(&running);
    assert_eq!(*successor, edited);
    let shop = |config: &Config| Arc::clone(&config.virtual_services["shop"]);
    assert!(!Arc::ptr_eq(&shop(&successor), &shop(&running)), "it inherits another profile");
    assert!(Arc::ptr_eq(&successor.certificates["site"], &running.certificates["site"]));
    assert!(Arc::ptr_eq(&successor.pools["site"], &running.pools["site"]));
}

/// VS-1, VS-3
#[test]
fn a_child_inherits_the_profile_and_its_domains_are_normalised() {
    let config = good(FAMILY).config;
    let shop = &config.virtual_services["shop"];
    assert_eq!(shop.tls_profile.as_str(), "modern");
    assert_eq!(shop.host_check, HostCheck::Strict);
    let domains = [name("shop.example.com"), name("*.shop.example.com")].into();
    assert_eq!(shop.role, Role::Child { parent: name("edge"), domains });
    assert_eq!(config.tls_profiles["modern"].versions, [TlsVersion::Tls13]);
    assert!(!config.tls_profiles.contains_key("intermediate"), "only what is in use");
}

#[test]
fn an_own_profile_starts_from_intermediate() {
    let own = "tls_profile = 'own'\nparent = 'edge'";
    let text = FAMILY.replace("parent = 'edge'", own)
        + "[tls_profile.own]\nversions = ['1.2']\ntickets = 0\n";
    let config = good(&text).config;
    let own = &config.tls_profiles["own"];
    assert_eq!(own.cipher_suites.len(), 6, "the suites of TLS 1.2");
    assert!(own.cipher_suites.iter().all(|suite| suite.version() == TlsVersion::Tls12));
    assert_eq!(own.groups[0], Group::X25519MlKem768);
    assert_eq!(own.tickets, 0);
    assert_eq!(config.tls_profiles["modern"].cipher_suites[0], CipherSuite::Tls13Aes128GcmSha256);
}

#[test]
fn logs_come_from_the_service_or_else_from_the_process() {
    let text = "[log]\napplication = 'logs/{virtual_service}.log'\nsample = 0.5\n".to_owned()
        + &FAMILY.replace("pool = 'site'", "pool = 'site'\nlog = { sample = 0 }");
    let config = good(&text).config;
    let log = |service: &str| config.virtual_services[service].log.clone();
    assert_eq!(log("shop"), LogTarget::File(Path::new("etc/logs/shop.log").into()));
    assert_eq!(log("edge"), LogTarget::File(Path::new("etc/logs/edge.log").into()));
    assert!(config.virtual_services["shop"].log_sample < 0.01);
    assert!((config.virtual_services["edge"].log_sample - 0.5).abs() < 0.01);
}

#[test]
fn the_environment_fills_in_variables() {
    let text = FAMILY.replace("certs/site.pem", "${DIR}/site.pem");
    let environment = |name: &str| (name == "DIR").then(|| "/run/certs".to_owned());
    let loaded = Config::parse_with("etc/main.toml", &text, &environment).expect("a good one");
    assert_eq!(loaded.config.certificates["site"].chain, Path::new("/run/certs/site.pem"));
    assert!(bad(&text).to_string().contains("`DIR` is not set"));
}

#[test]
fn secrets_are_named_and_never_shown() {
    let key = |passphrase: &str| {
        let key = format!("chain = 'c.pem'\nkey = {{ file = 'c.key', passphrase = {passphrase} }}");
        FAMILY.replace("chain = 'certs/site.pem'", &key)
    };
    let config = good(&key("{ env = 'PASS' }")).config;
    let KeySource::File { passphrase, .. } = &config.certificates["site"].key else {
        panic!("in a file")
    };
    assert_eq!(*passphrase, Some(Secret::Env("PASS".to_owned())));
    for leak in ["'hunter2'", "\"hunter2\"", "hunter2", "['hunter2']", "{ hunter2 }"] {
        let complaints = bad(&key(leak));
        let shown = format!("{}{}{complaints}", complaints.render(false), complaints.render(true));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn included_files_are_read_in_order_and_relative_to_themselves() {
    let services = FAMILY.split_once("[certificate.site]").expect("services come first").0;
    let directory = directory(&[
        ("main.toml", &format!("include = ['conf.d', 'extra/pool.toml']\n{services}")),
        ("conf.d/b.toml", "[certificate.site]\nchain = 'site.pem'\n"),
        ("conf.d/a.toml", "workers = 3\n"),
        ("conf.d/.hidden.toml", "nonsense"),
        ("conf.d/readme.txt", "nonsense"),
        ("extra/pool.toml", "[pool.site]\nendpoints = ['127.0.0.1:1']\n"),
    ]);
    let at = |file: &str| directory.path().join(file);
    let config = Config::load(&at("main.toml")).expect("a good one").config;
    let files = ["main.toml", "conf.d/a.toml", "conf.d/b.toml", "extra/pool.toml"].map(at);
    assert_eq!(config.files, files);
    assert_eq!(config.include_directories, [at("conf.d")]);
    assert_eq!(config.workers, 3);
    assert_eq!(config.certificates["site"].chain, at("conf.d/site.pem"));
}

#[test]
fn a_file_that_is_included_twice_is_read_once_and_the_main_file_never() {
    let text = format!("include = ['conf.d/*.toml', 'conf.d/a.toml']\n{FAMILY}");
    let directory = directory(&[("main.toml", &text), ("conf.d/a.toml", "workers = 3\n")]);
    let main = directory.path().join("main.toml");
    assert_eq!(Config::load(&main).expect("a good one").config.files.len(), 2);
    fs::write(&main, "include = ['main.toml']\n").expect("a file");
    assert!(refused(&main).contains("includes itself"));
}

#[test]
fn mistakes_of_all_files_are_told_at_once() {
    let text = format!("include = ['conf.d']\n{}", FAMILY.replace("'edge'", "'egde'"));
    let directory = directory(&[
        ("main.toml", &text),
        ("conf.d/a.toml", "workers = 0\n"),
        ("conf.d/b.toml", "[pool.site]\nendpoints = ['127.0.0.1:1']\n"),
    ]);
    let complaints = Config::load(&directory.path().join("main.toml")).expect_err("three mistakes");
    assert_eq!(complaints.errors(), 3, "{complaints}");
    let lines: Vec<String> = complaints.iter().map(|complaint| complaint.one_line()).collect();
    assert!(lines[0].contains("main.toml:10:10: the parent `egde`"), "{}", lines[0]);
    assert!(lines[2].contains("conf.d/b.toml:1:7"), "{}", lines[2]);
}

#[test]
fn what_is_not_a_text_file_is_a_complaint() {
    let directory = directory(&[("empty.toml", ""), ("nul.toml", "a = 1\0")]);
    let at = |file: &str| directory.path().join(file);
    fs::write(at("latin1.toml"), b"# caf\xe9\n").expect("a file");
    assert!(refused(directory.path()).contains("is a directory"));
    assert!(refused(&at("missing.toml")).contains("it does not exist"));
    assert!(refused(&at("empty.toml/x.toml")).contains("not a directory"));
    assert!(refused(&at("empty.toml")).contains("nothing to serve"));
    assert!(refused(&at("nul.toml")).contains("not a text file"));
    assert!(refused(&at("latin1.toml")).contains("latin1.toml:1:6: the file is not UTF-8 text"));
}

#[test]
fn a_megabyte_of_garbage_is_a_complaint_soon() {
    for unit in
        ["\u{1}\u{7f}ÿ", "[", "a=[", "{", "a.", "\"", "'''", "x = 1\n", "[[a]]\n", "= ", "\n#"]
    {
        let text = unit.repeat((1 << 20) / unit.len());
        let complaints = bad(&text);
        assert!(complaints.render(false).len() < 1 << 20, "{unit}");
    }
    let rests =
        ["include = [", "pool = [", "[tls_profile.x]\ngroups = [", "x = 1 ", "[log]\nlevel = {"];
    for (rest, unit) in rests.into_iter().zip(["1,", "{},", "'P-256',", "y", "a"]) {
        let text = format!("{rest}{}]", unit.repeat((1 << 20) / unit.len()));
        let complaints = bad(&text);
        assert!(complaints.render(false).len() < 1 << 20, "{rest}");
        assert!(complaints.to_string().len() < 1 << 20, "{rest}");
    }
}

#[test]
fn thousands_of_mistakes_are_told_and_cut_short() {
    let mut text = "[virtual_service.edge]\nlisten = ['127.0.0.1:1']\n".to_owned();
    for number in 0..5_000 {
        text.push_str(&format!(
            "[virtual_service.s{number}]\nparent = 'egde'\ndomains = ['s{number}.example']\n\
             certificates = ['cart{number}']\npool = 'p{number}'\n[pool.q{number}]\nendpoint = ''\n"
        ));
    }
    let complaints = bad(&text);
    assert!(complaints.errors() > 20_000);
    assert!(complaints.render(false).contains("... and"));
}

#[test]
fn ten_thousand_children_and_certificates_are_no_reason_to_complain() {
    let mut text = "[virtual_service.edge]\nlisten = ['127.0.0.1:1']\ncertificates = ['c0']\n\
                    [pool.site]\nendpoints = ['127.0.0.1:8080']\n"
        .to_owned();
    for number in 0..10_000 {
        text.push_str(&format!(
            "\n[virtual_service.site{number}]\nparent = \"edge\"\ndomains = [\"site{number}.example.com\", \
             \"*.site{number}.example.com\"]\ncertificates = [\"c{number}\"]\npool = \"site\"\n\
             \n[certificate.c{number}]\nchain = \"certs/c{number}.pem\"\n\
             key = {{ file = \"certs/c{number}.key\" }}\n"
        ));
    }
    assert_eq!(good(&text).config.certificates.len(), 10_000);
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        if let Err(complaints) = Config::parse("main.toml", &text) {
            complaints.render(true);
            complaints.to_string();
        }
    }

    /// A good file in which some characters are replaced comes closer to the deeper checks.
    #[test]
    fn damaged_configurations_never_panic(
        damage in prop::collection::vec((any::<prop::sample::Index>(), "[\\PC\n\"'{}\\[\\]$=.*ü]{0,4}"), 1..6),
    ) {
        let mut text = FAMILY.to_owned() + "[tls_profile.p]\nversions = ['1.2']\ngroups = ['P-256']\n";
        for (at, with) in damage {
            let characters: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
            if characters.is_empty() {
                break;
            }
            let at = *at.get(&characters);
            let width = text[at..].chars().next().map_or(0, char::len_utf8);
            text.replace_range(at..at + width, &with);
        }
        match Config::parse("main.toml", &text) {
            Ok(loaded) => drop(loaded.warnings.render(false)),
            Err(complaints) => {
                complaints.render(true);
                complaints.to_string();
            }
        }
    }
}
