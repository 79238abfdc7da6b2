//! The table: a service, the narrow client in the words of two TLS libraries, and what is served.

use std::fmt;

use rustls::CipherSuite;
use rustls::CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 as ECDSA_SUITE;
use rustls::CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 as RSA_SUITE;
use rustls::NamedGroup::X25519;
use rustls::NamedGroup::secp256r1;
use rustls::NamedGroup::secp384r1;
use rustls::SignatureScheme::ECDSA_NISTP256_SHA256 as P256;
use rustls::SignatureScheme::ECDSA_NISTP384_SHA384 as P384;
use rustls::SignatureScheme::RSA_PKCS1_SHA256 as PKCS1;
use rustls::SignatureScheme::RSA_PSS_SHA256 as PSS;

use crate::kit::Client;

/// One row, for one service and one TLS version.
pub(super) struct Row {
    /// The number of the row in the specification.
    number: u8,
    /// The server name: `p256.test` has P-256 and RSA, `p384.test` P-384 and RSA, `ec.test` P-256
    /// alone, `rsa.test` RSA alone, `expired.test` an expired P-256 and RSA.
    pub(super) name: &'static str,
    pub(super) rustls: fn(Client) -> Client,
    /// Arguments of `openssl s_client`.
    pub(super) openssl: &'static str,
    pub(super) served: Served,
}

/// What the client gets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Served {
    Ec,
    Rsa,
    HandshakeFailure,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "row {} on {} ({})", self.number, self.name, self.openssl)
    }
}

const fn row(
    number: u8,
    name: &'static str,
    rustls: fn(Client) -> Client,
    openssl: &'static str,
    served: Served,
) -> Row {
    Row { number, name, rustls, openssl, served }
}

const BOTH: [CipherSuite; 2] = [ECDSA_SUITE, RSA_SUITE];
const RSA_FIRST: [CipherSuite; 2] = [RSA_SUITE, ECDSA_SUITE];

/// OpenSSL's word for [`RSA_FIRST`] and so on.
macro_rules! ciphers {
    (ec) => {
        "ECDHE-ECDSA-AES128-GCM-SHA256"
    };
    (rsa) => {
        "ECDHE-RSA-AES128-GCM-SHA256"
    };
    (ec_rsa) => {
        concat!(ciphers!(ec), ":", ciphers!(rsa))
    };
    (rsa_ec) => {
        concat!(ciphers!(rsa), ":", ciphers!(ec))
    };
}

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    row(1, "p256.test", Client::tls13, "-tls1_3", Served::Ec),
    row(1, "p384.test", Client::tls13, "-tls1_3", Served::Ec),
    row(1, "rsa.test", Client::tls13, "-tls1_3", Served::Rsa),
    row(1, "p256.test", Client::tls12, "-tls1_2", Served::Ec),
    row(1, "p384.test", Client::tls12, "-tls1_2", Served::Ec),
    row(1, "rsa.test", Client::tls12, "-tls1_2", Served::Rsa),
    row(2, "p256.test", |c| c.tls13().schemes(&[PSS, P256]), "-tls1_3 -sigalgs RSA-PSS+SHA256:ECDSA+SHA256", Served::Ec),
    row(2, "p384.test", |c| c.tls13().schemes(&[PSS, P384]), "-tls1_3 -sigalgs RSA-PSS+SHA256:ECDSA+SHA384", Served::Ec),
    row(3, "p256.test", |c| c.tls13().schemes(&[PSS]), "-tls1_3 -sigalgs RSA-PSS+SHA256", Served::Rsa),
    row(3, "p384.test", |c| c.tls13().schemes(&[PSS]), "-tls1_3 -sigalgs RSA-PSS+SHA256", Served::Rsa),
    row(4, "p256.test", |c| c.tls13().schemes(&[P384, PSS]), "-tls1_3 -sigalgs ECDSA+SHA384:RSA-PSS+SHA256", Served::Rsa),
    row(5, "p256.test", |c| c.tls12().suites(&[RSA_SUITE]), concat!("-tls1_2 -cipher ", ciphers!(rsa)), Served::Rsa),
    row(5, "p384.test", |c| c.tls12().suites(&[RSA_SUITE]), concat!("-tls1_2 -cipher ", ciphers!(rsa)), Served::Rsa),
    row(6, "p256.test", |c| c.tls12().suites(&[ECDSA_SUITE]), concat!("-tls1_2 -cipher ", ciphers!(ec)), Served::Ec),
    row(6, "p384.test", |c| c.tls12().suites(&[ECDSA_SUITE]), concat!("-tls1_2 -cipher ", ciphers!(ec)), Served::Ec),
    row(7, "p256.test", |c| c.tls12().suites(&RSA_FIRST), concat!("-tls1_2 -cipher ", ciphers!(rsa_ec)), Served::Ec),
    row(7, "p384.test", |c| c.tls12().suites(&RSA_FIRST), concat!("-tls1_2 -cipher ", ciphers!(rsa_ec)), Served::Ec),
    row(8, "p256.test", |c| c.tls12().groups(&[X25519]), "-tls1_2 -groups X25519", Served::Rsa),
    row(8, "p384.test", |c| c.tls12().groups(&[X25519]), "-tls1_2 -groups X25519", Served::Rsa),
    row(8, "ec.test", |c| c.tls12().groups(&[X25519]), "-tls1_2 -groups X25519", Served::HandshakeFailure),
    row(9, "p384.test", |c| c.tls12().groups(&[X25519, secp256r1]), "-tls1_2 -groups X25519:P-256", Served::Rsa),
    row(9, "p256.test", |c| c.tls12().groups(&[X25519, secp384r1]), "-tls1_2 -groups X25519:P-384", Served::Rsa),
    row(9, "p256.test", |c| c.tls12().groups(&[X25519, secp256r1]), "-tls1_2 -groups X25519:P-256", Served::Ec),
    // In 1.3 groups say nothing about certificates.
    row(9, "p384.test", |c| c.tls13().groups(&[X25519]), "-tls1_3 -groups X25519", Served::Ec),
    row(10, "p384.test", |c| c.tls13().schemes(&[P256, PSS]), "-tls1_3 -sigalgs ECDSA+SHA256:RSA-PSS+SHA256", Served::Rsa),
    row(11, "p256.test", |c| c.tls12().suites(&BOTH).schemes(&[PSS, PKCS1]), concat!("-tls1_2 -sigalgs RSA-PSS+SHA256:RSA+SHA256 -cipher ", ciphers!(ec_rsa)), Served::Rsa),
    row(11, "p384.test", |c| c.tls12().suites(&BOTH).schemes(&[PKCS1]), concat!("-tls1_2 -sigalgs RSA+SHA256 -cipher ", ciphers!(ec_rsa)), Served::Rsa),
    row(12, "ec.test", |c| c.tls12().suites(&[RSA_SUITE]), concat!("-tls1_2 -cipher ", ciphers!(rsa)), Served::HandshakeFailure),
    row(12, "ec.test", |c| c.tls13().schemes(&[PSS]), "-tls1_3 -sigalgs RSA-PSS+SHA256", Served::HandshakeFailure),
    row(12, "rsa.test", |c| c.tls13().schemes(&[P256]), "-tls1_3 -sigalgs ECDSA+SHA256", Served::HandshakeFailure),
    row(13, "expired.test", Client::tls13, "-tls1_3", Served::Rsa),
    row(13, "expired.test", Client::tls12, "-tls1_2", Served::Rsa),
];
