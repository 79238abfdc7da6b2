//! `hsm csr` and `hsm self-sign`, judged by openssl.

use super::Desk;
use crate::kit::Ca;
use crate::kit::Leaf;
use crate::kit::openssl::openssl;

/// HSM-5, CERT-5: requests of keys of each kind, with everything that a subject may say.
#[tokio::test]
async fn a_request_says_what_was_asked_for() {
    let Some(desk) = Desk::new().await else { return };
    for kind in ["ec-p256", "ec-p384", "rsa-2048", "ed25519"] {
        desk.generate(kind, kind).await;
        let key = ["csr", "--hsm", "prod", "--label", kind];
        let request = desk.done(&[&key[..], &SUBJECT].concat()).await.stdout;
        let arguments = ["req", "-verify", "-noout", "-text", "-nameopt", "utf8,sep_comma_plus"];
        let judged = openssl(&desk.site, &arguments, &request).await;
        assert_eq!(judged.code, 0, "{kind}: {}", judged.text());
        assert!(judged.text().contains("verify OK"), "{kind}: {}", judged.text());
        for word in [
            "C=DE,ST=Bayern,L=München,O=Shop,OU=Web,CN=shop.test,emailAddress=web@shop.test",
            "DNS:shop.test, DNS:*.shop.test, IP Address:192.0.2.1, IP Address:2001:DB8",
        ] {
            assert!(judged.stdout.contains(word), "{word}: {}", judged.stdout);
        }
    }
}

/// CERT-5: a self-signed certificate needs a common name alone; it is valid for as long as it should be.
#[tokio::test]
async fn a_self_signed_certificate_verifies() {
    let Some(desk) = Desk::new().await else { return };
    desk.generate("shop", "ec-p256").await;
    let key = ["self-sign", "--hsm", "prod", "--label", "shop", "--common-name", "shop.test"];
    let mut serials = Vec::new();
    for (days, more) in [(90, &[][..]), (7, &["--days", "7", "--force"][..])] {
        desk.done(&[&key[..], &["--out", "shop.pem"], more].concat()).await;
        let verify = ["verify", "-x509_strict", "-CAfile", "shop.pem", "shop.pem"];
        let verified = openssl(&desk.site, &verify, "").await;
        assert_eq!(verified.code, 0, "{}", verified.text());
        let show = ["x509", "-noout", "-in", "shop.pem", "-text", "-checkhost", "shop.test"];
        let shown = openssl(&desk.site, &show, "").await;
        assert!(shown.stdout.contains("does match certificate"), "{}", shown.text());
        assert!(shown.stdout.contains("CA:FALSE"), "{}", shown.text());
        for (seconds, lasts) in [(days * DAY - 60, true), (days * DAY + 60, false)] {
            let seconds = seconds.to_string();
            let end = ["x509", "-noout", "-in", "shop.pem", "-checkend", &seconds];
            let ends = openssl(&desk.site, &end, "").await;
            assert_eq!(ends.code == 0, lasts, "{days} days: {}", ends.text());
        }
        let serial = ["x509", "-noout", "-serial", "-in", "shop.pem"];
        serials.push(openssl(&desk.site, &serial, "").await.stdout);
    }
    assert_ne!(serials[0], serials[1], "browsers refuse the same number twice");
}

/// CERT-10: a file that is there is not replaced unless that is wanted.
#[tokio::test]
async fn a_file_is_not_overwritten() {
    let Some(desk) = Desk::new().await else { return };
    desk.generate("shop", "ec-p256").await;
    desk.site.write("shop.csr", "mine");
    let csr = ["csr", "--hsm", "prod", "--label", "shop", "--common-name", "shop.test"];
    let csr = [&csr[..], &["--out", "shop.csr"]].concat();
    desk.refused(&csr, &["shop.csr is there already", "--force"]).await;
    assert_eq!(desk.site.read("shop.csr"), "mine");
    desk.done(&[&csr[..], &["--force"]].concat()).await;
    assert!(desk.site.read("shop.csr").starts_with("-----BEGIN CERTIFICATE REQUEST-----"));
}

/// HSM-3, HSM-5: the best member that has the key signs, and none where they have different ones.
#[tokio::test]
async fn the_member_that_has_the_key_signs() {
    let Some(desk) = Desk::new().await else { return };
    let csr = ["csr", "--hsm", "prod", "--label", "shop", "--common-name", "shop.test"];
    desk.refused(&csr, &["a: it has no such private key", "b: it has no such"]).await;
    let issue = |name| Ca::shared().issue(&Leaf::p256(name));
    let shop = issue("shop.test");
    desk.b.import("shop", "10", &shop).await;
    let signed = desk.done(&csr).await;
    assert!(signed.stderr.contains("signed by b"), "{}", signed.text());
    desk.a.import("shop", "10", &shop).await;
    let signed = desk.done(&csr).await;
    assert!(signed.stderr.contains("signed by a"), "{}", signed.text());
    desk.a.delete("shop").await;
    desk.a.import("shop", "11", &issue("other.test")).await;
    desk.refused(&csr, &["a and b have different keys"]).await;
}

/// CERT-5: what cannot stand in a subject is named, before any token is asked.
#[tokio::test]
async fn a_subject_that_cannot_be_is_refused() {
    let Some(desk) = Desk::new().await else { return };
    let csr = ["csr", "--hsm", "prod", "--label", "none", "--common-name", "shop.test"];
    for (flag, value, told) in [
        ("--country", "Germany", "two letters"),
        ("--email", "nobody", "e-mail address"),
        ("--organization", " ", "organization is empty"),
    ] {
        desk.refused(&[&csr[..], &[flag, value]].concat(), &[told]).await;
    }
}

const SUBJECT: [&str; 18] = [
    "--common-name",
    "shop.test",
    "--name",
    "*.shop.test",
    "--name",
    "192.0.2.1",
    "--name=2001:db8::1",
    "--organization=Shop",
    "--organizational-unit",
    "Web",
    "--country",
    "DE",
    "--state",
    "Bayern",
    "--locality",
    "München",
    "--email",
    "web@shop.test",
];

/// Seconds.
const DAY: u32 = 86_400;
