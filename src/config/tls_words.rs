//! The words of a TLS profile: versions, groups and protocols, and why some of them do not exist here.

use crate::config::suggest;
use crate::config::tls_profile::Alpn;
use crate::config::tls_profile::Group;
use crate::config::tls_profile::TlsVersion;
use crate::config::value::Value;

impl TlsVersion {
    /// `1.2` or `1.3`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tls12 => "1.2",
            Self::Tls13 => "1.3",
        }
    }

    /// Reads an entry of `versions`.
    pub fn read(value: &Value<'_>) -> Option<Self> {
        let text = value.text()?;
        let help = |version: &str| Some(format!("write \"{version}\""));
        match &*text.to_ascii_lowercase() {
            "1.2" => return Some(Self::Tls12),
            "1.3" => return Some(Self::Tls13),
            "tlsv1.2" | "tls1.2" | "tls 1.2" | "tls12" | "tls1_2" | "tlsv1_2" => {
                value.complain(
                    format!("`{text}` is not the name of a version here"),
                    "",
                    help("1.2"),
                );
            }
            "tlsv1.3" | "tls1.3" | "tls 1.3" | "tls13" | "tls1_3" | "tlsv1_3" => {
                value.complain(
                    format!("`{text}` is not the name of a version here"),
                    "",
                    help("1.3"),
                );
            }
            "1.0" | "1.1" | "tlsv1" | "tlsv1.0" | "tlsv1.1" | "tls1.0" | "tls1.1" | "tls 1.0"
            | "tls 1.1" => {
                let message = format!("`{text}`: TLS 1.0 and 1.1 cannot be served");
                let label = "deprecated by RFC 8996, and not in the TLS library";
                value.complain(message, label, VERSIONS_HELP.map(str::to_owned));
            }
            "sslv2" | "sslv3" | "ssl3" | "ssl2" | "ssl 3.0" | "3.0" | "2.0" => {
                let message = format!("`{text}`: SSL 2.0 and 3.0 cannot be served");
                let label = "prohibited by RFC 6176 and RFC 7568, and not in the TLS library";
                value.complain(message, label, VERSIONS_HELP.map(str::to_owned));
            }
            _ => {
                let message = format!("`{text}` is not a version of TLS");
                value.complain(message, "", VERSIONS_HELP.map(str::to_owned));
            }
        }
        None
    }
}

impl Group {
    /// The name as it is written in a profile.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::X25519MlKem768 => "X25519MLKEM768",
            Self::X25519 => "X25519",
            Self::Secp256r1 => "P-256",
            Self::Secp384r1 => "P-384",
        }
    }

    /// Reads an entry of `groups`.
    pub fn read(value: &Value<'_>) -> Option<Self> {
        let text = value.text()?;
        let lower = text.to_ascii_lowercase();
        let group = GROUPS.iter().find(|(name, _)| name.to_ascii_lowercase() == lower);
        if let Some((_, group)) = group {
            return Some(*group);
        }
        let missing = ["p-521", "secp521r1", "x448", "ffdhe", "brainpool", "mlkem"];
        let (label, help) = if missing.iter().any(|start| lower.starts_with(start)) {
            ("the TLS library does not do it", None)
        } else {
            ("", suggest::did_you_mean(&text, GROUPS.iter().map(|(name, _)| *name)))
        };
        let listed = suggest::listed(&["X25519MLKEM768", "X25519", "P-256", "P-384"]);
        let help = help.unwrap_or_else(|| format!("the groups are {listed}"));
        value.complain(format!("`{text}` is not a group that can be used"), label, Some(help));
        None
    }
}

impl Alpn {
    /// The protocol name of RFC 7301.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http1 => "http/1.1",
            Self::Http2 => "h2",
        }
    }

    /// Reads an entry of `alpn`.
    pub fn read(value: &Value<'_>) -> Option<Self> {
        let text = value.text()?;
        let help = match &*text.to_ascii_lowercase() {
            "h2" => return Some(Self::Http2),
            "http/1.1" => return Some(Self::Http1),
            "http2" | "http/2" | "http/2.0" => "did you mean \"h2\"?",
            "http1" | "http1.1" | "http/1" | "h1" => "did you mean \"http/1.1\"?",
            "h3" | "http3" | "http/3" => {
                "HTTP/3 is not in this version: the protocols are \"h2\" and \"http/1.1\""
            }
            _ => "the protocols are \"h2\" and \"http/1.1\"",
        };
        let message = format!("`{text}` is not a protocol that can be served");
        value.complain(message, "", Some(help.to_owned()));
        None
    }
}

/// Our names first, then those of the registries.
const GROUPS: &[(&str, Group)] = &[
    ("X25519MLKEM768", Group::X25519MlKem768),
    ("X25519", Group::X25519),
    ("P-256", Group::Secp256r1),
    ("P-384", Group::Secp384r1),
    ("secp256r1", Group::Secp256r1),
    ("prime256v1", Group::Secp256r1),
    ("P256", Group::Secp256r1),
    ("secp384r1", Group::Secp384r1),
    ("P384", Group::Secp384r1),
];

const VERSIONS_HELP: Option<&str> = Some("the versions are \"1.2\" and \"1.3\"");
