//! What a reload would change, edit by edit.

use super::*;

const TWO_SITES: &str = r#"
    [virtual_service.edge]
    listen = ["127.0.0.1:8443"]
    certificates = ["edge"]
    no_pool = { status = 404 }
    [virtual_service.shop]
    parent = "edge"
    domains = ["shop.example.com"]
    certificates = ["shop"]
    tls_profile = "strict"
    pool = "shop"
    [certificate.edge]
    chain = "edge.pem"
    [certificate.shop]
    chain = "shop.pem"
    [tls_profile.strict]
    versions = ["1.3"]
    [pool.shop]
    endpoints = ["10.0.0.1:8080"]
"#;

fn config(text: &str) -> Config {
    match Config::parse("test.toml", text) {
        Ok(loaded) => loaded.config,
        Err(complaints) => panic!("{}", complaints.render(false)),
    }
}

fn plan(edit: (&str, &str)) -> Plan {
    assert!(TWO_SITES.contains(edit.0), "{} is not in the text", edit.0);
    let wanted = config(&TWO_SITES.replace(edit.0, edit.1));
    Plan::new(Some(&config(TWO_SITES)), &wanted, &ChangedFiles::default())
}

fn names<K: fmt::Display>(set: &BTreeSet<K>) -> Vec<String> {
    set.iter().map(K::to_string).collect()
}

#[test]
fn the_start_adds_everything() {
    let plan = Plan::new(None, &config(TWO_SITES), &ChangedFiles::default());
    assert_eq!(names(&plan.virtual_services.added), ["edge", "shop"]);
    assert_eq!(names(&plan.sockets.added), ["127.0.0.1:8443"]);
    assert!(!plan.is_empty());
}

#[test]
fn the_same_text_and_other_white_space_change_nothing() {
    assert!(plan(("edge.pem", "edge.pem")).is_empty());
    assert!(plan(("    ", "")).is_empty());
}

#[test]
fn an_edited_pool_leaves_its_service_alone() {
    let plan = plan(("10.0.0.1", "10.0.0.2"));
    assert_eq!(names(&plan.pools.replaced), ["shop"]);
    assert!(plan.virtual_services.is_empty());
}

#[test]
fn an_edited_certificate_leaves_its_service_alone() {
    let plan = plan(("shop.pem", "other.pem"));
    assert_eq!(names(&plan.certificates.replaced), ["shop"]);
    assert!(plan.virtual_services.is_empty());
}

#[test]
fn an_edited_group_of_tokens_has_its_certificates_loaded_anew_and_leaves_services_alone() {
    let text =
        TWO_SITES.replace("shop.pem\"", "shop.pem\"\nkey = { hsm = \"prod\", label = \"shop\" }");
    let text = text
        + "[hsm.prod]\nmodule = \"m.so\"\npin = { env = \"PIN\" }\nmembers = [{ token = \"a\" }]\n";
    let edited = config(&text.replace("[hsm.prod]", "[hsm.prod]\nsessions = 3"));
    let plan = Plan::new(Some(&config(&text)), &edited, &ChangedFiles::default());
    assert_eq!(names(&plan.hsms.replaced), ["prod"]);
    assert_eq!(names(&plan.certificates.replaced), ["shop"]);
    assert!(plan.virtual_services.is_empty() && plan.next_start.is_empty());
    let same = Plan::new(Some(&config(&text)), &config(&text), &ChangedFiles::default());
    assert!(same.is_empty(), "no reload logs in again");
}

#[test]
fn an_edited_profile_replaces_the_services_that_use_it() {
    let plan = plan((r#"["1.3"]"#, r#"["1.2", "1.3"]"#));
    assert_eq!(names(&plan.tls_profiles.replaced), ["strict"]);
    assert_eq!(names(&plan.virtual_services.replaced), ["shop"]);
}

#[test]
fn a_changed_ca_file_replaces_the_services_of_its_profile() {
    let changed = ChangedFiles {
        tls_profiles: BTreeSet::from(["strict".parse().unwrap()]),
        pools: BTreeSet::from(["shop".parse().unwrap()]),
        ..ChangedFiles::default()
    };
    let same = config(TWO_SITES);
    let plan = Plan::new(Some(&same), &same, &changed);
    assert_eq!(names(&plan.virtual_services.replaced), ["shop"]);
    assert_eq!(names(&plan.pools.replaced), ["shop"]);
}

#[test]
fn a_changed_error_page_replaces_its_service_alone() {
    let virtual_services = BTreeSet::from(["shop".parse().unwrap()]);
    let changed = ChangedFiles { virtual_services, ..ChangedFiles::default() };
    let same = config(TWO_SITES);
    let plan = Plan::new(Some(&same), &same, &changed);
    assert_eq!(names(&plan.virtual_services.replaced), ["shop"]);
    assert!(plan.pools.is_empty() && plan.tls_profiles.is_empty());
}

#[test]
fn other_servers_for_names_are_a_change_at_once() {
    let plan = plan(("[pool.shop]", "[dns]\nservers = ['10.0.0.2']\n[pool.shop]"));
    assert!(!plan.dns_unchanged && !plan.is_empty());
    assert!(plan.pools.is_empty() && plan.next_start.is_empty());
}

#[test]
fn a_moved_address_opens_one_socket_and_closes_the_other() {
    let plan = plan((":8443", ":9443"));
    assert_eq!(names(&plan.sockets.added), ["127.0.0.1:9443"]);
    assert_eq!(names(&plan.sockets.removed), ["127.0.0.1:8443"]);
    assert_eq!(names(&plan.virtual_services.replaced), ["edge"]);
}

#[test]
fn a_new_child_is_the_only_change() {
    let more = r#"[virtual_service.blog]
        parent = "edge"
        domains = ["blog.example.com"]
        certificates = ["edge"]
        pool = "shop"
        [certificate.edge]"#;
    let plan = plan(("[certificate.edge]", more));
    assert_eq!(names(&plan.virtual_services.added), ["blog"]);
    assert!(plan.virtual_services.replaced.is_empty() && plan.certificates.is_empty());
}

#[test]
fn what_needs_a_new_start_is_named() {
    let plan = plan(("[virtual_service.edge]", "workers = 7\n[virtual_service.edge]"));
    assert_eq!(plan.next_start, ["workers"]);
    assert!(plan.virtual_services.is_empty());
}
