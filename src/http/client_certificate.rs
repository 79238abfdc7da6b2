//! The fields that tell an endpoint about the client's certificate: `x-client-cert-verify`, `-subject`,
//! `-fingerprint`, and `x-client-cert` with the certificate itself. A client's own never pass.

use std::fmt::Write;

use bytes::Bytes;
use http::HeaderName;
use http::HeaderValue;

use crate::message::Fields;
use crate::tls::facts::ClientCertificateFacts;

/// The fields of one certificate; the same for all requests of a connection.
#[derive(Debug)]
pub struct CertificateFields {
    subject: HeaderValue,
    fingerprint: HeaderValue,
    certificate: Option<HeaderValue>,
}

impl CertificateFields {
    /// Renders them.
    pub fn of(facts: &ClientCertificateFacts) -> Self {
        let mut fingerprint = String::with_capacity(64);
        for byte in facts.fingerprint.0 {
            // Writing to a String cannot fail.
            let _ = write!(fingerprint, "{byte:02x}");
        }
        let subject: Vec<u8> = facts.subject.bytes().filter(|b| !b.is_ascii_control()).collect();
        Self {
            subject: value(subject),
            fingerprint: value(fingerprint.into()),
            certificate: facts.der.as_ref().map(|der| value(escaped_pem(der).into())),
        }
    }
}

/// Says whether the client has shown a certificate that verified, and which.
pub fn tell(fields: &mut Fields, certificate: Option<&CertificateFields>) {
    let Some(certificate) = certificate else {
        fields.insert(VERIFY, HeaderValue::from_static("NONE"));
        return;
    };
    fields.insert(VERIFY, HeaderValue::from_static("SUCCESS"));
    fields.insert(SUBJECT, certificate.subject.clone());
    fields.insert(FINGERPRINT, certificate.fingerprint.clone());
    if let Some(whole) = &certificate.certificate {
        fields.insert(CERTIFICATE, whole.clone());
    }
}

/// PEM, with everything but unreserved characters in percent encoding: what nginx calls
/// `$ssl_client_escaped_cert`.
fn escaped_pem(der: &[u8]) -> String {
    let mut text = String::with_capacity(der.len() * 3 / 2 + 128);
    text.push_str("-----BEGIN%20CERTIFICATE-----%0A");
    // 48 bytes are a line of 64 characters.
    for line in der.chunks(48) {
        for group in line.chunks(3) {
            let at = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
            let bits = at(0) << 16 | at(1) << 8 | at(2);
            for place in 0..4 {
                match (place > group.len(), BASE64[(bits >> (18 - 6 * place) & 63) as usize]) {
                    (true, _) => text.push_str("%3D"),
                    (false, b'+') => text.push_str("%2B"),
                    (false, b'/') => text.push_str("%2F"),
                    (false, other) => text.push(char::from(other)),
                }
            }
        }
        text.push_str("%0A");
    }
    text.push_str("-----END%20CERTIFICATE-----%0A");
    text
}

fn value(bytes: Vec<u8>) -> HeaderValue {
    HeaderValue::from_maybe_shared(Bytes::from(bytes))
        .unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Whether this is one of the fields that [`tell`] alone may say.
pub fn is_ours(name: &HeaderName) -> bool {
    name.as_str().starts_with("x-client-cert") && OURS.contains(name)
}

static OURS: [HeaderName; 4] = [VERIFY, SUBJECT, FINGERPRINT, CERTIFICATE];

const VERIFY: HeaderName = HeaderName::from_static("x-client-cert-verify");
const SUBJECT: HeaderName = HeaderName::from_static("x-client-cert-subject");
const FINGERPRINT: HeaderName = HeaderName::from_static("x-client-cert-fingerprint");
const CERTIFICATE: HeaderName = HeaderName::from_static("x-client-cert");

/// RFC 4648, section 4.
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[cfg(test)]
mod tests {
    use super::*;

    fn unescaped(text: &str) -> String {
        text.replace("%0A", "\n")
            .replace("%20", " ")
            .replace("%2B", "+")
            .replace("%2F", "/")
            .replace("%3D", "=")
    }

    #[test]
    fn every_length_comes_back_from_pem() {
        use rustls::pki_types::CertificateDer;
        use rustls::pki_types::pem::PemObject;
        for length in [1, 2, 3, 47, 48, 49, 50, 300] {
            let der: Vec<u8> = (0..length).map(|byte| (byte * 7 + 251) as u8).collect();
            let pem = unescaped(&escaped_pem(&der));
            let back = CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM");
            assert_eq!(&*back, &*der, "{pem}");
        }
    }
}
