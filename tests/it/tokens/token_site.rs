//! A site whose keys are in tokens, and how its configuration says so.

use std::path::Path;

use crate::kit::Ca;
use crate::kit::Issued;
use crate::kit::Leaf;
use crate::kit::Site;
use crate::kit::token;
use crate::kit::token::PIN;
use crate::kit::token::SoftHsm;
use crate::kit::token::Token;

/// A directory of tokens in the directory of a test, with the PIN of all tokens in `secrets/pin` and a
/// certificate on file for the parent `edge`.
pub(super) struct TokenSite {
    pub(super) softhsm: SoftHsm,
    pub(super) site: Site,
}

impl TokenSite {
    /// Without a token. None where none can be made.
    pub(super) fn new() -> Option<Self> {
        if !token::can_be_made() {
            return None;
        }
        let site = Site::new();
        site.certificate("edge", &Ca::shared().issue(&Leaf::p256("edge.test")));
        site.write("secrets/pin", PIN);
        Some(Self { softhsm: SoftHsm::of(&site), site })
    }

    /// A certificate whose chain is in `certs/NAME.pem`, and whose key is in these tokens and nowhere else,
    /// with the name as its label.
    pub(super) async fn issue(&self, name: &str, leaf: &Leaf, tokens: &[&Token]) -> Issued {
        let issued = Ca::shared().issue(leaf);
        self.site.write(&format!("certs/{name}.pem"), &issued.chain);
        for token in tokens {
            token.import(name, &id_of(name), &issued).await;
        }
        issued
    }
}

/// `[hsm.NAME]` with a module, the PIN of all tokens, these members and more keys.
pub(super) fn group(name: &str, module: &Path, members: &str, more: &str) -> String {
    let module = module.display();
    format!(
        "[hsm.{name}]\nmodule = \"{module}\"\npin = {{ file = \"secrets/pin\" }}\nmembers = [{members}]\n\
         {more}\n"
    )
}

/// `[certificate.NAME]` with its key in a group.
pub(super) fn certificate(name: &str, group: &str) -> String {
    format!(
        "[certificate.{name}]\nchain = \"certs/{name}.pem\"\n\
         key = {{ hsm = \"{group}\", label = \"{name}\" }}\n"
    )
}

/// A child of `edge` for `NAME.test` that answers with its name.
pub(super) fn child(name: &str, certificates: &[&str]) -> String {
    child_with(name, certificates, &format!("no_pool = {{ status = 200, body = \"{name}\" }}"))
}

/// A child of `edge` for `NAME.test` with keys that say what it does.
pub(super) fn child_with(name: &str, certificates: &[&str], keys: &str) -> String {
    format!(
        "[virtual_service.{name}]\nparent = \"edge\"\ndomains = [\"{name}.test\"]\n\
         certificates = {certificates:?}\n{keys}\n"
    )
}

/// The id of the key of a certificate: its name, in hexadecimal digits.
pub(super) fn id_of(name: &str) -> String {
    name.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// The parent, with a certificate on file.
pub(super) const EDGE: &str = r#"
[virtual_service.edge]
listen = ["127.0.0.1:0"]
certificates = ["edge"]
no_pool = { status = 200, body = "edge" }
"#;
