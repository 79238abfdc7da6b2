//! The names of cipher suites, and why some of them do not exist here.

use crate::config::suggest;
use crate::config::tls_profile::CipherSuite;
use crate::config::tls_profile::TlsVersion;

impl CipherSuite {
    /// All suites, in the order of preference of the built-in profiles.
    pub const ALL: &[Self] = &[
        Self::Tls13Aes128GcmSha256,
        Self::Tls13Aes256GcmSha384,
        Self::Tls13Chacha20Poly1305Sha256,
        Self::EcdheEcdsaAes128GcmSha256,
        Self::EcdheRsaAes128GcmSha256,
        Self::EcdheEcdsaAes256GcmSha384,
        Self::EcdheRsaAes256GcmSha384,
        Self::EcdheEcdsaChacha20Poly1305,
        Self::EcdheRsaChacha20Poly1305,
    ];

    /// The name in the IANA registry.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tls13Aes128GcmSha256 => "TLS_AES_128_GCM_SHA256",
            Self::Tls13Aes256GcmSha384 => "TLS_AES_256_GCM_SHA384",
            Self::Tls13Chacha20Poly1305Sha256 => "TLS_CHACHA20_POLY1305_SHA256",
            Self::EcdheEcdsaAes128GcmSha256 => "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
            Self::EcdheEcdsaAes256GcmSha384 => "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
            Self::EcdheEcdsaChacha20Poly1305 => "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
            Self::EcdheRsaAes128GcmSha256 => "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            Self::EcdheRsaAes256GcmSha384 => "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
            Self::EcdheRsaChacha20Poly1305 => "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        }
    }

    /// The version that the suite belongs to: none belongs to two.
    pub fn version(self) -> TlsVersion {
        match self {
            Self::Tls13Aes128GcmSha256
            | Self::Tls13Aes256GcmSha384
            | Self::Tls13Chacha20Poly1305Sha256 => TlsVersion::Tls13,
            Self::EcdheEcdsaAes128GcmSha256
            | Self::EcdheEcdsaAes256GcmSha384
            | Self::EcdheEcdsaChacha20Poly1305
            | Self::EcdheRsaAes128GcmSha256
            | Self::EcdheRsaAes256GcmSha384
            | Self::EcdheRsaChacha20Poly1305 => TlsVersion::Tls12,
        }
    }

    /// Finds a suite by its IANA name, its OpenSSL name, or the `TLS13_` spelling.
    pub fn named(name: &str) -> Option<Self> {
        let upper = name.to_ascii_uppercase();
        let name = match upper.strip_prefix("TLS13_") {
            Some(rest) => format!("TLS_{rest}"),
            None => upper,
        };
        let openssl = OPENSSL.iter().find(|(openssl, _)| *openssl == name);
        let iana = Self::ALL.iter().find(|suite| suite.as_str() == name);
        iana.copied().or(openssl.map(|(_, suite)| *suite))
    }
}

/// What a name that is no suite of ours deserves: why, and what to do.
pub fn refusal(name: &str) -> (Option<String>, Option<String>) {
    let upper = name.to_ascii_uppercase().replace('_', "-");
    if upper.contains([':', '!', '+', ' ', ',', '@']) {
        let help =
            "write a list of suites: [\"TLS_AES_128_GCM_SHA256\", \"ECDHE-RSA-AES128-GCM-SHA256\"]";
        return (Some("this is a cipher string of OpenSSL".to_owned()), Some(help.to_owned()));
    }
    if let Some(why) = weakness(&upper) {
        let help = "remove it; without `cipher_suites` a profile has every suite that can be used";
        return (Some(why.to_owned()), Some(help.to_owned()));
    }
    let openssl = OPENSSL.iter().map(|(name, _)| *name);
    let nearest = suggest::did_you_mean(name, names().into_iter().chain(openssl));
    (None, nearest.or_else(|| Some(format!("the suites are {}", suggest::listed(&names())))))
}

fn names() -> Vec<&'static str> {
    CipherSuite::ALL.iter().map(|suite| suite.as_str()).collect()
}

fn weakness(name: &str) -> Option<&'static str> {
    let has = |part: &str| name.split('-').any(|word| word == part);
    if has("RC4") || has("3DES") || name.contains("DES-CBC") || has("NULL") || name.contains("EXP")
    {
        return Some(
            "RC4, DES, 3DES, NULL and EXPORT are broken, and the TLS library has none of them",
        );
    }
    if has("CCM") || has("CCM8") || has("CAMELLIA") || has("ARIA") || has("PSK") || has("SRP") {
        return Some("the TLS library has only AES-GCM and ChaCha20-Poly1305 with certificates");
    }
    if has("DHE") || has("EDH") || has("ADH") || has("DH") {
        return Some(
            "finite-field Diffie-Hellman (DHE) is slow and is not in the TLS library: use ECDHE",
        );
    }
    let authenticated = has("GCM") || has("POLY1305");
    if !authenticated && (has("CBC") || has("SHA") || has("SHA256") || has("SHA384")) {
        return Some(
            "CBC suites are open to padding attacks (Lucky 13), and the TLS library has none of them",
        );
    }
    let starts = ["TLS-RSA-", "RSA-", "AES128-", "AES256-"];
    if starts.iter().any(|start| name.starts_with(start)) {
        return Some(
            "a static RSA key exchange has no forward secrecy, and the TLS library does not do it",
        );
    }
    None
}

const OPENSSL: &[(&str, CipherSuite)] = &[
    ("ECDHE-ECDSA-AES128-GCM-SHA256", CipherSuite::EcdheEcdsaAes128GcmSha256),
    ("ECDHE-ECDSA-AES256-GCM-SHA384", CipherSuite::EcdheEcdsaAes256GcmSha384),
    ("ECDHE-ECDSA-CHACHA20-POLY1305", CipherSuite::EcdheEcdsaChacha20Poly1305),
    ("ECDHE-RSA-AES128-GCM-SHA256", CipherSuite::EcdheRsaAes128GcmSha256),
    ("ECDHE-RSA-AES256-GCM-SHA384", CipherSuite::EcdheRsaAes256GcmSha384),
    ("ECDHE-RSA-CHACHA20-POLY1305", CipherSuite::EcdheRsaChacha20Poly1305),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_have_names_of_both_registries() {
        for (openssl, suite) in OPENSSL {
            assert_eq!(CipherSuite::named(openssl), Some(*suite));
        }
        for suite in CipherSuite::ALL {
            assert_eq!(CipherSuite::named(suite.as_str()), Some(*suite));
        }
        assert_eq!(
            CipherSuite::named("TLS13_AES_128_GCM_SHA256"),
            Some(CipherSuite::Tls13Aes128GcmSha256)
        );
    }

    #[test]
    fn refused_suites_are_told_why() {
        let why = |name| refusal(name).0.unwrap_or_default();
        assert!(why("ECDHE-RSA-AES128-SHA256").contains("CBC"));
        assert!(why("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA").contains("CBC"));
        assert!(why("AES128-GCM-SHA256").contains("static RSA"));
        assert!(why("TLS_RSA_WITH_AES_128_GCM_SHA256").contains("static RSA"));
        assert!(why("DHE-RSA-AES256-GCM-SHA384").contains("DHE"));
        assert!(why("DES-CBC3-SHA").contains("3DES"));
        assert!(why("RC4-MD5").contains("RC4"));
        assert!(why("HIGH:!aNULL").contains("cipher string"));
    }
}
