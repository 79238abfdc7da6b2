//! Groups of tokens: tenants that do not know each other, members that share or stand in, and what is told of
//! them in metrics and status.

use std::collections::BTreeSet;

use serde_json::Value;
use tokio::process::Command;

use crate::kit::Issued;
use crate::kit::Leaf;
use crate::kit::Proxy;
use crate::kit::Refused;
use crate::kit::client::Facts;
use crate::kit::command::installed;
use crate::kit::command::run;
use crate::kit::eventually;
use crate::kit::portcullis;
use crate::kit::token::FaultModule;
use crate::tokens::token_site::EDGE;
use crate::tokens::token_site::TokenSite;
use crate::tokens::token_site::certificate;
use crate::tokens::token_site::child;
use crate::tokens::token_site::group;

/// HSM-3: each signs with its own module and its own token.
#[tokio::test]
async fn tenants_have_modules_and_tokens_of_their_own() {
    let Some(tenants) = Tenants::start(QUIET).await else { return };
    let idle = [("hsm", "right"), ("member", "b"), ("state", "idle")];
    tenants.proxy.metric_becomes("portcullis_hsm_sessions", &idle, 8.0).await;
    let before = tenants.fault.signatures();
    for _ in 0..8 {
        assert!(tenants.visit("left").await.unwrap().served(&tenants.left));
    }
    assert_eq!(tenants.fault.signatures(), before, "nobody asks the other one");
    for _ in 0..8 {
        assert!(tenants.visit("right").await.unwrap().served(&tenants.right));
    }
    assert!(tenants.fault.signatures() >= before + 8);
}

/// HSM-3
#[tokio::test]
async fn a_group_that_is_away_is_away_for_its_own_services_only() {
    let Some(tenants) = Tenants::start(WATCHED).await else { return };
    tenants.fault.absent(true);
    tenants.right_is_up(0.0).await;
    for _ in 0..8 {
        assert!(tenants.visit("right").await.is_err());
        assert!(tenants.visit("left").await.unwrap().served(&tenants.left));
    }
    let labels = [("hsm", "left"), ("member", "a"), ("status", "down")];
    assert_eq!(tenants.proxy.metric("portcullis_hsm_transitions_total", &labels).await, 0.0);
    tenants.fault.absent(false);
    tenants.right_is_up(1.0).await;
    assert!(tenants.visit("right").await.unwrap().served(&tenants.right));
}

/// HSM-3
#[tokio::test]
async fn equal_members_share_the_work() {
    let Some(pair) = Pair::start([1, 1]).await else { return };
    let before = pair.settled().await;
    pair.visits(20).await;
    let after = pair.signatures();
    assert_eq!(
        after.iter().sum::<u64>(),
        before.iter().sum::<u64>() + 20,
        "one for each handshake"
    );
    let shares = [after[0] - before[0], after[1] - before[1]];
    assert!(shares.iter().all(|share| *share >= 5), "{shares:?}");
}

/// HSM-3: while the better one is up, the other has nothing to do.
#[tokio::test]
async fn a_member_of_lower_priority_only_stands_in() {
    for (priorities, shares) in [([1, 2], [20, 0]), ([3, 2], [0, 20])] {
        let Some(pair) = Pair::start(priorities).await else { return };
        let before = pair.settled().await;
        pair.visits(20).await;
        let after = pair.signatures();
        assert_eq!([after[0] - before[0], after[1] - before[1]], shares, "{priorities:?}");
    }
}

