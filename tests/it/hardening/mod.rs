//! What protects the process and its keys on its own machine.

mod activation;
mod admin;
mod identity;
mod keys;
mod units;

use std::fs;

use crate::kit::Proxy;
use crate::kit::TwoSites;

/// PX-5: keys do not get into a core dump, and the process gains no privileges.
#[tokio::test]
async fn a_running_proxy_dumps_no_core_and_gains_no_privileges() {
    let street = TwoSites::start().await;
    let limits = proc_file(&street.proxy, "limits");
    let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size"));
    let core: Vec<&str> = core.expect("a limit").split_whitespace().collect();
    assert_eq!(core, ["0", "0", "bytes"]);
    assert_eq!(status_of(&street.proxy, "NoNewPrivs"), "1");
}

/// A file of `/proc/PID`.
pub(crate) fn proc_file(proxy: &Proxy, name: &str) -> String {
    let path = format!("/proc/{}/{name}", proxy.pid());
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A line of `/proc/PID/status`, its white space as single spaces.
pub(crate) fn status_of(proxy: &Proxy, field: &str) -> String {
    let status = proc_file(proxy, "status");
    let lines = status.lines().filter_map(|line| line.split_once(':'));
    let mut values = lines.filter(|(name, _)| *name == field).map(|(_, value)| value);
    let value = values.next().unwrap_or_else(|| panic!("no {field} in {status}"));
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}
