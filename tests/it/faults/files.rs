//! Broken files, reloaded again and again.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::ENOUGH;
use super::load;
use crate::kit::Ca;
use crate::kit::Issued;
use crate::kit::Leaf;
use crate::kit::TwoSites;
use crate::kit::load::Outcomes;
use crate::kit::load::beside;
use crate::kit::site::CONFIG;

/// RL-1, RL-3: whatever is broken, the old state serves every request, and every failure is counted.
#[tokio::test]
async fn broken_files_are_reloaded_and_no_request_fails() {
    let street = TwoSites::with("[watch]\nfiles = false").await;
    let (shop, blog) = (load(&street, "shop.test"), load(&street, "blog.test"));
    for _ in 0..ROUNDS {
        refuses_a_broken_configuration(&street).await;
        for broken in Broken::ALL {
            broken.put(&street);
            let report = street.proxy.try_reload().await.unwrap();
            assert!(report.text().contains("blog_ec"), "{broken:?}: {}", report.text());
            let session = street.client("blog.test").handshake().await.unwrap();
            assert!(session.facts.served(&street.blog_ec), "{broken:?}");
        }
        mend(&street, &street.blog_ec);
        street.proxy.reload().await;
        shop.sees(200, ENOUGH).await;
        blog.sees(200, ENOUGH).await;
    }
    let labels = [("result", "refused")];
    let refused = street.proxy.metric("portcullis_config_reloads_total", &labels).await;
    assert_eq!(refused, ROUNDS as f64);
    let labels = [("certificate", "blog_ec"), ("result", "refused")];
    let refused = street.proxy.metric("portcullis_certificate_reloads_total", &labels).await;
    assert_eq!(refused, (ROUNDS * Broken::ALL.len()) as f64);

    let next = Ca::shared().issue(&Leaf::p256("blog.test"));
    mend(&street, &next);
    street.proxy.reload().await;
    assert!(street.client("blog.test").handshake().await.unwrap().facts.served(&next));
    assert_eq!(beside(&shop.end().await, &[200]), Outcomes::new());
    assert_eq!(beside(&blog.end().await, &[200]), Outcomes::new());
}

/// Leaves the configuration as it was.
pub(super) async fn refuses_a_broken_configuration(street: &TwoSites) {
    let whole = street.site.read(CONFIG);
    street.site.replace(CONFIG, &whole[..whole.len() / 2]);
    let refused = street.proxy.try_reload().await.unwrap();
    assert_eq!(refused.status, 422, "{}", refused.text());
    street.site.replace(CONFIG, whole);
}

/// What can be wrong with the files of a certificate.
#[derive(Clone, Copy, Debug)]
pub(super) enum Broken {
    Deleted,
    Mismatching,
    ReadableByAll,
    Truncated,
}

impl Broken {
    pub(super) const ALL: [Self; 4] =
        [Self::Deleted, Self::Mismatching, Self::ReadableByAll, Self::Truncated];

    /// Breaks `blog_ec`.
    pub(super) fn put(self, street: &TwoSites) {
        mend(street, &street.blog_ec);
        let key = street.site.path(KEY);
        match self {
            Self::Deleted => fs::remove_file(key).unwrap(),
            Self::Mismatching => street.site.replace(KEY, &street.edge_ec.key),
            Self::ReadableByAll => {
                fs::set_permissions(key, fs::Permissions::from_mode(0o644)).unwrap();
            }
            Self::Truncated => {
                let chain = &street.blog_ec.chain;
                street.site.replace("certs/blog_ec.pem", &chain[..chain.len() / 2]);
            }
        }
    }
}

/// Puts whole files in place.
pub(super) fn mend(street: &TwoSites, issued: &Issued) {
    street.site.renew("blog_ec", issued);
}

const ROUNDS: usize = 3;

const KEY: &str = "certs/blog_ec.key";
