//! Exact names and the three wildcards: the most specific one wins, whatever the order in the file.

use crate::kit::Ca;
use crate::kit::Issued;
use crate::kit::Leaf;
use crate::kit::Proxy;
use crate::kit::Site;
use crate::kit::command::installed;
use crate::kit::openssl::s_client;

/// VS-3
#[tokio::test]
async fn the_most_specific_pattern_wins_whatever_the_order() {
    let mut children = CHILDREN;
    for turn in 0..2 {
        let district = District::start(&children).await;
        for (name, expected) in EXPECTED {
            let served = district.child_of(name).await;
            assert_eq!(served, expected, "{name} in order {turn}");
        }
        children.reverse();
    }
}

/// VS-3
#[tokio::test]
async fn case_and_a_trailing_dot_do_not_matter() {
    if !installed("openssl") {
        return;
    }
    let district = District::start(&CHILDREN).await;
    for name in ["APP.Test.Example.COM", "app.test.example.com.", "app.test.EXAMPLE.com."] {
        let outcome = s_client(district.proxy.address("edge"), name, &[]).await;
        let (child, _) = district
            .certificates
            .iter()
            .find(|(_, issued)| outcome.served(issued))
            .unwrap_or_else(|| panic!("{name}: {}", outcome.text));
        assert_eq!(child, "exact", "{name}");
    }
}

/// One child for each pattern, with a certificate of its own by which it is known.
struct District {
    certificates: Vec<(String, Issued)>,
    proxy: Proxy,
    _site: Site,
}

impl District {
    async fn start(children: &[(&str, &str)]) -> Self {
        let site = Site::new();
        let mut certificates = Vec::new();
        let mut toml =
            "\n[virtual_service.edge]\nlisten = [\"127.0.0.1:0\"]\ncertificates = [\"edge\"]\n"
                .to_owned();
        let names = children.iter().map(|(child, _)| *child).chain(["edge"]);
        for child in names {
            let issued = Ca::shared().issue(&Leaf::p256("any.test"));
            site.certificate(child, &issued);
            certificates.push((child.to_owned(), issued));
        }
        for (child, pattern) in children {
            toml.push_str(&format!(
                "\n[virtual_service.{child}]\nparent = \"edge\"\ndomains = [\"{pattern}\"]\n\
                 certificates = [\"{child}\"]\nno_pool = {{ status = 200, body = \"{child}\" }}\n"
            ));
        }
        let proxy = Proxy::start(&site, &toml).await;
        Self { certificates, proxy, _site: site }
    }

    async fn child_of(&self, name: &str) -> &str {
        let session = self.proxy.client(name).handshake().await.unwrap();
        let served = |(_, issued): &&(String, Issued)| session.facts.served(issued);
        let (child, _) = self.certificates.iter().find(served).expect("one of ours");
        child
    }
}

const CHILDREN: [(&str, &str); 7] = [
    ("exact", "app.test.example.com"),
    ("below_test", "*.test.example.com"),
    ("below_example", "*.example.com"),
    ("apex_and_below", ".example.org"),
    ("exact_below_apex", "deep.example.org"),
    ("stem", "www.example.*"),
    ("long_stem", "www.example.co.*"),
];

const EXPECTED: [(&str, &str); 14] = [
    ("app.test.example.com", "exact"),
    ("other.test.example.com", "below_test"),
    ("one.two.test.example.com", "below_test"),
    ("test.example.com", "below_example"),
    ("mail.example.com", "below_example"),
    ("a.b.example.com", "below_example"),
    ("example.com", "edge"),
    ("badexample.com", "edge"),
    ("example.org", "apex_and_below"),
    ("a.b.example.org", "apex_and_below"),
    ("deep.example.org", "exact_below_apex"),
    ("www.example.net", "stem"),
    ("www.example.co.uk", "long_stem"),
    ("www.examples.net", "edge"),
];
