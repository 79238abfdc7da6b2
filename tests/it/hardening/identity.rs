//! Started as root, the process becomes a user, and keeps nothing but the ports below 1024.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::process::Stdio;

use super::status_of;
use crate::kit::Ca;
use crate::kit::Client;
use crate::kit::Leaf;
use crate::kit::Proxy;
use crate::kit::Site;
use crate::kit::command::as_root;
use crate::kit::command::binary;
use crate::kit::portcullis;
use crate::kit::process::Process;

/// OPS-3
#[tokio::test]
async fn root_becomes_the_user_before_it_reads_a_key() {
    if !as_root() {
        return;
    }
    let site = site();
    site.give_to(NOBODY, NOBODY);
    let proxy = Proxy::start(&site, &toml("127.0.0.1:0", "user = \"nobody\"")).await;
    let four = format!("{NOBODY} {NOBODY} {NOBODY} {NOBODY}");
    assert_eq!((status_of(&proxy, "Uid"), status_of(&proxy, "Gid")), (four.clone(), four.clone()));
    assert_eq!(status_of(&proxy, "Groups"), NOBODY.to_string());
    for set in ["CapEff", "CapPrm"] {
        assert_eq!(status_of(&proxy, set), ONLY_LOW_PORTS, "{set}");
    }
    assert_eq!(status_of(&proxy, "CapInh"), "0".repeat(16));
    // Every thread: the kernel keeps who they are for each of them.
    let tasks = format!("/proc/{}/task", proxy.pid());
    for task in fs::read_dir(tasks).unwrap() {
        let status = fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        let uid = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap();
        assert_eq!(uid.split_whitespace().collect::<Vec<_>>().join(" "), four);
    }
    // What is not dumpable is root's in /proc: another process of this user cannot read the memory.
    let memory = fs::metadata(format!("/proc/{}/mem", proxy.pid())).unwrap();
    assert_eq!(memory.uid(), 0);
    assert_eq!(fs::metadata(site.path("state/ticket-secret")).unwrap().uid(), NOBODY);
    assert_eq!(proxy.client("one.test").visit().await.unwrap().body, "one");
    for metric in ["process_open_fds", "process_resident_memory_bytes"] {
        assert!(proxy.metric(metric, &[]).await > 0.0, "{metric}");
    }
}

/// OPS-3, RL-2
#[tokio::test]
async fn a_reload_can_still_open_a_port_below_1024() {
    if !as_root() {
        return;
    }
    let site = site();
    site.give_to(NOBODY, NOBODY);
    let (first, second) = (low_port(), low_port());
    let proxy = Proxy::start(&site, &toml(&first, "user = \"nobody\"")).await;
    site.configure(&toml(&format!("{first}\", \"{second}"), "user = \"nobody\""));
    site.give_to(NOBODY, NOBODY);
    proxy.reload().await;
    proxy.says("the second address", |message| message["address"] == *second).await;
    let visit = Client::to(second.parse().unwrap()).name("one.test").visit().await.unwrap();
    assert_eq!(visit.body, "one");
}

/// OPS-3
#[tokio::test]
async fn what_the_user_may_not_write_is_named_with_the_user() {
    if !as_root() {
        return;
    }
    let site = site();
    site.give_to(NOBODY, NOBODY);
    fs::create_dir(site.path("locked")).unwrap();
    let whole = toml("127.0.0.1:0", "user = \"nobody\"");
    for whole in [
        format!("state_dir = \"locked/state\"\n{whole}"),
        format!("{whole}[log]\napplication = \"locked/app.log\"\n"),
    ] {
        site.configure(&whole);
        let config = site.config();
        let refused = portcullis(&site, &["run".as_ref(), config.as_os_str()]).await;
        assert_ne!(refused.code, 0, "{}", refused.text());
        for word in ["locked", "`nobody`", "ermission denied"] {
            assert!(refused.text().contains(word), "{word}: {}", refused.text());
        }
    }
}

/// OPS-1
#[tokio::test]
async fn a_user_that_does_not_exist_is_named_by_check_and_run() {
    let site = site();
    for (keys, word) in [
        ("user = \"ldap-user\"", "number"),
        ("user = \"nobody\"\ngroup = \"ldap-group\"", "ldap-group"),
        ("user = \"4000000000\"", "group"),
        ("group = \"daemon\"", "user"),
    ] {
        site.configure(&toml("127.0.0.1:0", keys));
        let config = site.config();
        for verb in ["check", "run"] {
            let refused = portcullis(&site, &[verb.as_ref(), config.as_os_str()]).await;
            assert_eq!(refused.code, 78, "{verb}: {}", refused.text());
            assert!(refused.text().contains(word), "{word}: {}", refused.text());
        }
    }
}

/// OPS-3
#[tokio::test]
async fn who_is_not_root_can_only_be_who_they_are() {
    if !as_root() {
        return;
    }
    let site = site();
    site.configure(&toml("127.0.0.1:0", "user = \"daemon\""));
    site.give_to(NOBODY, NOBODY);
    let mut command = Command::new(binary());
    command.uid(NOBODY).gid(NOBODY).arg("run").arg(site.config());
    let mut process = Process::start(command);
    assert_eq!(process.exit_code().await, 1);
    let said = crate::kit::eventually("a message", async || {
        Some(process.stderr().join("\n")).filter(|said| said.contains("`daemon`"))
    })
    .await;
    assert!(said.contains(&NOBODY.to_string()), "{said}");

    let site = self::site();
    site.configure(&toml("127.0.0.1:0", "user = \"nobody\""));
    site.give_to(NOBODY, NOBODY);
    let mut command = Command::new(binary());
    command.uid(NOBODY).gid(NOBODY);
    let proxy = Proxy::run_by((command, Stdio::null()), &site).await;
    assert_eq!(proxy.client("one.test").visit().await.unwrap().body, "one");
    assert_eq!(status_of(&proxy, "CapEff"), "0".repeat(16));
    let memory = fs::metadata(format!("/proc/{}/mem", proxy.pid())).unwrap();
    assert_eq!(memory.uid(), 0, "not dumpable");
    assert!(proxy.metric("process_open_fds", &[]).await > 0.0);
}

/// OPS-3
#[tokio::test]
async fn root_without_a_user_is_a_warning() {
    if !as_root() {
        return;
    }
    let site = site();
    let proxy = Proxy::start(&site, &toml("127.0.0.1:0", "")).await;
    let warned = |message: &serde_json::Value| {
        message["message"].as_str().is_some_and(|text| text.starts_with("runs as root"))
    };
    assert_eq!(proxy.says("a warning", warned).await["level"], "WARN");
}

fn site() -> Site {
    let site = Site::new();
    site.certificate("c", &Ca::shared().issue(&Leaf::p256("one.test")));
    site
}

fn toml(listen: &str, process: &str) -> String {
    format!(
        "[process]\n{process}\n[virtual_service.edge]\nlisten = [\"{listen}\"]\n\
         certificates = [\"c\"]\nno_pool = {{ status = 200, body = \"one\" }}\n"
    )
}

/// Port 443 on a loopback address that no other test has.
fn low_port() -> String {
    use std::sync::atomic::AtomicU32;
    use std::sync::atomic::Ordering;
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    format!("127.{high}.{low}.{}:443", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The number of `nobody` and its group on every Linux.
const NOBODY: u32 = 65534;

/// CAP_NET_BIND_SERVICE is the tenth.
const ONLY_LOW_PORTS: &str = "0000000000000400";
