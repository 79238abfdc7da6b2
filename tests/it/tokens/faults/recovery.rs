//! A group that is lost as a whole fails its own services with a reason, and comes back without a restart.

use super::ALONE;
use super::Vault;
use super::WITH_STANDBY;
use crate::kit::command::installed;
use crate::kit::eventually;
use crate::kit::load::Outcomes;
use crate::kit::load::beside;
use crate::kit::openssl;
use crate::kit::token::Call;
use crate::kit::token::P11Server;

/// HSM-3: its own services fail, and nobody else's; at once as soon as it is known to be lost.
#[tokio::test]
async fn a_group_that_is_lost_fails_its_own_services_alone() {
    let Some(vault) = Vault::start(ALONE).await else { return };
    let (load, others) = (vault.load(2, "vault.test"), vault.load(2, "plain.test"));
    load.sees(200, 10).await;
    for down in [Down::Absent, Down::Failing] {
        down.set(&vault, true);
        vault.member_is("a", false).await;
        load.sees(0, 20).await;
        vault.fails("signing_failed", 20.0).await;
        others.sees(200, 20).await;
        down.set(&vault, false);
        load.sees(200, 20).await;
    }
    assert_eq!(beside(&load.end().await, &[200, 0]), Outcomes::new());
    assert_eq!(beside(&others.end().await, &[200]), Outcomes::new());
}

/// HSM-3: a signature has a deadline; behind it nobody is asked any more until the member is back.
#[tokio::test]
async fn a_group_that_hangs_ends_handshakes_in_time_and_then_at_once() {
    let Some(vault) = Vault::start(ALONE).await else { return };
    vault.fault.hang(true);
    let (load, others) = (vault.load(4, "vault.test"), vault.load(2, "plain.test"));
    vault.fails("signing_timeout", 1.0).await;
    vault.member_is("a", false).await;
    vault.fails("signing_failed", 20.0).await;
    others.sees(200, 20).await;
    assert!(vault.metric("hsm_refused_total", &[("reason", "deadline")]).await >= 1.0);
    vault.fault.hang(false);
    load.sees(200, 20).await;
    assert_eq!(beside(&others.end().await, &[200]), Outcomes::new());
    drop(load.end().await);
}

/// HSM-2, HSM-3: a client of TLS 1.2 hears that the fault is ours; one of TLS 1.3 has a ServerHello by then, and sees
/// the end. Whoever comes when the group is known to be lost hears it in any version.
#[tokio::test]
async fn a_client_is_told_that_the_fault_is_ours() {
    if !installed("openssl") {
        return;
    }
    let Some(vault) = Vault::start(ALONE).await else { return };
    vault.fault.hang(true);
    let address = vault.proxy.address("edge");
    for (arguments, heard) in [
        (&["-tls1_3"][..], None),
        (&["-groups", "X448:P-256"], None),
        (&["-tls1_2"], Some(INTERNAL_ERROR)),
    ] {
        let refused = openssl::s_client(address, "vault.test", arguments).await;
        assert_eq!(refused.alert, heard, "{arguments:?} {}", refused.text);
        vault.fault.hang(false);
        vault.member_is("a", true).await;
        vault.fault.hang(true);
    }
    vault.fault.hang(false);
    vault.fault.absent(true);
    vault.member_is("a", false).await;
    for arguments in [&["-tls1_3"][..], &["-tls1_2"]] {
        let refused = openssl::s_client(address, "vault.test", arguments).await;
        assert_eq!(refused.alert, Some(INTERNAL_ERROR), "{arguments:?} {}", refused.text);
    }
}

/// HSM-2: a session that is resumed needs no token, also when there is none.
#[tokio::test]
async fn sessions_are_resumed_while_the_token_is_away() {
    let Some(vault) = Vault::start(ALONE).await else { return };
    let vault_test = || vault.proxy.client("vault.test");
    for client in [vault_test().tls13(), vault_test().tls12()] {
        let client = client.resuming();
        assert!(!client.visit().await.expect("a handshake").facts.resumed);
        vault.fault.absent(true);
        vault.member_is("a", false).await;
        assert!(client.visit().await.expect("a session").facts.resumed);
        assert!(vault_test().visit().await.is_err(), "a whole handshake needs the token");
        vault.fault.absent(false);
        vault.member_is("a", true).await;
    }
}

/// HSM-3: sessions that are lost as soon as they are there are opened again, but not in a circle.
#[tokio::test]
async fn sessions_that_do_not_last_are_opened_again_with_pauses() {
    let Some(vault) = Vault::start(ALONE).await else { return };
    let before = vault.fault.sessions();
    vault.fault.fail(Call::SessionInfo, 0xb3);
    eventually("sessions that are opened again", async || {
        (vault.fault.sessions() >= before + 6).then_some(())
    })
    .await;
    let downs = [("hsm", "prod"), ("member", "a"), ("status", "down")];
    assert!(vault.metric("hsm_transitions_total", &downs).await <= 12.0);
    vault.fault.mend(Call::SessionInfo);
    vault.load(1, "vault.test").sees(200, 5).await;
}

/// HSM-3: SoftHSM whose files go away calls its sessions good and finds them again only when it is
/// initialised anew, which nobody may do while there are sessions.
#[tokio::test]
async fn a_module_is_initialised_anew_when_none_of_its_sessions_is_left() {
    let Some(vault) = Vault::start(WITH_STANDBY).await else { return };
    let load = vault.load(2, "vault.test");
    load.sees(200, 10).await;
    let before = vault.fault.initialized();
    vault.a.hide();
    vault.member_is("a", false).await;
    load.sees(200, 20).await;
    vault.a.show();
    vault.member_is("a", true).await;
    assert!(vault.fault.initialized() > before && vault.fault.finalized() > 0);
    assert_eq!(beside(&load.end().await, &[200]), Outcomes::new());
}

/// HSM-3: a token in another process, as network tokens are: killed and started again.
#[tokio::test]
async fn a_token_in_another_process_that_dies_and_comes_back() {
    if !P11Server::can_be_started() {
        return;
    }
    let Some(vault) = Vault::start(ALONE).await else { return };
    let mut server = P11Server::start(&vault.site, &vault.a).await;
    let remote = server.module.path.display().to_string();
    let text = super::configuration(ALONE, &vault.fault, &vault.softhsm);
    let text = text.replace(&vault.fault.module.path.display().to_string(), &remote);
    drop(vault.proxy);
    let proxy = crate::kit::Proxy::start(&vault.site, &text).await;
    let load = crate::kit::load::Load::of(2, &proxy.client("vault.test"));
    for _ in 0..2 {
        load.sees(200, 10).await;
        server.kill();
        load.sees(0, 5).await;
        server.start_again().await;
    }
    load.sees(200, 10).await;
    drop(load.end().await);
}

const INTERNAL_ERROR: u8 = 80;

/// Two ways for a token to be of no use.
#[derive(Clone, Copy)]
enum Down {
    Absent,
    Failing,
}

impl Down {
    fn set(self, vault: &Vault, is_down: bool) {
        match self {
            Self::Absent => vault.fault.absent(is_down),
            Self::Failing if is_down => vault.fault.fail(Call::Sign, 0x30),
            Self::Failing => vault.fault.mend(Call::Sign),
        }
    }
}
