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
//! 4. Whatever can change under traffic is a [`live::Live`], and there are few: a listener's table
//!    and the place that its plain side redirects to, a certificate's material, a pool's members and
//!    their standing, and the page that the admin shows.
//!
//! # Storeys
//!
//! A module imports from strictly lower storeys only; `tests/layers.rs` keeps it so.
//!
//! | storey | module | owns |
//! |---|---|---|
//! | 12 | [`cli`] | the operator's words: run, check, reload, status, explain, hsm, demo, serve |
//! | 11 | [`admin`] | `/metrics`, `/healthz`, `/readyz`, `/status`, `/reload` on loopback or a Unix socket |
//! | 10 | [`runtime`] | threads, sockets, signals, file watching, reload, drain: *when* things happen |
//! | 9 | [`http`] | one HTTP connection: serve, forward, fields, bodies, answers of our own, tunnels |
//! | 8 | [`relay`] | one byte stream between a client and an endpoint |
//! | 7 | [`service`] | what a virtual service is; the name table; policies; retirement |
//! | 6 | [`upstream`] | pools: members, choice, limits, connecting, HTTP/1.1 with endpoints, idle connections, names, health |
//! | 5 | [`tls`] | the ClientHello, profiles, the choice of a certificate, tickets, the handshake, the stream after it |
//! | 4 | [`certificate`] | slots and their material: chain, key, facts, what is on disk |
//! | 3 | [`hsm`] | private keys in tokens: modules, groups, sessions, the signing lane |
//! | 2 | [`http2`], [`key`], [`telemetry`] | HTTP/2 with clients as a machine without sockets; private keys from files; metrics, application log, messages |
//! | 1 | [`config`], [`message`] | text to checked `Config`, every complaint with line and caret; heads of requests and responses |
//! | 0 | [`names`], [`live`], [`per_worker`], [`spares`], [`proxy_protocol`] | the words, three small mechanisms, one header |
//!
//! # Journeys
//!
//! **A connection.** [`runtime::accept`] takes it from the kernel. [`runtime::connection`] is the
//! product in one screen: a PROXY header is read where one is due; [`tls::hello`] reads and parses
//! the ClientHello with our own parser; [`service::table`] finds the service, whose policy and whose
//! limits may close the connection before its handshake costs a signature; a `passthrough` service
//! goes to [`relay`] with the bytes of the hello; the services of a worker take turns with their
//! handshakes ([`runtime::turnstile`]), so that a crowd at one waits for itself; [`tls::choose`] decides version, suite, group and certificate as a
//! pure function, the same that `portcullis explain` calls; [`tls::acceptor`] has rustls carry that
//! out, without buffers of its own ([`tls::stream`]); [`http`] serves what follows, or [`relay`] for a `tcp` service. HTTP/1.1 is our own
//! with clients ([`http::http1`]) and with endpoints ([`upstream::http1`]), and so is HTTP/2 with clients:
//! a machine ([`http2`]), and the loop around it ([`http::http2`]). hyper speaks HTTP/2 to endpoints and
//! serves the admin. A connection that fails before it has a service is the
//! parent's to count and to log.
//!
//! **A connection whose key is in a token.** It is chosen only while a token can sign with it; else the
//! client gets the certificate of the other key type, or an alert that says whose fault it is. rustls
//! signs inside the calls that read the client's bytes, so the whole handshake moves to the signing
//! lane of the key's group ([`hsm::lane`]), on threads that may block; its socket stays with the
//! worker, which waits as for any other future and gets the stream back established. There, a wanted
//! signature goes on the group's board ([`hsm::board`]), and a thread that owns a session with a token
//! ([`hsm::session`]) takes it from there and calls the module. It has a deadline, and at half of it
//! another member is asked too. What there is no room for is refused at once. A resumed session goes the
//! same way and asks for nothing.
//!
//! **A request.** [`http::gate`] checks it before anything looks at it: one host, one end, one path.
//! [`http`] checks the host against the child, applies the service's policy
//! ([`service::policy`], pure; a service without one pays for a look at a pointer), edits the fields
//! in place and hands over to [`upstream`]: `choose` says which endpoint is next, `standing` who may
//! be, `pick` takes a place in flight or waits for one, and an idle connection *of this worker* is
//! used: over HTTP/1.1 by the request's own task, which writes to it and reads from it without another task
//! in between. The exchange writes metrics and one log line when it is dropped, however it ended.
//!
//! **A tunnel.** A WebSocket is a request until its 101; then HTTP is over and the bytes are
//! relayed, as those of a `tcp` or `passthrough` service are from the beginning: one buffer for each
//! worker, `splice` between two TCP sockets, nothing held while nothing moves. Tunnels outlive a
//! reload of their service and end with the drain.
//!
//! **A reload.** A signal, an edited file and the admin call all end in [`runtime::reload`]:
//! `Config::load` collects all complaints; [`runtime::plan`] compares, pure; [`runtime::prepare`]
//! reads files, compiles profiles and policies and binds sockets, and dropping its result undoes it;
//! [`runtime::commit`] cannot fail: it stores pointers, hands over sockets, has pools looked after,
//! and *retires* what was replaced. Shutdown is: retire everything. What compares equal keeps its `Arc`, and with it its
//! connections, idle upstream connections, tickets, sessions with tokens and counters.
//!
//! **A certificate.** Its slot lives as long as its name is configured. [`runtime::watch`] says that
//! a file may have changed, [`runtime::refresh`] reads and checks it, and the slot gets the new
//! material or keeps the old and says so. A handshake reads the slot once, so a renewal needs no
//! reload of the configuration. A key in a token has proven itself before it gets into a slot; at a
//! start alone it may come later, so that a token that is away keeps no other site down.
//!
//! **An endpoint.** Names are looked up again when their time to live is over, and endpoints are
//! checked, by tasks of the control plane ([`upstream::supervision`]) that end with their pool; a
//! pool with neither has none. What they find changes the pool's members or an endpoint's standing;
//! connections of endpoints that stay are not touched.
//!
//! # Invariants
//!
//! - A worker never waits for another thread, and never reads a file.
//! - A worker never waits for a token: the signer refuses on any thread but the lane's.
//! - Nothing is believed of a token: a key is used after it has proven itself.
//! - `commit` cannot fail; whatever can fail is in `prepare`.
//! - Nothing that a client, an origin or a file does panics; a panic would end one connection alone,
//!   or refuse one reload, and is counted, and its place is told.
//! - A connection that waits holds no buffer, neither with a client nor with an endpoint over HTTP/1.1: bytes
//!   pass through those of the worker.
//! - No state of a connection is without an end, and no wait for a client that does not move is longer
//!   than 30 s unless the operator says so.
//! - A request body that breaks off is never a whole request at an endpoint, and never its fault.
//! - Label values of metrics come from the configuration or from closed enums, never from a client.
//! - A request never falls back from a child to its parent's pool.
//! - A refused handshake is answered with the alert that tells the truth; a connection that is not
//!   wanted from this address or at this rate is closed without a word.
//! - What is matched by a rule is what the endpoint gets: one form of a path, and no other.
//! - Tickets are bound to their service and its client-certificate policy by the key that seals them.

pub mod admin;
pub mod certificate;
pub mod cli;
pub mod config;
pub mod hsm;
pub mod http;
pub mod http2;
pub mod key;
pub mod live;
pub mod message;
pub mod names;
pub mod per_worker;
pub mod proxy_protocol;
pub mod relay;
pub mod runtime;
pub mod service;
pub mod spares;
pub mod telemetry;
pub mod tls;
pub mod upstream;
