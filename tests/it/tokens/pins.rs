//! The PIN of a token: where it comes from, that a wrong one is tried once, and that nobody is told it.

use std::fs;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::kit::Leaf;
use crate::kit::Proxy;
use crate::kit::Visit;
use crate::kit::eventually;
use crate::kit::portcullis;
use crate::kit::token::FaultModule;
use crate::kit::token::PIN;
use crate::kit::token::Token;
use crate::tokens::token_site::EDGE;
use crate::tokens::token_site::TokenSite;
use crate::tokens::token_site::certificate;
use crate::tokens::token_site::child;

/// HSM-6: whatever the number of sessions, and however long they try: three wrong PINs lock most tokens.
#[tokio::test]
async fn a_wrong_pin_is_tried_once() {
    let Some(locked) = Locked::with("sekrit-wrong").await else { return };
    let proxy = locked.start("").await;
    proxy.metric_becomes("portcullis_hsm_pin_refused", &MEMBER, 1.0).await;
    refused(&proxy, 24.0).await;
    assert_eq!(locked.fault.logins(), 1);
    locked.site.site.replace("secrets/pin", "sekrit-wrong-too");
    let tried = async || (locked.fault.logins() == 2).then_some(());
    eventually("the second wrong PIN", tried).await;
    refused(&proxy, 8.0).await;
    assert_eq!(locked.fault.logins(), 2);
    assert_eq!(locked.token.keys().await, ["shop"], "it is not locked");
}

/// HSM-6: neither a restart nor a reload.
#[tokio::test]
async fn a_pin_that_is_corrected_brings_the_token_up() {
    let Some(locked) = Locked::with("sekrit-wrong").await else { return };
    let proxy = locked.start("").await;
    proxy.metric_becomes("portcullis_hsm_pin_refused", &MEMBER, 1.0).await;
    assert!(proxy.client("shop.test").handshake().await.is_err());
    locked.site.site.replace("secrets/pin", format!("{PIN}\n"));
    serves(&proxy).await;
    assert_eq!(proxy.metric("portcullis_hsm_pin_refused", &MEMBER).await, 0.0);
    assert_eq!(proxy.metric("portcullis_config_reloads_total", &[]).await, 0.0);
}

/// HSM-6, CERT-8: a PIN that others may read is none.
#[tokio::test]
async fn a_pin_file_that_is_put_right_is_read() {
    let Some(locked) = Locked::with(PIN).await else { return };
    let file = locked.site.site.path("secrets/pin");
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let proxy = locked.start("").await;
    let told = |message: &Value| {
        let text = message.to_string();
        text.contains("secrets/pin") && text.contains("0644")
    };
    proxy.says("who may read it", told).await;
    assert!(proxy.client("shop.test").handshake().await.is_err());
    assert_eq!(locked.fault.logins(), 0);
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    serves(&proxy).await;
}

/// HSM-6
#[tokio::test]
async fn a_pin_may_come_from_the_environment() {
    let Some(locked) = Locked::with("sekrit-wrong").await else { return };
    locked.site.site.set_variable("HSM_PIN", PIN);
    serves(&locked.start_with("{ env = \"HSM_PIN\" }", "").await).await;
}

/// HSM-6
#[tokio::test]
async fn a_pin_may_be_a_credential_of_systemd() {
    let Some(locked) = Locked::with("sekrit-wrong").await else { return };
    locked.site.site.write("credentials/hsm-pin", PIN);
    let file = locked.site.site.path("credentials/hsm-pin");
    fs::set_permissions(file, Permissions::from_mode(0o400)).unwrap();
    let directory = locked.site.site.path("credentials");
    locked.site.site.set_variable("CREDENTIALS_DIRECTORY", directory);
    serves(&locked.start_with("{ credential = \"hsm-pin\" }", "").await).await;
}

