//! Portcullis: a TLS front door. One listener, many sites.
//!
//! This page is the architecture as it is. Each module's own page starts where this one ends.
//!
//! # The picture
//!
//! ```text
//!      files, signals, admin                           clients
//!               |                                         |
//!   +-----------v-----------------+         +-------------v---------------+
//!   | CONTROL PLANE (one thread)  |         | DATA PLANE (N workers)      |
//!   | parse -> plan -> prepare    | Live<T> | accept -> hello -> service  |
//!   |       -> commit             |-------->| -> handshake -> request     |
//!   | may wait, fail, retry       |         | -> endpoint -> response     |
//!   +-----------------------------+         | never contends, never parses|
//!                                           +-----------------------------+
//! ```
//!
//! Configuration is compiled into tables. Workers read tables. Only the control plane replaces one.
//!
//! 1. A *listener* belongs to a parent virtual service; its *table* maps a server name to a child.
//! 2. A *virtual service* owns all that is decided per name: certificates, TLS profile, pool,
//!    policies, metrics, log.
//! 3. A connection is given to one virtual service when its ClientHello has been read, and keeps it
//!    until it closes. One exception, by configuration: `host_check = "same_policy"` lets a request
//!    be served by a sibling with the same TLS policy.
//! 4. Whatever can change under traffic is a [`live::Live`], and there are few: a listener's table,
//!    a certificate's material, a pool's members, and the page that the admin shows.
//!
//! # Storeys
//!
//! A module imports from strictly lower storeys only; `tests/layers.rs` keeps it so.
//!
//! | storey | module | owns |
//! |---|---|---|
//! | 10 | [`cli`] | the operator's words: run, check, reload, status, explain, demo, serve |
//! | 9 | [`admin`] | `/metrics`, `/healthz`, `/readyz`, `/status`, `/reload` on loopback or a Unix socket |
//! | 8 | [`runtime`] | threads, sockets, signals, file watching, reload, drain: *when* things happen |
//! | 7 | [`http`] | one HTTP connection: serve, forward, fields, bodies, answers of our own |
//! | 6 | [`service`] | what a virtual service is; the name table; retirement |
//! | 5 | [`upstream`] | pools: members, choice, connecting, idle connections |
//! | 4 | [`tls`] | the ClientHello, profiles, the choice of a certificate, tickets, the handshake |
//! | 3 | [`certificate`] | slots and their material: chain, key, facts, what is on disk |
//! | 2 | [`key`], [`telemetry`] | private keys from files; metrics, application log, messages |
//! | 1 | [`config`] | text to checked `Config`; every complaint with line and caret |
//! | 0 | [`names`], [`live`], [`per_worker`] | the words and two small mechanisms |
//!
//! # Journeys
//!
//! **A connection.** [`runtime::accept`] takes it from the kernel. [`runtime::connection`] is the
//! product in one screen: [`tls::hello`] reads and parses the ClientHello with our own parser;
//! [`service::table`] finds the service; [`tls::choose`] decides version, suite, group and
//! certificate as a pure function, the same that `portcullis explain` calls; [`tls::acceptor`] has
//! rustls carry that out; [`http`] serves what follows. A connection that fails before it has a
//! service is the parent's to count and to log.
//!
//! **A request.** [`http`] checks the host against the child, edits the fields in place and hands
//! over to [`upstream`], which picks an endpoint and an idle connection *of this worker*. The
//! exchange writes metrics and one log line when it is dropped, however it ended.
//!
//! **A reload.** A signal, an edited file and the admin call all end in [`runtime::reload`]:
//! `Config::load` collects all complaints; [`runtime::plan`] compares, pure; [`runtime::prepare`]
//! reads files, compiles profiles and binds sockets, and dropping its result undoes it;
//! [`runtime::commit`] cannot fail: it stores pointers, hands over sockets, and *retires* what was
//! replaced. Shutdown is: retire everything. What compares equal keeps its `Arc`, and with it its
//! connections, idle upstream connections, tickets and counters.
//!
//! **A certificate.** Its slot lives as long as its name is configured. [`runtime::watch`] says that
//! a file may have changed, [`runtime::refresh`] reads and checks it, and the slot gets the new
//! material or keeps the old and says so. A handshake reads the slot once, so a renewal needs no
//! reload of the configuration.
//!
//! # Invariants
//!
//! - A worker never waits for another thread, and never reads a file.
//! - `commit` cannot fail; whatever can fail is in `prepare`.
//! - Nothing that a client, an origin or a file does panics; a panic would end one connection alone.
//! - Label values of metrics come from the configuration or from closed enums, never from a client.
//! - A request never falls back from a child to its parent's pool.
//! - A refused handshake is answered with the alert that tells the truth.
//! - Tickets are bound to their service and its client-certificate policy by the key that seals them.

pub mod admin;
pub mod certificate;
pub mod cli;
pub mod config;
pub mod http;
pub mod key;
pub mod live;
pub mod names;
pub mod per_worker;
pub mod proxy_protocol;
pub mod relay;
pub mod runtime;
pub mod service;
pub mod telemetry;
pub mod tls;
pub mod upstream;
