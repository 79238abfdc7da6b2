//! A member fails or hangs: its handshakes are made by another, and none is lost.

use super::Vault;
use super::WITH_STANDBY;
use crate::kit::load::Outcomes;
use crate::kit::load::beside;
use crate::kit::token::Call;

/// HSM-3: whatever the module says, no client notices; both transitions are logged and counted, and the
/// member comes back by itself, with its priority.
#[tokio::test]
async fn a_member_that_fails_is_left_out_and_taken_back() {
    let Some(vault) = Vault::start(WITH_STANDBY).await else { return };
    let load = vault.load(4, "vault.test");
    load.sees(200, 20).await;
    for (downs, code) in (1..).zip(CODES) {
        vault.fault.fail(Call::Sign, code);
        vault.member_is("a", false).await;
        load.sees(200, 20).await;
        vault.fault.mend(Call::Sign);
        vault.member_is("a", true).await;
        let before = vault.fault.signatures();
        load.sees(200, 20).await;
        assert!(vault.fault.signatures() > before, "{code:x}: the priority is kept");
        let labels = [("hsm", "prod"), ("member", "a"), ("status", "down")];
        assert_eq!(vault.metric("hsm_transitions_total", &labels).await, f64::from(downs));
    }
    assert_eq!(beside(&load.end().await, &[200]), Outcomes::new());
    assert!(vault.metric("hsm_failovers_total", &[("member", "a")]).await >= CODES.len() as f64);
    let device = [("member", "a"), ("code", "device_error")];
    assert!(vault.metric("hsm_errors_total", &device).await >= 1.0);
    for (what, level) in [("token is down", "ERROR"), ("token is up", "INFO")] {
        let is_it = |message: &serde_json::Value| {
            let text = message["message"].as_str().unwrap_or_default();
            text.starts_with(what) && message["member"] == "a" && message["level"] == level
        };
        vault.proxy.says(what, is_it).await;
    }
}

/// HSM-3: half of the time for a signature is over, and another member is asked too.
#[tokio::test]
async fn a_member_that_hangs_costs_no_handshake() {
    let Some(vault) = Vault::start(WITH_STANDBY).await else { return };
    let load = vault.load(4, "vault.test");
    load.sees(200, 20).await;
    vault.fault.hang(true);
    load.sees(200, 100).await;
    let before = vault.fault.signatures();
    load.sees(200, 100).await;
    assert!(vault.fault.signatures() <= before + 1, "whoever hangs is not asked any more");
    vault.fault.hang(false);
    load.sees(200, 20).await;
    vault.member_is("a", true).await;
    crate::kit::eventually("the better member has the work again", async || {
        let a = vault.fault.signatures();
        load.sees(200, 20).await;
        (vault.fault.signatures() >= a + 15).then_some(())
    })
    .await;
    assert_eq!(beside(&load.end().await, &[200]), Outcomes::new());
}

/// HSM-3: a key that is deleted in one member is used in the other; a member without any is down.
#[tokio::test]
async fn a_key_that_one_member_loses_is_used_in_the_other() {
    let Some(vault) = Vault::start(WITH_STANDBY).await else { return };
    let load = vault.load(2, "vault.test");
    load.sees(200, 10).await;
    vault.a.delete("vault").await;
    vault.member_is("a", false).await;
    // At once, or after a signature that failed first has taken it down.
    let is_it = |message: &serde_json::Value| {
        let text = message["message"].as_str().unwrap_or_default();
        let is_told = text == "token is down: it has no such private key"
            || text == "token cannot be used: it has no such private key";
        is_told && message["member"] == "a" && message["reason"] == "key_missing"
    };
    vault.proxy.says("the key is missing", is_it).await;
    load.sees(200, 50).await;
    vault.a.import("vault", "10", &vault.key).await;
    vault.member_is("a", true).await;
    assert_eq!(beside(&load.end().await, &[200]), Outcomes::new());
}

/// HSM-3: the slot is empty for a while.
#[tokio::test]
async fn a_token_that_is_pulled_out_and_put_back() {
    let Some(vault) = Vault::start(WITH_STANDBY).await else { return };
    let load = vault.load(4, "vault.test");
    load.sees(200, 20).await;
    for _ in 0..3 {
        vault.fault.absent(true);
        vault.member_is("a", false).await;
        load.sees(200, 20).await;
        vault.fault.absent(false);
        vault.member_is("a", true).await;
    }
    assert_eq!(beside(&load.end().await, &[200]), Outcomes::new());
}

/// Session lost, login lost, device error, device removed, general error, function failed, a vendor's own.
const CODES: [u64; 7] = [0xb3, 0x101, 0x30, 0x32, 0x05, 0x06, 0x8000_0001];
