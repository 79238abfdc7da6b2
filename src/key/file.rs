//! A private key on file becomes a rustls signer.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::sign;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::PrivatePkcs1KeyDer;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::PrivateSec1KeyDer;
use rustls::sign::SigningKey;
use zeroize::Zeroizing;

use crate::config::process::WorldReadableKeys;
use crate::config::secret::Secret;
use crate::key::der::Der;
use crate::key::der::INTEGER;
use crate::key::der::OBJECT_IDENTIFIER;
use crate::key::der::OCTET_STRING;
use crate::key::pbes2;
use crate::key::pem;
use crate::key::problem::FileError;
use crate::key::problem::Problem;
use crate::key::secret::read_secret;

/// The one private key among the blocks of a PEM file that has been read.
pub fn signing_key(
    path: &Path,
    text: &[u8],
    passphrase: Option<&Secret>,
    policy: WorldReadableKeys,
) -> Result<Arc<dyn SigningKey>, FileError> {
    parse(text, passphrase, policy).map_err(|problem| FileError::new(path, problem))
}

fn parse(
    text: &[u8],
    passphrase: Option<&Secret>,
    policy: WorldReadableKeys,
) -> Result<Arc<dyn SigningKey>, Problem> {
    let mut keys =
        pem::blocks(text)?.into_iter().filter(|block| block.label.ends_with("PRIVATE KEY"));
    let block = keys.next().ok_or(Problem::NoKey)?;
    if keys.next().is_some() {
        return Err(Problem::SeveralKeys);
    }
    if block.legacy_encryption {
        return Err(Problem::LegacyEncryption);
    }
    match block.label {
        "PRIVATE KEY" => from_pkcs8(&block.der),
        "ENCRYPTED PRIVATE KEY" => {
            let passphrase = passphrase.ok_or(Problem::NeedsPassphrase)?;
            let passphrase = read_secret(passphrase, policy).map_err(Problem::Passphrase)?;
            from_pkcs8(&pbes2::decrypt(&block.der, &passphrase)?)
        }
        "RSA PRIVATE KEY" => {
            check_rsa_size(&block.der)?;
            rsa(&PrivatePkcs1KeyDer::from(&block.der[..]).into())
        }
        "EC PRIVATE KEY" => ec(&PrivateSec1KeyDer::from(&block.der[..]).into()),
        _ => Err(Problem::UnsupportedKey("by its PEM label")),
    }
}

/// Looks at the algorithm first: asking the library for one kind after the other parses the key as often.
fn from_pkcs8(der: &Zeroizing<Vec<u8>>) -> Result<Arc<dyn SigningKey>, Problem> {
    let read = || {
        let mut info = Der(der).sequence()?;
        info.take(INTEGER)?;
        let algorithm = info.sequence()?.take(OBJECT_IDENTIFIER)?;
        Some((algorithm, info.take(OCTET_STRING)?))
    };
    let (algorithm, inner) = read().ok_or(Problem::BadKey("it is not PKCS#8"))?;
    let key = PrivatePkcs8KeyDer::from(&der[..]);
    match algorithm {
        EC_PUBLIC_KEY => ec(&key.into()),
        RSA_ENCRYPTION => {
            check_rsa_size(inner)?;
            rsa(&key.into())
        }
        ED25519 => {
            sign::any_eddsa_type(&key).map_err(|_| Problem::BadKey("it is no valid Ed25519 key"))
        }
        RSASSA_PSS => Err(Problem::UnsupportedKey("RSASSA-PSS")),
        ED448 => Err(Problem::UnsupportedKey("Ed448")),
        _ => Err(Problem::UnsupportedKey("by its algorithm")),
    }
}

fn ec(key: &PrivateKeyDer<'_>) -> Result<Arc<dyn SigningKey>, Problem> {
    sign::any_ecdsa_type(key)
        .map_err(|_| Problem::BadKey("it is no valid key on P-256, P-384 or P-521"))
}

fn rsa(key: &PrivateKeyDer<'_>) -> Result<Arc<dyn SigningKey>, Problem> {
    sign::any_supported_type(key).map_err(|_| Problem::BadKey("it is no valid RSA key"))
}

