//! Every metric of the product in one table: name, kind, help, labels.
//!
//! `virtual_service`, where a metric has it, is the first label: the filter of `/metrics` relies on it.

/// What a family is to Prometheus.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Only goes up.
    Counter,
    /// Goes both ways.
    Gauge,
    /// Times in seconds over `[metrics] request_buckets`.
    RequestSeconds,
    /// Times in seconds over `[metrics] handshake_buckets`.
    HandshakeSeconds,
}

impl Kind {
    /// The word of a `# TYPE` line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::RequestSeconds | Self::HandshakeSeconds => "histogram",
        }
    }
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Description {
    /// The full name, unit and `_total` included.
    pub name: &'static str,
    /// What it is to Prometheus.
    pub kind: Kind,
    /// One sentence for whoever reads a dashboard.
    pub help: &'static str,
    /// The label names, in the order in which they are written.
    pub labels: &'static [&'static str],
}

/// Makes the enum [`Family`] and its table from one list, so that they cannot disagree.
macro_rules! families {
    ($($variant:ident = $name:literal $kind:ident [$($label:literal),*] $help:literal;)*) => {
        /// A metric of the product.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum Family {
            $(#[doc = $help] $variant,)*
        }

        impl Family {
            /// All of them, in the order in which they are rendered.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
        }

        const CATALOG: &[Description] = &[
            $(Description { name: $name, kind: Kind::$kind, help: $help, labels: &[$($label),*] },)*
        ];
    };
}