/// HSM-6, CERT-8: in no log at any level, in no answer, and in nothing that is printed.
#[tokio::test]
async fn nobody_is_told_a_pin() {
    let Some(locked) = Locked::with("sekrit-wrong").await else { return };
    let change = ["--change-pin", "--new-pin", "sekrit-right"];
    let changed = locked.site.softhsm.module.tool("a", &change).await;
    assert_eq!(changed.code, 0, "{}", changed.text());
    let debug = "[log]\napplication = \"app.log\"\nformat = \"json\"\nlevel = \"debug\"\n";
    let site = &locked.site.site;
    let proxy = locked.start(debug).await;
    proxy.metric_becomes("portcullis_hsm_pin_refused", &MEMBER, 1.0).await;
    let config = site.config();
    let check = ["check", "--deep", "--config", config.to_str().unwrap()];
    let mut said = vec![portcullis(site, &check).await.text()];
    // Another group is another attempt, which is refused.
    site.configure(&locked.toml(FILE, "sessions = 2", debug));
    let reload = proxy.try_reload().await.unwrap();
    assert_eq!(reload.status, 422, "{}", reload.text());
    said.push(reload.text());
    for path in ["/status", "/metrics"] {
        said.push(proxy.ask(path).await.text());
    }
    let [down, up] = ["the token refuses the PIN", "\"up\""];
    assert!(said.iter().filter(|text| text.contains(down)).count() == 3, "{said:#?}");
    site.replace("secrets/pin", "sekrit-right");
    serves(&proxy).await;
    for path in ["/status", "/metrics"] {
        said.push(proxy.ask(path).await.text());
    }
    assert!(said.iter().any(|text| text.contains(up)), "{said:#?}");
    said.push(portcullis(site, &check).await.text());
    said.push(portcullis(site, &["status", "--admin", &proxy.admin().to_string()]).await.text());
    said.push(site.read("app.log"));
    said.extend(proxy.stderr());
    said.extend(proxy.stdout());
    let told: Vec<_> = said.iter().filter(|text| text.contains("sekrit")).collect();
    assert!(told.is_empty(), "{told:#?}");
}

const MEMBER: [(&str, &str); 2] = [("hsm", "prod"), ("member", "a")];

const FILE: &str = "{ file = \"secrets/pin\" }";

/// `shop.test`, whose key is in a token, and something in `secrets/pin`.
struct Locked {
    token: Token,
    fault: FaultModule,
    site: TokenSite,
}

impl Locked {
    async fn with(pin: &str) -> Option<Self> {
        let site = TokenSite::new()?;
        let token = site.softhsm.token("a").await;
        site.issue("shop", &Leaf::p256("shop.test"), &[&token]).await;
        site.site.write("secrets/pin", pin);
        Some(Self { token, fault: FaultModule::before(&site.softhsm), site })
    }

    async fn start(&self, more: &str) -> Proxy {
        self.start_with(FILE, more).await
    }

    /// With the PIN from somewhere else.
    async fn start_with(&self, pin: &str, more: &str) -> Proxy {
        Proxy::start(&self.site.site, &self.toml(pin, "", more)).await
    }

    fn toml(&self, pin: &str, keys: &str, more: &str) -> String {
        let module = self.fault.module.path.display();
        format!(
            "{EDGE}[hsm.prod]\nmodule = \"{module}\"\npin = {pin}\nmembers = [{{ token = \"a\" }}]\n{keys}\n\
             {}{}{more}",
            certificate("shop", "prod"),
            child("shop", &["shop"])
        )
    }
}

/// Waits until so many more sessions were refused.
async fn refused(proxy: &Proxy, more: f64) {
    let labels = [MEMBER[0], MEMBER[1], ("code", "pin_incorrect")];
    let count = async || proxy.metric("portcullis_hsm_errors_total", &labels).await;
    let enough = count().await + more;
    let what = format!("{more} more sessions that are refused");
    eventually(&what, async || (count().await >= enough).then_some(())).await;
}

/// Waits until the token signs.
async fn serves(proxy: &Proxy) -> Visit {
    eventually("a token that signs", async || proxy.client("shop.test").visit().await.ok()).await
}
