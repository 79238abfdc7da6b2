//! `hsm list`: tokens, their keys, and who uses them.

use serde_json::Value;

use super::Desk;
use super::WRONG_PIN;
use crate::kit::Ca;
use crate::kit::Leaf;
use crate::kit::Site;
use crate::kit::portcullis;
use crate::kit::token::FaultModule;

/// HSM-5: keys with those who use them, and what should be put right; a token that is not there keeps nobody
/// else from being listed; tokens that nobody has named.
#[tokio::test]
async fn keys_are_listed_with_their_users() {
    let Some(desk) = Desk::new().await else { return };
    desk.softhsm.token("spare").await;
    desk.configure(&desk.softhsm.module.path, &["shop"]);
    desk.a.import("shop", "10", &Ca::shared().issue(&Leaf::rsa("shop.test"))).await;
    desk.generate("loose", "ec-p384").await;
    desk.b.hide();
    let json = desk.done(&["list", "--json"]).await.stdout;
    let listed: Value = serde_json::from_str(&json).unwrap();
    let [a, b] = [0, 1].map(|index| &listed["groups"][0]["members"][index]);
    assert_eq!((&a["name"], &a["state"]), (&"a".into(), &"up".into()), "{json}");
    assert_eq!((&a["token"]["label"], &a["problem"]), (&"a".into(), &Value::Null), "{json}");
    let [loose, shop] = [0, 1].map(|index| &a["keys"][index]);
    assert_eq!((&shop["label"], &shop["id"]), (&"shop".into(), &"10".into()), "{json}");
    assert_eq!((&shop["type"], &loose["type"]), (&"RSA-2048".into(), &"P-384".into()), "{json}");
    assert_eq!(shop["certificates"], Value::from(vec!["shop"]), "{json}");
    assert_eq!(shop["uri"], "pkcs11:token=a;id=%10;object=shop;type=private", "{json}");
    assert_eq!(loose["certificates"].as_array().map(Vec::len), Some(0), "{json}");
    assert_eq!(loose["problems"].as_array().map(Vec::len), Some(0), "{json}");
    assert_eq!(b["state"], "down", "{json}");
    assert!(b["problem"].as_str().is_some_and(|said| said.contains("is not there")), "{json}");
    assert_eq!(listed["other_tokens"][0]["label"], "spare", "{json}");
    let text = desk.done(&["list"]).await.stdout;
    for word in ["prod", "shop", "P-384", "is not there", "NOT IN THE CONFIGURATION", "spare"] {
        assert!(text.contains(word), "{word}: {text}");
    }
}

/// HSM-5: a key that may leave its token is worth a word.
#[tokio::test]
async fn a_key_that_can_leave_its_token_is_noticed() {
    let Some(desk) = Desk::new().await else { return };
    let make = ["--keypairgen", "--key-type", "EC:prime256v1", "--label", "shop", "--id", "10"];
    let made = desk.softhsm.module.tool("a", &[&make[..], &["--extractable"]].concat()).await;
    assert_eq!(made.code, 0, "{}", made.text());
    let text = desk.done(&["list", "--hsm", "prod"]).await.stdout;
    assert!(text.contains("it can leave the token"), "{text}");
}

/// HSM-5: the tokens of a module, with neither a configuration nor a PIN.
#[tokio::test]
async fn the_tokens_of_a_module_are_listed_without_a_login() {
    let Some(desk) = Desk::new().await else { return };
    let fault = FaultModule::before(&desk.softhsm);
    let module = fault.module.path.to_str().unwrap();
    let listed = portcullis(&desk.site, &["hsm", "list", "--module", module, "--json"]).await;
    assert_eq!(listed.code, 0, "{}", listed.text());
    let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
    let tokens = listed["other_tokens"].as_array().unwrap();
    let labels: Vec<_> = tokens.iter().filter_map(|token| token["label"].as_str()).collect();
    assert_eq!(labels, ["", "a", "b"], "one is not initialised: {listed:#}");
    assert_eq!((fault.sessions(), fault.logins()), (0, 0));
}

/// HSM-5: what is no module is named.
#[tokio::test]
async fn a_module_that_is_not_there_is_named() {
    let site = Site::new();
    let arguments = ["hsm", "list", "--module", "/nowhere/p11.so"];
    let listed = portcullis(&site, &arguments).await;
    assert_eq!(listed.code, 1, "{}", listed.text());
    assert!(listed.stderr.contains("/nowhere/p11.so"), "{}", listed.text());
}

/// HSM-6: a wrong PIN is tried once, by whichever verb.
#[tokio::test]
async fn a_wrong_pin_is_one_failed_login() {
    let Some(desk) = Desk::new().await else { return };
    desk.site.write("pin", WRONG_PIN);
    for (verb, code) in [("list", 0), ("probe", 1)] {
        let fault = FaultModule::before(&desk.softhsm);
        fault.only("a");
        desk.configure(&fault.module.path, &[]);
        let finished = desk.hsm(&[verb]).await;
        assert_eq!(finished.code, code, "{verb}: {}", finished.text());
        assert!(finished.stdout.contains("refuses the PIN"), "{verb}: {}", finished.text());
        assert_eq!(fault.logins(), 1, "{verb}");
    }
}

/// HSM-5: words of the command line that mean nothing are named, with what could be meant.
#[tokio::test]
async fn groups_and_members_that_do_not_exist_are_named() {
    let Some(desk) = Desk::new().await else { return };
    let told = ["no [hsm.prodd]", "did you mean `prod`?"];
    desk.refused(&["probe", "--hsm", "prodd"], &told).await;
    let generate = ["generate", "--hsm", "prod", "--label", "x", "--member", "nobody"];
    desk.refused(&generate, &["no member `nobody`", "`a` and `b`"]).await;
    desk.site.configure("[virtual_service.edge]\nlisten = [\"nonsense\"]\n");
    let invalid = desk.hsm(&["list"]).await;
    assert_eq!(invalid.code, 78, "{}", invalid.text());
    assert!(invalid.stderr.contains("nonsense"), "{}", invalid.text());
}