families! {
    ListenerConnections = "portcullis_listener_connections_total" Counter ["virtual_service"]
        "TCP connections accepted by a parent, before a virtual service is selected.";
    ListenerAcceptFailures = "portcullis_listener_accept_failures_total" Counter ["virtual_service", "reason"]
        "Failures of accept on the sockets of a parent.";
    ListenerRejections = "portcullis_listener_connections_rejected_total" Counter ["virtual_service", "reason"]
        "Times that a parent left connections waiting instead of accepting them, by reason: connection_limit.";
    SniUnmatched = "portcullis_tls_sni_unmatched_total" Counter ["virtual_service", "sni"]
        "ClientHellos on a parent whose server name selects no child: absent or unknown.";
    HandshakeFailures = "portcullis_tls_handshake_failures_total" Counter ["virtual_service", "reason"]
        "Connections of a parent that no virtual service got: failed TLS handshakes and bad PROXY headers, by reason.";
    Connections = "portcullis_connections_total" Counter ["virtual_service"]
        "TLS connections given to a virtual service.";
    ConnectionsActive = "portcullis_connections_active" Gauge ["virtual_service"]
        "TLS connections of a virtual service that are open.";
    ConnectionsRefused = "portcullis_connections_refused_total" Counter ["virtual_service", "reason"]
        "Connections that a virtual service did not want, closed before their handshake by its policy or a limit, by reason.";
    Handshakes = "portcullis_tls_handshakes_total" Counter ["virtual_service", "version", "key_type", "resumed", "pfs"]
        "Finished TLS handshakes, by version, key type of the certificate, resumption and forward secrecy.";
    Ciphers = "portcullis_tls_cipher_total" Counter ["virtual_service", "cipher"]
        "Finished TLS handshakes, by cipher suite.";
    Groups = "portcullis_tls_group_total" Counter ["virtual_service", "group"]
        "Finished TLS handshakes, by key exchange group.";
    HandshakeDuration = "portcullis_tls_handshake_duration_seconds" HandshakeSeconds ["virtual_service"]
        "Time from the ClientHello to the end of the TLS handshake.";
    ExpiredServed = "portcullis_tls_expired_certificate_served_total" Counter ["virtual_service"]
        "Finished TLS handshakes with an expired certificate, because none in date fitted.";
    Requests = "portcullis_http_requests_total" Counter ["virtual_service", "code", "protocol"]
        "Finished HTTP requests, by status class and protocol.";
    RequestsActive = "portcullis_http_requests_active" Gauge ["virtual_service"]
        "HTTP requests in progress.";
    RequestDuration = "portcullis_http_request_duration_seconds" RequestSeconds ["virtual_service"]
        "Time from the head of a request to the end of its response.";
    UpstreamDuration = "portcullis_upstream_response_duration_seconds" RequestSeconds ["virtual_service"]
        "Time from sending a request upstream to the head of the response.";
    HostMismatches = "portcullis_http_host_mismatches_total" Counter ["virtual_service"]
        "Requests refused because their host does not belong to the virtual service of the connection.";
    RequestFailures = "portcullis_http_request_failures_total" Counter ["virtual_service", "reason"]
        "Requests that failed, by reason.";
    StreamFailures = "portcullis_stream_failures_total" Counter ["virtual_service", "reason"]
        "Relayed streams that ended otherwise than by both ends, by reason.";
    ReceivedBytes = "portcullis_received_bytes_total" Counter ["virtual_service"]
        "Bytes of request bodies and of relayed streams received from clients.";
    SentBytes = "portcullis_sent_bytes_total" Counter ["virtual_service"]
        "Bytes of response bodies and of relayed streams sent to clients.";
    EndpointRequests = "portcullis_endpoint_requests_total" Counter ["pool", "endpoint"]
        "Requests sent to an endpoint.";
    EndpointRequestsActive = "portcullis_endpoint_requests_active" Gauge ["pool", "endpoint"]
        "Requests in flight to an endpoint.";
    EndpointConnects = "portcullis_endpoint_connects_total" Counter ["pool", "endpoint"]
        "Connections made to an endpoint.";
    EndpointConnectFailures = "portcullis_endpoint_connect_failures_total" Counter ["pool", "endpoint", "reason"]
        "Connections to an endpoint that could not be made, by reason.";
    EndpointConnectionsIdle = "portcullis_endpoint_connections_idle" Gauge ["pool", "endpoint"]
        "Open connections to an endpoint that wait for a request.";
    EndpointUp = "portcullis_endpoint_up" Gauge ["pool", "endpoint"]
        "1 when an endpoint is up by its health checks, or, without them, when the latest attempt to connect succeeded; else 0.";
    EndpointChecks = "portcullis_endpoint_checks_total" Counter ["pool", "endpoint", "result"]
        "Health checks of an endpoint, by result: ok, or why not.";
    EndpointTransitions = "portcullis_endpoint_transitions_total" Counter ["pool", "endpoint", "status"]
        "How often the health checks changed their mind about an endpoint, by what they say now: up or down.";
    PoolLookups = "portcullis_pool_lookups_total" Counter ["pool", "endpoint", "result"]
        "Lookups of the name of an endpoint, by result: changed, unchanged, no_address or no_answer.";
    EndpointEjections = "portcullis_endpoint_ejections_total" Counter ["pool", "endpoint"]
        "Times that an endpoint was left out for a while, because its answers failed.";
    PoolQueue = "portcullis_pool_queue_length" Gauge ["pool"]
        "Requests that wait until an endpoint has room for them.";
    PoolRejections = "portcullis_pool_rejections_total" Counter ["pool", "reason"]
        "Requests that were given to no endpoint, by reason: no_endpoint, queue_full or queue_timeout.";
    PoolRetriesExhausted = "portcullis_pool_retry_budget_exhausted_total" Counter ["pool"]
        "Requests that were not sent a second time, because the retry budget was spent.";
    PoolRetries = "portcullis_pool_retries_total" Counter ["pool"]
        "Requests of a pool that were sent a second time.";
    HsmHandshakesActive = "portcullis_hsm_handshakes_active" Gauge ["hsm"]
        "Handshakes of services whose key is in a token of the group that are under way or wait.";
    HsmQueue = "portcullis_hsm_queue_length" Gauge ["hsm"]
        "Signatures that wait for a session of the group.";
    HsmQueueDuration = "portcullis_hsm_queue_duration_seconds" HandshakeSeconds ["hsm"]
        "Time that signatures waited for a session of the group.";
    HsmRefused = "portcullis_hsm_refused_total" Counter ["hsm", "reason"]
        "Signatures that handshakes asked for and did not get, by reason: failed, deadline, no_member or queue_full.";
    HsmMemberUp = "portcullis_hsm_member_up" Gauge ["hsm", "member"]
        "1 when a token of a group can be counted on, else 0.";
    HsmTransitions = "portcullis_hsm_transitions_total" Counter ["hsm", "member", "status"]
        "How often a token of a group came up or went down: up or down.";
    HsmSessions = "portcullis_hsm_sessions" Gauge ["hsm", "member", "state"]
        "Sessions with a token, by what they do: idle, busy or down.";
    HsmSignDuration = "portcullis_hsm_sign_duration_seconds" HandshakeSeconds ["hsm", "member"]
        "Time that a token took for a signature.";
    HsmConnects = "portcullis_hsm_connects_total" Counter ["hsm", "member"]
        "Sessions that were opened with a token and logged in.";
    HsmErrors = "portcullis_hsm_errors_total" Counter ["hsm", "member", "code"]
        "What went wrong with a token, by the standard's name for it in snake_case, or our own.";
    HsmFailovers = "portcullis_hsm_failovers_total" Counter ["hsm", "member"]
        "Signatures that a token failed or was slow at and that were offered to another one.";
    HsmPinRefused = "portcullis_hsm_pin_refused" Gauge ["hsm", "member"]
        "1 when a token refuses its PIN, which is not tried again until it changes.";
    CertificateFallbacks = "portcullis_tls_certificate_fallbacks_total" Counter ["virtual_service", "reason"]
        "Finished TLS handshakes without the preferred certificate, because it was out_of_date or its key cannot_sign.";
    CertificateNotAfter = "portcullis_certificate_not_after_timestamp_seconds" Gauge ["certificate", "key_type"]
        "End of validity of the certificate that is served.";
    CertificateNotBefore = "portcullis_certificate_not_before_timestamp_seconds" Gauge ["certificate", "key_type"]
        "Start of validity of the certificate that is served.";
    CertificateStatus = "portcullis_certificate_status" Gauge ["certificate", "status"]
        "1 for the status that a certificate has now: good, not_yet_valid, expired or missing.";
    CertificateServedDiffers = "portcullis_certificate_served_differs" Gauge ["certificate"]
        "1 when the files on disk are not what is served, for instance because they are broken.";
    CertificateReloads = "portcullis_certificate_reloads_total" Counter ["certificate", "result"]
        "Changes of the files of a certificate, by result: replaced or refused.";
    CertificateInfo = "portcullis_certificate_info" Gauge ["certificate", "key_type", "common_name", "issuer", "serial"]
        "Identity of the certificate that is served.";
    ConfigReloads = "portcullis_config_reloads_total" Counter ["result"]
        "Reloads of the configuration, by result: applied, unchanged or refused.";
    ConfigReloadSuccessful = "portcullis_config_last_reload_successful" Gauge []
        "1 when the latest reload of the configuration was valid, 0 when it was refused.";
    ConfigReloadSuccessTime = "portcullis_config_last_reload_success_timestamp_seconds" Gauge []
        "When the configuration was last loaded with success.";
    ConfigReloadDuration = "portcullis_config_last_reload_duration_seconds" Gauge []
        "How long the latest reload of the configuration took.";
    ConfigGeneration = "portcullis_config_generation" Gauge []
        "Number of the configuration in force: 1 at the start, one more for each that was applied.";
    LogLinesDropped = "portcullis_log_lines_dropped_total" Counter ["log", "reason"]
        "Log lines that were given up so that traffic does not wait, by reason: queue_full or write_failed.";
    BuildInfo = "portcullis_build_info" Gauge ["version"]
        "The version that runs.";
    Panics = "portcullis_panics_total" Counter ["where"]
        "Panics, each a bug to report: in a connection, which ended with it, or elsewhere.";
    Workers = "portcullis_workers" Gauge []
        "Worker threads.";
    ProcessCpu = "process_cpu_seconds_total" Counter []
        "Total user and system CPU time spent in seconds.";
    ProcessOpenFds = "process_open_fds" Gauge []
        "Number of open file descriptors.";
    ProcessMaxFds = "process_max_fds" Gauge []
        "Maximum number of open file descriptors.";
    ProcessResident = "process_resident_memory_bytes" Gauge []
        "Resident memory size in bytes.";
    ProcessVirtual = "process_virtual_memory_bytes" Gauge []
        "Virtual memory size in bytes.";
    ProcessStartTime = "process_start_time_seconds" Gauge []
        "Start time of the process since unix epoch in seconds.";
}

