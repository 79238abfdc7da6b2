//! The tokens of the kit themselves, used by a client that is not ours: `pkcs11-tool`.

use std::fs;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use aws_lc_rs::digest;
use aws_lc_rs::digest::digest;
use aws_lc_rs::signature;
use aws_lc_rs::signature::UnparsedPublicKey;
use aws_lc_rs::signature::VerificationAlgorithm;

use crate::kit::Ca;
use crate::kit::Leaf;
use crate::kit::Site;
use crate::kit::command::Finished;
use crate::kit::eventually;
use crate::kit::token;
use crate::kit::token::Call;
use crate::kit::token::FaultModule;
use crate::kit::token::Module;
use crate::kit::token::P11Server;
use crate::kit::token::SoftHsm;
use crate::kit::token::Token;

/// Keys of each type are put in and sign, and are gone when they are deleted.
#[tokio::test]
async fn a_token_signs_with_keys_of_each_type() {
    if !token::can_be_made() {
        return;
    }
    let site = Site::new();
    let softhsm = SoftHsm::of(&site);
    let token = softhsm.token("a").await;
    let by: [(_, _, _, &dyn VerificationAlgorithm); 4] = [
        ("p256", Leaf::p256("one.test"), "ECDSA", &signature::ECDSA_P256_SHA256_FIXED),
        ("p384", Leaf::p384("one.test"), "ECDSA", &signature::ECDSA_P384_SHA384_FIXED),
        ("rsa", Leaf::rsa("one.test"), "SHA256-RSA-PKCS", &signature::RSA_PKCS1_2048_8192_SHA256),
        ("ed25519", Leaf::ed25519("one.test"), "EDDSA", &signature::ED25519),
    ];
    for (index, (name, leaf, mechanism, algorithm)) in by.into_iter().enumerate() {
        let issued = Ca::shared().issue(&leaf);
        let id = format!("{:02x}", index + 16);
        token.import(name, &id, &issued).await;
        let [data, signature] = ["data", "signature"].map(|file| site.path(file));
        // What is called ECDSA signs a digest that somebody else has made.
        let given = match name {
            "p256" => digest(&digest::SHA256, DATA).as_ref().to_vec(),
            "p384" => digest(&digest::SHA384, DATA).as_ref().to_vec(),
            _ => DATA.to_vec(),
        };
        fs::write(&data, given).unwrap();
        let finished = sign(&softhsm.module, "a", [mechanism, &id], [&data, &signature]).await;
        assert_eq!(finished.code, 0, "{name}: {}", finished.text());
        let (_, leaf) = x509_parser::parse_x509_certificate(&issued.certificate).unwrap();
        let key = UnparsedPublicKey::new(algorithm, &leaf.public_key().subject_public_key.data);
        assert!(key.verify(DATA, &fs::read(&signature).unwrap()).is_ok(), "{name}");
    }
    assert_eq!(token.keys().await, ["ed25519", "p256", "p384", "rsa"]);
    token.delete("p384").await;
    assert_eq!(token.keys().await, ["ed25519", "p256", "rsa"]);
}

/// A token that is hidden is not there; when it is back, it is what it was.
#[tokio::test]
async fn a_token_goes_and_comes_back() {
    let Some(tokens) = Tokens::make().await else { return };
    let module = &tokens.softhsm.module;
    tokens.a.hide();
    tokens.refuses(module, "a", "No slot").await;
    tokens.signs(module, "b").await;
    tokens.a.show();
    tokens.signs(module, "a").await;
}

/// A token behind a server is there while the server is.
#[tokio::test]
async fn a_server_of_a_token_dies_and_comes_back() {
    let Some(tokens) = Tokens::make().await else { return };
    if !P11Server::can_be_started() {
        return;
    }
    let mut server = P11Server::start(&tokens.site, &tokens.a).await;
    let module = server.module.clone();
    tokens.signs(&module, "a").await;
    tokens.refuses(&module, "b", "No slot").await;
    server.kill();
    tokens.refuses(&module, "a", "No slot").await;
    server.start_again().await;
    tokens.signs(&module, "a").await;
}

/// Without a fault everything is as without the module, and is counted; by each module for itself.
#[tokio::test]
async fn a_fault_module_counts() {
    let Some(tokens) = Tokens::make().await else { return };
    let fault = FaultModule::before(&tokens.softhsm);
    let other = FaultModule::before(&tokens.softhsm);
    tokens.signs(&fault.module, "a").await;
    tokens.signs(&fault.module, "b").await;
    tokens.signs(&other.module, "b").await;
    assert_eq!((fault.initialized(), fault.finalized()), (2, 2));
    assert_eq!((fault.sessions(), fault.logins(), fault.signatures()), (2, 2, 2));
    assert_eq!((fault.signing(), fault.most_at_once()), (0, 1));
    assert_eq!((other.initialized(), other.signatures()), (1, 1));
}

