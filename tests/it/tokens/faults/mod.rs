//! Tokens that fail, hang, are slow, vanish and come back, while clients keep asking (SPEC HSM-3, HSM-4).

mod end;
mod failover;
mod isolation;
mod recovery;

use std::fmt::Write as _;

use crate::kit::Ca;
use crate::kit::Issued;
use crate::kit::Leaf;
use crate::kit::Proxy;
use crate::kit::Site;
use crate::kit::eventually;
use crate::kit::load::Load;
use crate::kit::token;
use crate::kit::token::FaultModule;
use crate::kit::token::SoftHsm;
use crate::kit::token::Token;

/// A site whose key is in tokens (`vault.test`) beside one whose key is on file (`plain.test`). The token `a`
/// is behind a module that can fail; `b` has the same key and a module of its own.
struct Vault {
    site: Site,
    key: Issued,
    a: Token,
    fault: FaultModule,
    softhsm: SoftHsm,
    proxy: Proxy,
}

/// How a [`Vault`] is configured.
#[derive(Clone, Copy)]
struct Group {
    /// Members beside `a`.
    members: &'static str,
    /// Keys of `[hsm.prod]`.
    keys: &'static str,
}

/// `a` alone, with two sessions.
const ALONE: Group = Group { members: "", keys: "sessions = 2" };

/// `a`, and `b` for when `a` is down.
const WITH_STANDBY: Group = Group {
    members: "{ token = \"b\", priority = 2, module = \"SOFTHSM\" }",
    keys: "sessions = 4",
};

impl Vault {
    /// `None`: there is no SoftHSM here, which has been said.
    async fn start(group: Group) -> Option<Self> {
        if !token::can_be_made() {
            return None;
        }
        let site = Site::new();
        let softhsm = SoftHsm::of(&site);
        let vault = Ca::shared().issue(&Leaf::p256("vault.test"));
        site.write("certs/vault.pem", &vault.chain);
        site.certificate("plain", &Ca::shared().issue(&Leaf::p256("plain.test")));
        let (a, b) = (softhsm.token("a").await, softhsm.token("b").await);
        for token in [&a, &b] {
            token.import("vault", "10", &vault).await;
        }
        let fault = FaultModule::before(&softhsm);
        fault.only("a");
        site.write("pin", token::PIN);
        let proxy = Proxy::start(&site, &configuration(group, &fault, &softhsm)).await;
        let started = Self { site, key: vault, a, fault, softhsm, proxy };
        started.member_is("a", true).await;
        Some(started)
    }

    /// Clients of a site that keep asking, each with a whole handshake.
    fn load(&self, clients: usize, name: &str) -> Load {
        Load::of(clients, &self.proxy.client(name))
    }

    async fn member_is(&self, member: &str, is_up: bool) {
        let what = format!("{member} is up: {is_up}");
        let wanted = if is_up { 1.0 } else { 0.0 };
        eventually(&what, async || {
            let labels = [("hsm", "prod"), ("member", member)];
            let up = self.proxy.metric("portcullis_hsm_member_up", &labels).await;
            (up == wanted).then_some(())
        })
        .await;
    }

    async fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.proxy.metric(&format!("portcullis_{name}"), labels).await
    }

    /// Waits until the parent has counted so many handshakes that failed for a reason.
    async fn fails(&self, reason: &str, at_least: f64) {
        eventually(&format!("{at_least} failures: {reason}"), async || {
            let labels = [("virtual_service", "edge"), ("reason", reason)];
            let count = self.metric("tls_handshake_failures_total", &labels).await;
            (count >= at_least).then_some(())
        })
        .await;
    }
}

fn configuration(group: Group, fault: &FaultModule, softhsm: &SoftHsm) -> String {
    let mut text = r#"
        [virtual_service.edge]
        listen = ["127.0.0.1:0"]
        certificates = ["plain"]
        no_pool = { status = 404 }
        [virtual_service.plain]
        parent = "edge"
        domains = ["plain.test"]
        certificates = ["plain"]
        no_pool = { status = 200 }
        [virtual_service.vault]
        parent = "edge"
        domains = ["vault.test"]
        certificates = ["vault"]
        no_pool = { status = 200 }
        [certificate.vault]
        chain = "certs/vault.pem"
        key = { hsm = "prod", label = "vault" }
    "#
    .to_owned();
    let module = fault.module.path.display();
    let Group { members, keys } = group;
    let members = members.replace("SOFTHSM", &softhsm.module.path.display().to_string());
    let _ = write!(
        text,
        "[hsm.prod]\nmodule = \"{module}\"\npin = {{ file = \"pin\" }}\nprobe_interval = \"1s\"\n{keys}\n\
         members = [{{ token = \"a\" }}, {members}]\n"
    );
    text
}
