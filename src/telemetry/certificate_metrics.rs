//! Gauges of certificates, computed at the scrape from what is served then.
//!
//! The identifying labels are words of the configuration, so a renewal changes the value and not the
//! series; serial and issuer are in `_info` alone, whose old series is gone at the next scrape.

use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use crate::names::CertificateName;
use crate::telemetry::catalog::Family;
use crate::telemetry::recorder::Families;
use crate::telemetry::recorder::Recorder;

/// What a scrape needs to know of a certificate slot.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CertificateView {
    /// The name of the slot.
    pub name: CertificateName,
    /// `ec`, `rsa` or `ed25519`; empty while nothing is loaded.
    pub key_type: &'static str,
    /// Start of validity, Unix time in seconds.
    pub not_before: i64,
    /// End of validity, Unix time in seconds.
    pub not_after: i64,
    /// Common name of the subject; may be empty.
    pub common_name: String,
    /// Distinguished name of the issuer.
    pub issuer: String,
    /// Serial number in hexadecimal.
    pub serial: String,
    /// Whether the files on disk are not what is served (SPEC RL-5).
    pub served_differs: bool,
    /// Whether nothing could be loaded, so that nothing is served from this slot.
    pub broken: bool,
}

impl CertificateView {
    /// The status as one word, as in the label of `portcullis_certificate_status`.
    pub fn status(&self, now: i64) -> &'static str {
        if self.broken {
            "missing"
        } else if now < self.not_before {
            "not_yet_valid"
        } else if now > self.not_after {
            "expired"
        } else {
            "good"
        }
    }
}

/// Adds the gauges of certificates; `views` is asked at each scrape.
pub fn collect(
    recorder: &Recorder,
    views: impl Fn() -> Vec<CertificateView> + Send + Sync + 'static,
) {
    recorder.collector(move |families| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        for view in views() {
            add(families, &view, now as i64);
        }
    });
}

fn add(families: &mut Families, view: &CertificateView, now: i64) {
    let certificate = ("certificate", view.name.as_str());
    let key_type = ("key_type", view.key_type);
    let status = [certificate, ("status", view.status(now))];
    families.add(Family::CertificateStatus, &status, 1.0);
    let differs = if view.served_differs { 1.0 } else { 0.0 };
    families.add(Family::CertificateServedDiffers, &[certificate], differs);
    if view.broken {
        return;
    }
    let identity = [certificate, key_type];
    families.add(Family::CertificateNotAfter, &identity, view.not_after as f64);
    families.add(Family::CertificateNotBefore, &identity, view.not_before as f64);
    let info = [
        certificate,
        key_type,
        ("common_name", &*view.common_name),
        ("issuer", &*view.issuer),
        ("serial", &*view.serial),
    ];
    families.add(Family::CertificateInfo, &info, 1.0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::exposition::Filter;
    use crate::telemetry::recorder::tests::recorder;

    fn view() -> CertificateView {
        CertificateView {
            name: "shop_ec".parse().unwrap(),
            key_type: "ec",
            not_before: 1_700_000_000,
            not_after: 1_800_000_000,
            common_name: "shop.example.com".to_owned(),
            issuer: "CN=\"Test\" CA".to_owned(),
            serial: "0a1b".to_owned(),
            served_differs: true,
            broken: false,
        }
    }

    #[test]
    fn a_certificate_has_dates_status_drift_and_identity() {
        let recorder = recorder();
        collect(&recorder, || vec![view()]);
        let text = recorder.render(&Filter::default());
        for line in [
            "portcullis_certificate_not_after_timestamp_seconds{certificate=\"shop_ec\",key_type=\"ec\"} 1800000000",
            "portcullis_certificate_served_differs{certificate=\"shop_ec\"} 1",
            "portcullis_certificate_info{certificate=\"shop_ec\",key_type=\"ec\",common_name=\"shop.example.com\",issuer=\"CN=\\\"Test\\\" CA\",serial=\"0a1b\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }

    #[test]
    fn status_follows_the_dates_and_what_is_loaded() {
        let view = view();
        assert_eq!(view.status(1_750_000_000), "good");
        assert_eq!(view.status(1_600_000_000), "not_yet_valid");
        assert_eq!(view.status(1_800_000_001), "expired");
        assert_eq!(CertificateView { broken: true, ..view }.status(1_750_000_000), "missing");
    }

    #[test]
    fn a_slot_with_nothing_loaded_has_a_status_and_no_dates() {
        let recorder = recorder();
        collect(&recorder, || vec![CertificateView { broken: true, ..view() }]);
        let text = recorder.render(&Filter::default());
        assert!(text.contains("status=\"missing\"} 1"), "{text}");
        assert!(!text.contains("not_after"), "{text}");
    }
}
