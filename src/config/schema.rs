//! The keys of the configuration file: one list from which the reader, the suggestions and the
//! reference file are made.

use crate::config::admin;
use crate::config::certificate;
use crate::config::dns;
use crate::config::hsm;
use crate::config::limits;
use crate::config::log;
use crate::config::metrics;
use crate::config::policy;
use crate::config::pool;
use crate::config::process;
use crate::config::rules;
use crate::config::tickets;
use crate::config::timeouts;
use crate::config::tls_profile;
use crate::config::virtual_service;
use crate::config::watch;

/// One key of a table.
#[derive(Debug)]
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// What stands behind the equals sign in the reference file.
    pub sample: Sample,
    /// A sentence or two for the reference file.
    pub about: &'static str,
    /// The keys of the table that is its value, if it is one.
    pub within: &'static [Self],
}

/// A value of a key, as TOML.
#[derive(Clone, Copy, Debug)]
pub enum Sample {
    /// The key may be left out, which means something that no value says; this is an example of one.
    Absent(&'static str),
    /// The key may be left out, which means this value.
    Default(&'static str),
    /// The key must be there; this is an example.
    Needed(&'static str),
}

impl Sample {
    /// The TOML text.
    pub fn text(self) -> &'static str {
        match self {
            Self::Absent(text) | Self::Default(text) | Self::Needed(text) => text,
        }
    }
}

impl Key {
    /// A key that may be left out, which means something that no value says.
    pub const fn absent(name: &'static str, example: &'static str, about: &'static str) -> Self {
        Self { name, sample: Sample::Absent(example), about, within: &[] }
    }

    /// A key with a default.
    pub const fn default(name: &'static str, value: &'static str, about: &'static str) -> Self {
        Self { name, sample: Sample::Default(value), about, within: &[] }
    }

    /// A key that must be there.
    pub const fn needed(name: &'static str, example: &'static str, about: &'static str) -> Self {
        Self { name, sample: Sample::Needed(example), about, within: &[] }
    }

    /// The value is a table with these keys.
    #[must_use]
    pub const fn with(mut self, keys: &'static [Self]) -> Self {
        self.within = keys;
        self
    }
}

/// A table of the reference file.
#[derive(Debug)]
pub struct TableKeys {
    /// Its word: `log`, `pool`.
    pub word: &'static str,
    /// The name of the example in the reference file; empty for a table that exists once.
    pub example: &'static str,
    /// Sentences for the reference file.
    pub about: &'static str,
    /// Its keys, in the order of the reference file.
    pub keys: &'static [&'static [Key]],
}

/// The keys before the first table.
pub const TOP: &[Key] = &[
    Key::absent(
        "workers",
        "2",
        "Number of workers, fixed for the life of the process. Default: one per core.",
    ),
    Key::default(
        "state_dir",
        "\"state\"",
        "Directory for what must survive a restart: the ticket secret, later managed certificates.",
    ),
    Key::default(
        "include",
        "[]",
        "More files of the same kind: a file, a directory (its *.toml in the order of their names), or \
         \"conf.d/*.toml\". Only in the main file.",
    ),
];

/// The list of tables that a virtual service may have.
pub const RULES: &[Key] = &[Key::absent(
    "rules",
    "[{ path_prefix = \"/api\", pool = \"shop\" }]",
    "Requests that are treated otherwise: a list of tables, below as [[virtual_service.shop.rules]].",
)];

/// One entry of that list, as the reference file shows it.
pub const RULE: TableKeys = TableKeys {
    word: "rules",
    example: "[[virtual_service.shop.rules]]",
    about: "A rule of the virtual service `shop`: which requests, and what becomes of them. All that is named must \
            hold, and of all rules the first that matches applies, and no other. Without an action it goes on as \
            without the rule, with the edits of the rule.",
    keys: &[rules::KEYS],
};

/// Every table that exists.
pub const TABLES: &[TableKeys] = &[
    TableKeys {
        word: "admin",
        example: "",
        about: "Where /metrics, /healthz, /readyz, status and reload are answered.",
        keys: &[admin::KEYS],
    },
    TableKeys {
        word: "dns",
        example: "",
        about: "How the names of endpoints are resolved.",
        keys: &[dns::KEYS],
    },
    TableKeys {
        word: "limits",
        example: "",
        about: "Bounds on what clients can make the proxy hold.",
        keys: &[limits::KEYS],
    },
    TableKeys {
        word: "log",
        example: "",
        about: "The application log (one JSON line for each exchange) and the operational messages on stderr.",
        keys: &[log::SHARED_KEYS, log::OWN_KEYS],
    },
    TableKeys {
        word: "metrics",
        example: "",
        about: "Bucket bounds of the histograms, in seconds, ascending.",
        keys: &[metrics::KEYS],
    },
    TableKeys {
        word: "process",
        example: "",
        about: "As whom the process runs, and how strict it is about the files of keys.",
        keys: &[process::KEYS],
    },
    TableKeys {
        word: "tickets",
        example: "",
        about: "The secret of the site, from which the keys of all session tickets are derived.",
        keys: &[tickets::KEYS],
    },
    TableKeys {
        word: "timeouts",
        example: "",
        about: "How long the proxy waits for a client, and for itself when it stops.",
        keys: &[timeouts::KEYS],
    },
    TableKeys {
        word: "watch",
        example: "",
        about: "How changes of files are noticed.",
        keys: &[watch::KEYS],
    },
    TableKeys {
        word: "virtual_service",
        example: "edge",
        about: "A parent: owns the sockets, and serves clients whose server name no child matches. It may also have the \
                keys from `allow` on, which stand below in the child, and rules.",
        keys: &[virtual_service::PARENT_KEYS, virtual_service::KEYS],
    },
    TableKeys {
        word: "virtual_service",
        example: "shop",
        about: "A child: chosen by the server name in the ClientHello. It owns no address; all else is its own.",
        keys: &[virtual_service::CHILD_KEYS, virtual_service::KEYS, policy::KEYS, RULES],
    },
    TableKeys {
        word: "certificate",
        example: "shop_ec",
        about: "A certificate: a named slot, and the files that fill it.",
        keys: &[certificate::KEYS],
    },
    TableKeys {
        word: "certificate",
        example: "shop_rsa",
        about: "A certificate whose private key stays in a token: it is in no file, and not in the memory of this process.",
        keys: &[certificate::KEYS_WITH_TOKEN],
    },
    TableKeys {
        word: "hsm",
        example: "prod",
        about: "Tokens (HSMs) that hold the same private keys: while one of them is up, it signs for all that use the \
                group.",
        keys: &[hsm::KEYS],
    },
    TableKeys {
        word: "tls_profile",
        example: "partners",
        about: "What a virtual service speaks. `modern` (TLS 1.3 only) and `intermediate` (1.2 and 1.3) are built in; \
                what a profile leaves out is as in `intermediate`, without the suites of versions that it does not name.",
        keys: &[tls_profile::KEYS],
    },
    TableKeys {
        word: "pool",
        example: "shop",
        about: "A pool: the endpoints that answer, how one is chosen, and how it is spoken to.",
        keys: &[pool::KEYS],
    },
];

/// The keys that a table may hold, whatever its role.
pub fn keys_of(word: &str) -> impl Iterator<Item = &'static Key> {
    let slices = TABLES.iter().filter(move |table| table.word == word);
    slices.flat_map(|table| table.keys.iter().copied().flatten())
}
