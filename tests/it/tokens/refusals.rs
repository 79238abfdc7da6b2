//! What is wrong with a token is told before it is put in force: by `check --deep`, and by a reload, which then
//! changes nothing.

use std::fs;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use crate::kit::Ca;
use crate::kit::Leaf;
use crate::kit::Proxy;
use crate::kit::portcullis;
use crate::kit::token::FaultModule;
use crate::tokens::token_site::EDGE;
use crate::tokens::token_site::TokenSite;
use crate::tokens::token_site::child;
use crate::tokens::token_site::id_of;

/// HSM-6, RL-2: with the group, the member, the key and the cause.
#[tokio::test]
async fn whatever_is_wrong_is_told_by_a_check_and_by_a_reload() {
    let Some(safe) = Safe::start().await else { return };
    for wrong in safe.wrongs() {
        safe.site.site.configure(&safe.toml(&wrong));
        let config = safe.site.site.config();
        let check = ["check", "--deep", "--config", config.to_str().unwrap()];
        let check = portcullis(&safe.site.site, &check).await;
        assert_eq!(check.code, 78, "{}: {}", wrong.cause, check.text());
        wrong.is_told_in(&check.stderr);
        let reload = safe.proxy.try_reload().await.unwrap();
        assert_eq!(reload.status, 422, "{}: {}", wrong.cause, reload.text());
        wrong.is_told_in(&reload.text());
        safe.is_as_it_was().await;
    }
    let refused = [("result", "refused")];
    let times = safe.wrongs().len() as f64;
    assert_eq!(safe.proxy.metric("portcullis_config_reloads_total", &refused).await, times);
}

/// HSM-6: and when nothing is wrong, nothing is told, and it serves.
#[tokio::test]
async fn what_is_right_is_put_in_force() {
    let Some(safe) = Safe::start().await else { return };
    let right = safe.wrong("", |_| {});
    safe.site.site.configure(&safe.toml(&right));
    let config = safe.site.site.config();
    let check = ["check", "--deep", "--config", config.to_str().unwrap()];
    let check = portcullis(&safe.site.site, &check).await;
    assert_eq!((check.code, &*check.stderr), (0, ""), "{}", check.text());
    safe.proxy.reload().await;
    assert_eq!(safe.proxy.client("shop.test").visit().await.unwrap().body, "shop");
}

/// HSM-3, HSM-6: a member that others stand in for is no reason to refuse, and is told all the same.
#[tokio::test]
async fn a_member_without_the_key_is_a_warning_where_another_has_it() {
    let Some(safe) = Safe::start().await else { return };
    safe.site.softhsm.token("empty").await;
    let half = safe.wrong("", |wrong| wrong.members = "{ token = \"a\" }, { token = \"empty\" }");
    safe.site.site.configure(&safe.toml(&half));
    let config = safe.site.site.config();
    let check = ["check", "--deep", "--config", config.to_str().unwrap()];
    let check = portcullis(&safe.site.site, &check).await;
    assert_eq!(check.code, 0, "{}", check.text());
    let told = "warning: certificate `shop`: the member empty of the group";
    assert!(check.stderr.contains(told), "{}", check.text());
    safe.proxy.reload().await;
    assert_eq!(safe.proxy.client("shop.test").visit().await.unwrap().body, "shop");
}

/// A proxy without a group, and all that a group may lack.
struct Safe {
    /// Its module has its own view of the token: nobody has logged in there.
    fresh: FaultModule,
    proxy: Proxy,
    site: TokenSite,
}

/// A configuration of the group `prod` and the certificate `shop`, and what is told of it.
struct Wrong {
    module: String,
    pin: &'static str,
    members: &'static str,
    /// What the member is called.
    member: &'static str,
    chain: &'static str,
    label: &'static str,
    cause: &'static str,
}

impl Wrong {
    fn is_told_in(&self, text: &str) {
        let uri = format!("pkcs11:object={};type=private", self.label);
        let member = format!("{}: ", self.member);
        for word in ["`shop`", "the group prod", &*member, &*uri, self.cause] {
            assert!(text.contains(word), "{word}, for \"{}\": {text}", self.cause);
        }
    }
}