/// Each call fails as it is told, for as long as it is told.
#[tokio::test]
async fn a_fault_module_fails() {
    let Some(tokens) = Tokens::make().await else { return };
    let fault = FaultModule::before(&tokens.softhsm);
    let module = &fault.module;
    // `pkcs11-tool` takes a token that does not tell its name for none, and after a signature that
    // failed it tries another way and tells what came of that.
    for (call, told) in [
        (Call::TokenInfo, "No slot"),
        (Call::OpenSession, "CKR_DEVICE_ERROR"),
        (Call::Login, "CKR_DEVICE_ERROR"),
        (Call::Sign, "CKR_OPERATION_NOT_INITIALIZED"),
    ] {
        fault.fail(call, DEVICE_ERROR);
        tokens.refuses(module, "a", told).await;
        fault.mend(call);
        tokens.signs(module, "a").await;
    }
    fault.fail(Call::SessionInfo, DEVICE_ERROR);
    let finished = module.tool("a", &["--test"]).await;
    assert!(finished.text().contains("CKR_DEVICE_ERROR"), "{}", finished.text());
}

/// A signature takes as long as it is told.
#[tokio::test]
async fn a_fault_module_is_slow() {
    let Some(tokens) = Tokens::make().await else { return };
    let fault = FaultModule::before(&tokens.softhsm);
    let latency = Duration::from_millis(100);
    fault.latency(latency);
    let start = Instant::now();
    tokens.signs(&fault.module, "a").await;
    assert!(start.elapsed() >= latency);
}

/// Signatures that hang are in progress together; they are made when they hang no longer.
#[tokio::test]
async fn a_fault_module_hangs() {
    let Some(tokens) = Tokens::make().await else { return };
    let fault = FaultModule::before(&tokens.softhsm);
    fault.hang(true);
    let end = async {
        eventually("two signatures", async || (fault.signing() == 2).then_some(())).await;
        fault.hang(false);
    };
    tokio::join!(tokens.signs(&fault.module, "a"), tokens.signs(&fault.module, "b"), end);
    assert_eq!((fault.signing(), fault.most_at_once()), (0, 2));
}

/// A token vanishes and returns; another one of the same module stays.
#[tokio::test]
async fn a_fault_module_is_about_one_token_only() {
    let Some(tokens) = Tokens::make().await else { return };
    let fault = FaultModule::before(&tokens.softhsm);
    fault.only("a");
    fault.absent(true);
    tokens.refuses(&fault.module, "a", "No slot").await;
    tokens.signs(&fault.module, "b").await;
    fault.absent(false);
    fault.fail(Call::Sign, DEVICE_ERROR);
    tokens.refuses(&fault.module, "a", "C_Sign").await;
    tokens.signs(&fault.module, "b").await;
    assert_eq!((fault.logins(), fault.signatures()), (1, 1));
}

/// Two tokens with the same P-256 key.
struct Tokens {
    a: Token,
    softhsm: SoftHsm,
    site: Site,
}

impl Tokens {
    /// None where there is nothing to make them with.
    async fn make() -> Option<Self> {
        if !token::can_be_made() {
            return None;
        }
        let site = Site::new();
        site.write("data", digest(&digest::SHA256, DATA));
        let softhsm = SoftHsm::of(&site);
        let issued = Ca::shared().issue(&Leaf::p256("one.test"));
        let [a, b] = [softhsm.token("a").await, softhsm.token("b").await];
        a.import("one", ID, &issued).await;
        b.import("one", ID, &issued).await;
        Some(Self { a, softhsm, site })
    }

    async fn signs(&self, module: &Module, token: &str) {
        let finished = self.sign(module, token).await;
        assert_eq!(finished.code, 0, "{}", finished.text());
    }

    async fn refuses(&self, module: &Module, token: &str, told: &str) {
        let finished = self.sign(module, token).await;
        assert_eq!(finished.code, 1, "{}", finished.text());
        assert!(finished.text().contains(told), "{}", finished.text());
    }

    async fn sign(&self, module: &Module, token: &str) -> Finished {
        let signature = self.site.path(format!("{token}.signature"));
        sign(module, token, ["ECDSA", ID], [&self.site.path("data"), &signature]).await
    }
}

/// Signs a file into another one.
async fn sign(
    module: &Module,
    token: &str,
    [mechanism, id]: [&str; 2],
    files: [&Path; 2],
) -> Finished {
    let [data, signature] = files.map(|file| file.to_str().expect("our own path"));
    let mut arguments = vec!["--sign", "--mechanism", mechanism, "--id", id];
    arguments.extend(["--input-file", data, "--output-file", signature]);
    module.tool(token, &arguments).await
}

const DATA: &[u8] = b"what is signed";

const ID: &str = "10";

/// CKR_DEVICE_ERROR
const DEVICE_ERROR: u64 = 0x30;