impl Family {
    /// This family's row.
    pub fn description(self) -> &'static Description {
        &CATALOG[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_end_as_their_kind_asks() {
        let mut seen = BTreeSet::new();
        for family in Family::ALL {
            let Description { name, kind, help, .. } = *family.description();
            assert!(seen.insert(name), "{name} twice");
            assert!(help.ends_with('.'), "{name}");
            assert_eq!(name.ends_with("_total"), kind == Kind::Counter, "{name}");
            if matches!(kind, Kind::RequestSeconds | Kind::HandshakeSeconds) {
                assert!(name.ends_with("_seconds"), "{name}");
            }
        }
    }

    #[test]
    fn the_virtual_service_is_always_the_first_label() {
        for family in Family::ALL {
            let labels = family.description().labels;
            let at = labels.iter().position(|label| *label == "virtual_service");
            assert!(matches!(at, None | Some(0)), "{family:?}");
        }
    }

    #[test]
    fn no_metric_has_a_label_that_a_client_could_fill() {
        let allowed = [
            "certificate",
            "cipher",
            "code",
            "common_name",
            "endpoint",
            "group",
            "hsm",
            "issuer",
            "key_type",
            "log",
            "member",
            "pfs",
            "pool",
            "protocol",
            "reason",
            "result",
            "resumed",
            "serial",
            "sni",
            "state",
            "status",
            "version",
            "virtual_service",
            "where",
        ];
        for family in Family::ALL {
            for label in family.description().labels {
                assert!(allowed.contains(label), "{family:?} {label}");
            }
        }
    }

    #[test]
    fn dashboard_and_alerts_name_metrics_that_exist() {
        let shipped =
            [include_str!("../../conf/alerts.yml"), include_str!("../../conf/grafana.json")];
        for text in shipped {
            let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            for word in words.filter(|word| word.starts_with("portcullis_")) {
                let name = word.strip_suffix("_bucket").unwrap_or(word);
                let known = |family: &Family| family.description().name == name;
                assert!(Family::ALL.iter().any(known), "{word}");
            }
        }
    }

    #[test]
    fn every_metric_is_documented_with_its_labels() {
        let document = include_str!("../../conf/telemetry.md");
        for family in Family::ALL {
            let Description { name, kind, help, labels } = *family.description();
            let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
            let row = format!("| `{name}` | {} | {} | {help} |", kind.word(), labels.join(", "));
            assert!(document.lines().any(|line| line == row), "conf/telemetry.md lacks\n{row}");
        }
    }

    #[test]
    fn the_dashboard_is_json_and_every_panel_asks_something() {
        let dashboard: serde_json::Value =
            serde_json::from_str(include_str!("../../conf/grafana.json")).unwrap();
        for panel in dashboard["panels"].as_array().unwrap() {
            let asks = panel["targets"].as_array().is_some_and(|targets| !targets.is_empty());
            assert!(asks || panel["type"] == "row", "{}", panel["title"]);
        }
    }
}
