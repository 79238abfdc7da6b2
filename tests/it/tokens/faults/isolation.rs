//! A slow token delays its own handshakes and nothing else; who waits for it is bounded.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::Group;
use super::Vault;
use crate::kit::eventually;
use crate::kit::load::Outcomes;
use crate::kit::load::beside;

/// HSM-4: signed in place, two workers would be as slow as the token for everybody.
#[tokio::test]
async fn a_slow_token_delays_neither_other_handshakes_nor_established_connections() {
    let Some(vault) = Vault::start(ONE_SESSION).await else { return };
    let mut established = vault.proxy.client("vault.test").http1().await;
    vault.fault.latency(Duration::from_millis(200));
    let slow = vault.load(16, "vault.test");
    eventually("handshakes that wait", async || {
        (vault.metric("hsm_handshakes_active", &[]).await >= 8.0).then_some(())
    })
    .await;
    let others = vault.load(2, "plain.test");
    let before = vault.fault.signatures();
    others.sees(200, 50).await;
    for _ in 0..50 {
        assert_eq!(established.get("/").await.status, 200);
    }
    let signatures = vault.fault.signatures() - before;
    assert!(signatures < 50, "{signatures} signatures of 200 ms in the time of 50 handshakes");
    assert_eq!(vault.fault.most_at_once(), 1, "as many as there are sessions");
    vault.fault.latency(Duration::ZERO);
    assert_eq!(beside(&others.end().await, &[200]), Outcomes::new());
    drop(slow.end().await);
}

/// HSM-4: a crowd is served one after the other; a signature that was made is not left waiting behind those who
/// have none yet.
#[tokio::test]
async fn whoever_has_its_signature_does_not_queue_behind_the_crowd() {
    let Some(vault) = Vault::start(ONE_SESSION).await else { return };
    vault.fault.latency(Duration::from_millis(20));
    let before = vault.fault.signatures();
    let load = vault.load(200, "vault.test");
    load.sees(200, 20).await;
    let signatures = vault.fault.signatures() - before;
    assert!(signatures <= 100, "{signatures} signatures for 20 handshakes that are finished");
    vault.fault.latency(Duration::ZERO);
    drop(load.end().await);
}

/// HSM-4: a crowd that is too large is told so in time, and the others are served meanwhile.
#[tokio::test]
async fn a_crowd_that_cannot_be_served_does_not_keep_all_from_it() {
    let Some(vault) = Vault::start(SHORT_TIME).await else { return };
    vault.fault.latency(Duration::from_millis(50));
    let load = vault.load(64, "vault.test");
    vault.fails("signing_timeout", 40.0).await;
    load.sees(200, 20).await;
    vault.fault.latency(Duration::ZERO);
    drop(load.end().await);
}

/// HSM-4: too many are refused at once, with their reason.
#[tokio::test]
async fn a_full_queue_is_told_at_once() {
    let Some(vault) = Vault::start(ONE_PLACE).await else { return };
    vault.fault.hang(true);
    let load = vault.load(12, "vault.test");
    vault.fails("signing_queue_full", 5.0).await;
    let labels = [("hsm", "prod"), ("reason", "queue_full")];
    assert!(vault.metric("hsm_refused_total", &labels).await >= 5.0);
    vault.fault.hang(false);
    load.sees(200, 10).await;
    drop(load.end().await);
}

/// HSM-4: whoever leaves before its signature has begun costs none.
#[tokio::test]
async fn clients_that_leave_while_they_wait_cost_no_signature() {
    let Some(vault) = Vault::start(ONE_SESSION).await else { return };
    vault.fault.hang(true);
    let before = vault.fault.signatures();
    let hello = vault.proxy.client("vault.test").hello();
    let mut clients = Vec::new();
    for _ in 0..30 {
        let mut client = TcpStream::connect(vault.proxy.address("edge")).await.expect("connected");
        client.write_all(&hello).await.expect("sent");
        clients.push(client);
    }
    eventually("handshakes on the lane", async || {
        (vault.metric("hsm_handshakes_active", &[]).await >= 30.0).then_some(())
    })
    .await;
    drop(clients);
    eventually("handshakes that were given up", async || {
        (vault.metric("hsm_handshakes_active", &[]).await <= 2.0).then_some(())
    })
    .await;
    vault.fault.hang(false);
    let visit =
        eventually("a handshake", async || vault.proxy.client("vault.test").visit().await.ok());
    assert_eq!(visit.await.status, 200);
    let signatures = vault.fault.signatures() - before;
    assert!(signatures <= 8, "{signatures} signatures for 30 clients that left");
}

const ONE_SESSION: Group = Group { members: "", keys: "sessions = 1\nsign_timeout = \"9s\"" };

const SHORT_TIME: Group = Group { members: "", keys: "sessions = 1\nsign_timeout = \"500ms\"" };

const ONE_PLACE: Group = Group { members: "", keys: "sessions = 1\nqueue = 1" };