/// The library says only that it cannot parse a small key.
fn check_rsa_size(pkcs1: &[u8]) -> Result<(), Problem> {
    let read = || {
        let mut key = Der(pkcs1).sequence()?;
        key.take(INTEGER)?;
        key.take(INTEGER)
    };
    let modulus = read().ok_or(Problem::BadKey("it is no valid RSA key"))?;
    let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
    let bits = (modulus.len() - zeros) * 8
        - modulus.get(zeros).map_or(0, |first| first.leading_zeros() as usize);
    if bits < MIN_RSA_BITS { Err(Problem::RsaTooSmall { bits }) } else { Ok(()) }
}

/// What rustls, browsers and the Baseline Requirements accept.
const MIN_RSA_BITS: usize = 2048;

const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const RSASSA_PSS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
const ED448: &[u8] = &[0x2b, 0x65, 0x71];

#[cfg(test)]
mod tests {
    use rustls::SignatureAlgorithm;

    use super::*;

    const SESAME: &str = "open-sesame\n";

    fn load(file: &str, passphrase: Option<&str>) -> Result<Arc<dyn SigningKey>, Problem> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/key/testdata");
        let text = std::fs::read(directory.join(file)).unwrap();
        let holder = tempfile::NamedTempFile::new().unwrap();
        let secret = passphrase.map(|passphrase| {
            std::fs::write(holder.path(), passphrase).unwrap();
            Secret::File(holder.path().to_owned())
        });
        parse(&text, secret.as_ref(), WorldReadableKeys::Refuse)
    }

    fn problem(file: &str, passphrase: Option<&str>) -> Problem {
        load(file, passphrase).unwrap_err()
    }

    #[test]
    fn all_plain_forms_load() {
        use SignatureAlgorithm as Kind;
        for (file, kind) in [
            ("p256.pkcs8.pem", Kind::ECDSA),
            ("p256.sec1.pem", Kind::ECDSA),
            ("p384.pkcs8.pem", Kind::ECDSA),
            ("p521.pkcs8.pem", Kind::ECDSA),
            ("rsa2048.pkcs1.pem", Kind::RSA),
            ("ed25519.pkcs8.pem", Kind::ED25519),
        ] {
            assert_eq!(load(file, None).unwrap().algorithm(), kind, "{file}");
        }
    }

    #[test]
    fn encrypted_keys_load_with_their_passphrase() {
        let plain = load("p256.pkcs8.pem", None).unwrap();
        for file in [
            "p256.aes256-sha256.pem",
            "p256.aes128-sha1.pem",
            "p256.aes256-sha384.pem",
            "p256.aes128-sha512.pem",
        ] {
            let opened = load(file, Some(SESAME)).expect(file);
            assert_eq!(opened.public_key(), plain.public_key(), "{file}");
            assert_eq!(problem(file, None), Problem::NeedsPassphrase, "{file}");
            assert_eq!(problem(file, Some("open-salami")), Problem::WrongPassphrase, "{file}");
        }
    }

    #[test]
    fn other_encryption_is_refused_with_the_way_out() {
        for file in ["p256.scrypt.pem", "p256.pbes1.pem", "p256.3des.pem", "p256.legacy.pem"] {
            let problem = problem(file, Some(SESAME));
            assert_eq!(problem.reason(), "key_encryption_unsupported", "{file}");
            assert!(problem.to_string().contains("openssl pkcs8 -topk8"), "{file}");
        }
    }

    #[test]
    fn unusable_keys_say_why() {
        assert_eq!(problem("rsa1024.pkcs1.pem", None), Problem::RsaTooSmall { bits: 1024 });
        assert_eq!(problem("secp256k1.pkcs8.pem", None).reason(), "key_bad");
        assert_eq!(problem("ed448.pkcs8.pem", None), Problem::UnsupportedKey("Ed448"));
    }

    #[test]
    fn a_passphrase_that_is_not_there_is_named() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/key/testdata");
        let text = std::fs::read(directory.join("p256.aes256-sha256.pem")).unwrap();
        let secret = Secret::Env("PORTCULLIS_NEVER_SET".into());
        let problem = parse(&text, Some(&secret), WorldReadableKeys::Refuse).unwrap_err();
        assert_eq!(problem.reason(), "secret_unset");
    }

    #[test]
    fn a_key_cut_anywhere_is_an_error() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/key/testdata");
        let text = std::fs::read(directory.join("p256.pkcs8.pem")).unwrap();
        let whole = text.trim_ascii_end().len();
        for end in 0..whole {
            assert!(parse(&text[..end], None, WorldReadableKeys::Refuse).is_err(), "{end}");
        }
    }
}
