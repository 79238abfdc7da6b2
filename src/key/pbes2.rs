//! Opens an encrypted PKCS#8 key: PBES2 with PBKDF2 and AES-CBC (RFC 8018, sections 5.2, 6.2 and A.4).
//!
//! This is what OpenSSL writes today. Older and rarer schemes are named and refused.

use std::num::NonZeroU32;

use aws_lc_rs::cipher;
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::pbkdf2;
use zeroize::Zeroizing;

use crate::key::der::Der;
use crate::key::der::INTEGER;
use crate::key::der::OBJECT_IDENTIFIER;
use crate::key::der::OCTET_STRING;
use crate::key::problem::Problem;

/// The `PrivateKeyInfo` inside an `EncryptedPrivateKeyInfo` (RFC 5958, section 3).
pub fn decrypt(encrypted: &[u8], passphrase: &[u8]) -> Result<Zeroizing<Vec<u8>>, Problem> {
    let Scheme { kdf, cipher, iv, ciphertext } = parse(encrypted)?;
    let key_len = cipher.0;
    let mut key = Zeroizing::new([0_u8; 32]);
    pbkdf2::derive(kdf.prf, kdf.iterations, kdf.salt, passphrase, &mut key[..key_len]);

    let broken = |_| Problem::BadKey("its encryption parameters are inconsistent");
    let key = cipher::UnboundCipherKey::new(cipher.1, &key[..key_len]).map_err(broken)?;
    let key = cipher::DecryptingKey::cbc(key).map_err(broken)?;
    let mut buffer = Zeroizing::new(ciphertext.to_vec());
    let context = cipher::DecryptionContext::Iv128(FixedLength::from(iv));
    let plain_len = key.decrypt(&mut buffer, context).map_err(broken)?.len();
    let plain_len = unpadded(&buffer[..plain_len]).ok_or(Problem::WrongPassphrase)?;
    buffer.truncate(plain_len);
    // One wrong passphrase in 256 leaves valid padding; a SEQUENCE of this length it never is.
    match Der(&buffer).sequence() {
        Some(_) => Ok(buffer),
        None => Err(Problem::WrongPassphrase),
    }
}

struct Scheme<'a> {
    kdf: Kdf<'a>,
    cipher: (usize, &'static cipher::Algorithm),
    iv: [u8; 16],
    ciphertext: &'a [u8],
}

struct Kdf<'a> {
    prf: pbkdf2::Algorithm,
    iterations: NonZeroU32,
    salt: &'a [u8],
}

fn parse(encrypted: &[u8]) -> Result<Scheme<'_>, Problem> {
    let damaged = Problem::BadKey("its encryption header is damaged");
    let read = |encrypted| {
        let mut info = Der(encrypted).sequence()?;
        let mut algorithm = info.sequence()?;
        let oid = algorithm.take(OBJECT_IDENTIFIER)?;
        Some((oid, algorithm, info.take(OCTET_STRING)?))
    };
    let (oid, mut parameters, ciphertext) = read(encrypted).ok_or(damaged.clone())?;
    if oid != PBES2 {
        return Err(Problem::UnsupportedEncryption { what: "PBES1 or PKCS#12" });
    }
    let mut schemes = parameters.sequence().ok_or(damaged.clone())?;
    let kdf = schemes.sequence().ok_or(damaged.clone())?;
    let mut encryption = schemes.sequence().ok_or(damaged.clone())?;
    let kdf = parse_kdf(kdf)?;
    let cipher = match encryption.take(OBJECT_IDENTIFIER).ok_or(damaged.clone())? {
        AES_128_CBC => (16, &cipher::AES_128),
        AES_256_CBC => (32, &cipher::AES_256),
        _ => return Err(Problem::UnsupportedEncryption { what: "another cipher" }),
    };
    let iv =
        encryption.take(OCTET_STRING).and_then(|iv| iv.try_into().ok()).ok_or(damaged.clone())?;
    if ciphertext.is_empty() || ciphertext.len() % 16 != 0 {
        return Err(damaged);
    }
    Ok(Scheme { kdf, cipher, iv, ciphertext })
}

fn parse_kdf(mut kdf: Der<'_>) -> Result<Kdf<'_>, Problem> {
    let damaged = || Problem::BadKey("its key derivation header is damaged");
    match kdf.take(OBJECT_IDENTIFIER).ok_or_else(damaged)? {
        PBKDF2 => {}
        SCRYPT => return Err(Problem::UnsupportedEncryption { what: "scrypt" }),
        _ => return Err(Problem::UnsupportedEncryption { what: "another key derivation" }),
    }
    let mut parameters = kdf.sequence().ok_or_else(damaged)?;
    let salt = parameters.take(OCTET_STRING).ok_or_else(damaged)?;
    let iterations = parameters.small_integer().and_then(NonZeroU32::new).ok_or_else(damaged)?;
    if iterations.get() > MAX_ITERATIONS {
        return Err(Problem::UnsupportedEncryption { what: "more than 10 million iterations" });
    }
    if parameters.next_tag() == Some(INTEGER) {
        parameters.take(INTEGER);
    }
    let prf = match parameters.sequence() {
        // The default of RFC 8018, section A.2.
        None => pbkdf2::PBKDF2_HMAC_SHA1,
        Some(mut prf) => match prf.take(OBJECT_IDENTIFIER).ok_or_else(damaged)? {
            HMAC_SHA1 => pbkdf2::PBKDF2_HMAC_SHA1,
            HMAC_SHA256 => pbkdf2::PBKDF2_HMAC_SHA256,
            HMAC_SHA384 => pbkdf2::PBKDF2_HMAC_SHA384,
            HMAC_SHA512 => pbkdf2::PBKDF2_HMAC_SHA512,
            _ => return Err(Problem::UnsupportedEncryption { what: "another hash" }),
        },
    };
    Ok(Kdf { prf, iterations, salt })
}

/// The length without the padding of RFC 8018, section 6.1.1.
fn unpadded(plain: &[u8]) -> Option<usize> {
    let padding = *plain.last()?;
    let end = plain.len().checked_sub(usize::from(padding))?;
    let valid = (1..=16).contains(&padding) && plain[end..].iter().all(|byte| *byte == padding);
    valid.then_some(end)
}

/// Some seconds of work; more is a mistake, or meant to stop us.
const MAX_ITERATIONS: u32 = 10_000_000;

const PBES2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0d];
const PBKDF2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0c];
const SCRYPT: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0xda, 0x47, 0x04, 0x0b];
const HMAC_SHA1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x07];
const HMAC_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x09];
const HMAC_SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x0a];
const HMAC_SHA512: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x0b];
const AES_128_CBC: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x02];
const AES_256_CBC: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x2a];
