//! `hsm probe`: whether the keys of the configuration sign, and how fast.

use serde_json::Value;

use super::Desk;
use crate::kit::Ca;
use crate::kit::Leaf;
use crate::kit::command::Finished;
use crate::kit::token::FaultModule;

/// HSM-6: every key proves itself at every member and is measured, with the sessions of the configuration.
#[tokio::test]
async fn keys_that_sign_are_measured() {
    let Some(desk) = Desk::new().await else { return };
    let fault = FaultModule::before(&desk.softhsm);
    put_in_place(&desk, &fault).await;
    let probed = probe(&desk).await;
    assert_eq!(probed.code, 0, "{}", probed.text());
    let rows = rows(&probed);
    assert_eq!(rows.len(), 2, "{}", probed.stdout);
    for (row, member) in rows.iter().zip(["a", "b"]) {
        assert_eq!((&row["member"], &row["certificate"]), (&member.into(), &"shop".into()));
        assert!(row["signatures_per_second"].as_f64().is_some_and(|rate| rate > 1.0), "{row:#}");
        assert!(row["p50_seconds"].as_f64() <= row["p99_seconds"].as_f64(), "{row:#}");
        assert_eq!((&row["sessions"], &row["problem"]), (&2.into(), &Value::Null));
    }
    assert_eq!((fault.sessions(), fault.most_at_once()), (4, 2));
    assert_eq!(fault.finalized(), 1, "nothing is left open");
}

/// HSM-6: a member without the key, one with another key, and one that is not there, each with its sentence.
#[tokio::test]
async fn what_does_not_sign_is_told() {
    let Some(desk) = Desk::new().await else { return };
    let fault = FaultModule::before(&desk.softhsm);
    put_in_place(&desk, &fault).await;
    desk.b.delete("shop").await;
    let told = |probed: &Finished, index: usize| {
        assert_eq!(probed.code, 1, "{}", probed.text());
        rows(probed)[index]["problem"].as_str().unwrap_or_default().to_owned()
    };
    let missing = probe(&desk).await;
    assert!(told(&missing, 1).contains("no such private key"), "{}", missing.stdout);
    assert!(told(&missing, 0).is_empty(), "{}", missing.stdout);
    desk.b.import("shop", "11", &Ca::shared().issue(&Leaf::p256("other.test"))).await;
    let other = probe(&desk).await;
    assert!(told(&other, 1).contains("not that of the certificate"), "{}", other.stdout);
    desk.b.hide();
    let absent = probe(&desk).await;
    assert!(told(&absent, 1).contains("is not there"), "{}", absent.stdout);
    desk.site.write("certs/shop.pem", "nothing");
    let unreadable = probe(&desk).await;
    assert!(told(&unreadable, 0).contains("certs/shop.pem"), "{}", unreadable.stdout);
}

/// HSM-3: a module that hangs keeps neither the others from being probed nor the process from its end.
#[tokio::test]
async fn a_member_that_hangs_is_left_behind() {
    let Some(desk) = Desk::new().await else { return };
    let fault = FaultModule::before(&desk.softhsm);
    put_in_place(&desk, &fault).await;
    fault.only("a");
    fault.hang(true);
    let probed = probe(&desk).await;
    assert_eq!(probed.code, 1, "{}", probed.text());
    let rows = rows(&probed);
    assert_eq!(rows[0]["problem"], "the token did not answer in time", "{}", probed.stdout);
    assert_eq!(rows[1]["problem"], Value::Null, "{}", probed.stdout);
}

/// Both members have the key of a certificate.
async fn put_in_place(desk: &Desk, fault: &FaultModule) {
    let issued = Ca::shared().issue(&Leaf::p256("shop.test"));
    desk.site.write("certs/shop.pem", &issued.chain);
    desk.configure(&fault.module.path, &["shop"]);
    for token in [&desk.a, &desk.b] {
        token.import("shop", "10", &issued).await;
    }
}

async fn probe(desk: &Desk) -> Finished {
    desk.hsm(&["probe", "--seconds", "1", "--json"]).await
}

fn rows(probed: &Finished) -> Vec<Value> {
    serde_json::from_str(&probed.stdout).unwrap()
}