impl Safe {
    async fn start() -> Option<Self> {
        let site = TokenSite::new()?;
        let token = site.softhsm.token("a").await;
        site.issue("shop", &Leaf::p256("shop.test"), &[&token]).await;
        site.issue("other", &Leaf::p256("shop.test"), &[]).await;
        for id in [id_of("twin"), id_of("niwt")] {
            token.import("twin", &id, &Ca::shared().issue(&Leaf::p256("shop.test"))).await;
        }
        for (pin, mode) in [("wrong", 0o600), ("open", 0o644)] {
            let file = format!("secrets/{pin}");
            site.site.write(&file, "4321");
            fs::set_permissions(site.site.path(&file), Permissions::from_mode(mode)).unwrap();
        }
        site.site.write("text.so", "this is not a module");
        let fresh = FaultModule::before(&site.softhsm);
        let proxy = Proxy::start(&site.site, &format!("{EDGE}{WITHOUT_WATCHING}")).await;
        Some(Self { fresh, proxy, site })
    }

    /// Everything is right with it but for one change.
    fn wrong(&self, cause: &'static str, change: impl FnOnce(&mut Wrong)) -> Wrong {
        let mut wrong = Wrong {
            module: self.site.softhsm.module.path.display().to_string(),
            pin: "secrets/pin",
            members: "{ token = \"a\" }",
            member: "a",
            chain: "shop",
            label: "shop",
            cause,
        };
        change(&mut wrong);
        wrong
    }

    fn wrongs(&self) -> [Wrong; 10] {
        [
            self.wrong("the token is not there", |wrong| {
                (wrong.members, wrong.member) = ("{ token = \"gone\" }", "gone");
            }),
            self.wrong("the token refuses the PIN (pin_incorrect)", |wrong| {
                wrong.pin = "secrets/wrong";
                wrong.module = self.fresh.module.path.display().to_string();
            }),
            self.wrong("secrets/nowhere: ", |wrong| wrong.pin = "secrets/nowhere"),
            self.wrong("0644", |wrong| wrong.pin = "secrets/open"),
            self.wrong("it has no such private key", |wrong| wrong.label = "nobody"),
            self.wrong("2 private keys match", |wrong| wrong.label = "twin"),
            self.wrong("the key is not that of the certificate", |wrong| wrong.chain = "other"),
            self.wrong("/nowhere/at/all.so cannot be loaded", |wrong| {
                wrong.module = "/nowhere/at/all.so".to_owned();
            }),
            self.wrong("text.so cannot be loaded", |wrong| wrong.module = "./text.so".to_owned()),
            // A library, and no module.
            self.wrong("libc.so.6 cannot be loaded", |wrong| wrong.module = "libc.so.6".to_owned()),
        ]
    }

    fn toml(&self, wrong: &Wrong) -> String {
        let Wrong { module, pin, members, chain, label, .. } = wrong;
        format!(
            "{EDGE}{WITHOUT_WATCHING}{}\
             [hsm.prod]\nmodule = \"{module}\"\npin = {{ file = \"{pin}\" }}\nmembers = [{members}]\n\
             [certificate.shop]\nchain = \"certs/{chain}.pem\"\n\
             key = {{ hsm = \"prod\", label = \"{label}\" }}\n",
            child("shop", &["shop"])
        )
    }

    /// Neither the service nor a thread of the group is there, and what was served is.
    async fn is_as_it_was(&self) {
        let visit = self.proxy.client("shop.test").visit().await.unwrap();
        assert_eq!(visit.body, "edge");
        assert_eq!(self.proxy.metric("portcullis_config_generation", &[]).await, 1.0);
        let successful = "portcullis_config_last_reload_successful";
        assert_eq!(self.proxy.metric(successful, &[]).await, 0.0);
        self.proxy.threads_become("hsm-", 0).await;
    }
}

const WITHOUT_WATCHING: &str = "[watch]\nfiles = false\n";