/// HSM-7: for each group and member, from the first moment.
#[tokio::test]
async fn metrics_are_there_for_each_group_and_member() {
    let Some(tenants) = Tenants::start(QUIET).await else { return };
    assert!(tenants.visit("left").await.is_ok() && tenants.visit("right").await.is_ok());
    let samples = tenants.proxy.samples().await;
    let labels_of = |name: &str| {
        let of_name =
            samples.iter().filter(|sample| sample.name == format!("portcullis_hsm_{name}"));
        let values = of_name.map(|sample| {
            let labels = sample.labels.iter().filter(|(label, _)| label != "le");
            labels.map(|(_, value)| value.clone()).collect::<Vec<_>>().join("/")
        });
        values.collect::<BTreeSet<_>>()
    };
    let groups = |suffixes: &[&str]| {
        let all =
            suffixes.iter().flat_map(|suffix| [format!("left{suffix}"), format!("right{suffix}")]);
        all.collect::<BTreeSet<_>>()
    };
    for name in ["handshakes_active", "queue_length", "queue_duration_seconds_count"] {
        assert_eq!(labels_of(name), groups(&[""]), "{name}");
    }
    let reasons = groups(&["/deadline", "/failed", "/no_member", "/queue_full"]);
    assert_eq!(labels_of("refused_total"), reasons);
    let members = |suffixes: &[&str]| {
        let all = suffixes
            .iter()
            .flat_map(|suffix| [format!("left/a{suffix}"), format!("right/b{suffix}")]);
        all.collect::<BTreeSet<_>>()
    };
    for name in [
        "member_up",
        "connects_total",
        "failovers_total",
        "pin_refused",
        "sign_duration_seconds_count",
        "sign_duration_seconds_sum",
    ] {
        assert_eq!(labels_of(name), members(&[""]), "{name}");
    }
    assert_eq!(labels_of("transitions_total"), members(&["/up", "/down"]));
    assert_eq!(labels_of("sessions"), members(&["/idle", "/busy", "/down"]));
    assert!(labels_of("errors_total").is_empty(), "nothing went wrong");
}

/// HSM-7, OBS-2
#[tokio::test]
async fn promtool_has_no_complaint() {
    let Some(tenants) = Tenants::start(WATCHED).await.filter(|_| installed("promtool")) else {
        return;
    };
    tenants.fault.absent(true);
    tenants.right_is_up(0.0).await;
    assert!(tenants.visit("left").await.is_ok() && tenants.visit("right").await.is_err());
    let scrape = tenants.proxy.ask("/metrics").await.text();
    assert!(scrape.contains("portcullis_hsm_errors_total{"), "{scrape}");
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]);
    let finished = run(command, &scrape).await;
    assert_eq!((finished.code, &*finished.text()), (0, ""), "promtool check metrics");
}

/// HSM-7: to people, and to programs.
#[tokio::test]
async fn status_says_which_members_are_up_and_what_is_wrong_with_others() {
    let Some(tenants) = Tenants::start(WATCHED).await else { return };
    tenants.fault.absent(true);
    tenants.right_is_up(0.0).await;
    let status: Value = serde_json::from_str(&tenants.proxy.ask("/status").await.text()).unwrap();
    let [left, right] = ["/hsms/0", "/hsms/1"].map(|path| status.pointer(path).unwrap());
    assert_eq!((&left["name"], &right["name"]), (&"left".into(), &"right".into()));
    let (a, b) = (&left["members"][0], &right["members"][0]);
    assert_eq!((&a["name"], &a["state"], &a["problem"]), (&"a".into(), &"up".into(), &Value::Null));
    assert_eq!((&b["name"], &b["state"]), (&"b".into(), &"down".into()));
    let problem = b["problem"].as_str().unwrap();
    assert!(b["seconds"].as_u64().is_some_and(|seconds| seconds < 30), "{b}");
    let admin = tenants.proxy.admin().to_string();
    let table = portcullis(&tenants.site.site, &["status", "--admin", &admin]).await;
    let table = table.stdout.split("\n\n").find(|table| table.starts_with("HSM ")).unwrap();
    let rows: Vec<Vec<&str>> =
        table.lines().skip(1).map(|row| row.split_whitespace().collect()).collect();
    assert_eq!((&rows[0][..3], rows[0].len()), (&["left", "a", "up"][..], 5), "{table}");
    assert_eq!(rows[1][..3], ["right", "b", "down"], "{table}");
    assert!(table.ends_with(problem), "{table}");
}

