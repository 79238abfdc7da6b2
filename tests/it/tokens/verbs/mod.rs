//! `portcullis hsm`: what an operator does with keys in tokens (SPEC HSM-5, HSM-6, CERT-5).

mod listing;
mod making;
mod probing;
mod requests;

use std::path::Path;

use crate::kit::Ca;
use crate::kit::Leaf;
use crate::kit::Site;
use crate::kit::command::Finished;
use crate::kit::portcullis;
use crate::kit::token;
use crate::kit::token::PIN;
use crate::kit::token::SoftHsm;
use crate::kit::token::Token;

/// A site with the tokens `a` and `b`, which are the members of `[hsm.prod]`.
struct Desk {
    site: Site,
    a: Token,
    b: Token,
    softhsm: SoftHsm,
}

impl Desk {
    /// `None`: there is no SoftHSM here, which has been said.
    async fn new() -> Option<Self> {
        if !token::can_be_made() {
            return None;
        }
        let site = Site::new();
        site.certificate("plain", &Ca::shared().issue(&Leaf::p256("plain.test")));
        site.write("pin", PIN);
        let softhsm = SoftHsm::of(&site);
        let [a, b] = [softhsm.token("a").await, softhsm.token("b").await];
        let desk = Self { site, a, b, softhsm };
        desk.configure(&desk.softhsm.module.path, &[]);
        Some(desk)
    }

    /// Has certificates whose keys are in the group: each has a virtual service, a file and a label of its name.
    fn configure(&self, module: &Path, certificates: &[&str]) {
        let mut text = format!(
            "[virtual_service.edge]\nlisten = [\"127.0.0.1:0\"]\ncertificates = [\"plain\"]\n\
             no_pool = {{ status = 404 }}\n[hsm.prod]\nmodule = \"{}\"\npin = {{ file = \"pin\" }}\nsessions = 2\n\
             members = [{{ token = \"a\" }}, {{ token = \"b\", priority = 2 }}]\n",
            module.display()
        );
        for name in certificates {
            text.push_str(&format!(
                "[virtual_service.{name}]\nparent = \"edge\"\ndomains = [\"{name}.test\"]\n\
                 certificates = [\"{name}\"]\nno_pool = {{ status = 200 }}\n\
                 [certificate.{name}]\nchain = \"certs/{name}.pem\"\nkey = {{ hsm = \"prod\", label = \"{name}\" }}\n"
            ));
        }
        self.site.configure(&text);
    }

    /// `portcullis hsm ARGUMENTS` with the configuration of the site; no PIN is in what it says (SPEC CERT-8).
    async fn hsm(&self, arguments: &[&str]) -> Finished {
        let config = ["--config", "portcullis.toml"];
        let finished = portcullis(&self.site, &[&["hsm"], arguments, &config].concat()).await;
        let text = finished.text();
        let mut words = text.split(|c: char| !c.is_ascii_alphanumeric());
        assert!(!words.any(|word| word == PIN || word == WRONG_PIN), "{text}");
        finished
    }

    /// As [`hsm`](Self::hsm), where it must end well.
    async fn done(&self, arguments: &[&str]) -> Finished {
        let finished = self.hsm(arguments).await;
        assert_eq!(finished.code, 0, "{arguments:?}: {}", finished.text());
        finished
    }

    /// As [`hsm`](Self::hsm), where it must fail, and say each of these.
    async fn refused(&self, arguments: &[&str], told: &[&str]) {
        let finished = self.hsm(arguments).await;
        assert_eq!(finished.code, 1, "{arguments:?}: {}", finished.text());
        for word in told {
            assert!(finished.stderr.contains(word), "{word}: {}", finished.text());
        }
    }

    /// Makes a key in `a`.
    async fn generate(&self, label: &str, kind: &str) -> Finished {
        self.done(&["generate", "--hsm", "prod", "--label", label, "--type", kind]).await
    }
}

/// What no token takes.
const WRONG_PIN: &str = "987654";
