//! The end of a process whose threads are inside a module: the module's destructors must not run then.

use std::time::Duration;

use rustix::process::Signal;

use super::ALONE;
use super::Vault;
use super::WITH_STANDBY;

/// OPS-2, HSM-4: twenty times, with signatures under way.
#[tokio::test]
async fn the_process_ends_well_under_load() {
    let Some(mut vault) = Vault::start(WITH_STANDBY).await else { return };
    vault.fault.latency(Duration::from_millis(5));
    for round in 0..20 {
        let load = vault.load(8, "vault.test");
        load.sees(200, 8).await;
        vault.proxy.signal(Signal::TERM);
        assert_eq!(vault.proxy.exit_code().await, 0, "round {round}");
        drop(load.end().await);
        vault.proxy = crate::kit::Proxy::run(&vault.site).await;
    }
}

/// OPS-2: a token that hangs does not keep the process.
#[tokio::test]
async fn the_process_ends_although_a_token_hangs() {
    let Some(mut vault) = Vault::start(ALONE).await else { return };
    vault.fault.hang(true);
    let load = vault.load(4, "vault.test");
    vault.fails("signing_timeout", 1.0).await;
    vault.proxy.signal(Signal::TERM);
    assert_eq!(vault.proxy.exit_code().await, 0);
    drop(load.end().await);
}