/// Two services with keys in two groups: `left` by the module of SoftHSM in the token `a`, `right` by one that
/// can fail in the token `b`.
struct Tenants {
    left: Issued,
    right: Issued,
    fault: FaultModule,
    proxy: Proxy,
    site: TokenSite,
}

impl Tenants {
    async fn start(keys: &str) -> Option<Self> {
        let site = TokenSite::new()?;
        let [a, b] = [site.softhsm.token("a").await, site.softhsm.token("b").await];
        let left = site.issue("left", &Leaf::p256("left.test"), &[&a]).await;
        let right = site.issue("right", &Leaf::rsa("right.test"), &[&b]).await;
        let fault = FaultModule::before(&site.softhsm);
        let mut toml = EDGE.to_owned();
        for (name, module, token) in
            [("left", &site.softhsm.module, "a"), ("right", &fault.module, "b")]
        {
            let member = format!("{{ token = \"{token}\" }}");
            toml.push_str(&group(name, &module.path, &member, keys));
            toml.push_str(&certificate(name, name));
            toml.push_str(&child(name, &[name]));
        }
        let proxy = Proxy::start(&site.site, &toml).await;
        Some(Self { left, right, fault, proxy, site })
    }

    async fn visit(&self, name: &str) -> Result<Facts, Refused> {
        let visit = self.proxy.client(&format!("{name}.test")).visit().await?;
        assert_eq!(visit.body, name);
        Ok(visit.facts)
    }

    async fn right_is_up(&self, value: f64) {
        let labels = [("hsm", "right"), ("member", "b")];
        self.proxy.metric_becomes("portcullis_hsm_member_up", &labels, value).await;
    }
}

/// Two tokens with the same key, each with a module of its own that counts.
struct Pair {
    modules: [FaultModule; 2],
    proxy: Proxy,
    _site: TokenSite,
}

impl Pair {
    /// With these priorities, one session each, and nobody who asks without need.
    async fn start(priorities: [u8; 2]) -> Option<Self> {
        let site = TokenSite::new()?;
        let [a, b] = [site.softhsm.token("a").await, site.softhsm.token("b").await];
        site.issue("shop", &Leaf::p256("shop.test"), &[&a, &b]).await;
        let modules = [FaultModule::before(&site.softhsm), FaultModule::before(&site.softhsm)];
        let member = |token: &str, index: usize| {
            let (module, priority) = (modules[index].module.path.display(), priorities[index]);
            format!("{{ token = \"{token}\", module = \"{module}\", priority = {priority} }}")
        };
        let members = [member("a", 0), member("b", 1)].join(", ");
        let toml = [
            EDGE,
            &group("prod", &modules[0].module.path, &members, &format!("sessions = 1\n{QUIET}")),
            &certificate("shop", "prod"),
            &child("shop", &["shop"]),
        ];
        let proxy = Proxy::start(&site.site, &toml.concat()).await;
        for member in ["a", "b"] {
            let labels = [("hsm", "prod"), ("member", member)];
            proxy.metric_becomes("portcullis_hsm_member_up", &labels, 1.0).await;
        }
        Some(Self { modules, proxy, _site: site })
    }

    async fn visits(&self, count: usize) {
        for _ in 0..count {
            self.proxy.client("shop.test").visit().await.unwrap();
        }
    }

    /// What each has signed so far.
    fn signatures(&self) -> [u64; 2] {
        self.modules.each_ref().map(FaultModule::signatures)
    }

    /// The same, once what they do at the start is over: three handshakes cost three.
    async fn settled(&self) -> [u64; 2] {
        eventually("members that sign for handshakes only", async || {
            let before: u64 = self.signatures().iter().sum();
            self.visits(3).await;
            Some(self.signatures()).filter(|after| after.iter().sum::<u64>() == before + 3)
        })
        .await
    }
}

/// Nobody is asked without need.
const QUIET: &str = "probe_interval = \"5m\"";

/// Whoever has nothing to do is asked every second.
const WATCHED: &str = "probe_interval = \"1s\"";
