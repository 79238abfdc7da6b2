//! Names of endpoints to addresses, with the time that the answer holds.
//!
//! Asks the servers of `[dns]`, or `/etc/hosts` and the servers of the system as the system would. Must
//! not know pools.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use hickory_resolver::Hosts;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::ConnectionConfig;
use hickory_resolver::config::NameServerConfig;
use hickory_resolver::config::ResolveHosts;
use hickory_resolver::config::ResolverConfig;
use hickory_resolver::config::ResolverOpts;
use hickory_resolver::net::DnsError;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::Name;
use hickory_resolver::proto::rr::RecordType;
use hickory_resolver::system_conf::read_system_conf;
use thiserror::Error;
use tokio::time::Instant;

use crate::config::dns::Dns;

/// Who is asked. One for the process, until `[dns]` changes.
pub struct Names {
    dns: Dns,
    /// Made anew after a while, because the system's files may say something else by then. Taken by
    /// tasks of the control plane, for as long as it takes to read two short files.
    system: Mutex<Option<(Instant, Arc<Asked>)>>,
}

/// The addresses of a name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    /// At least one, sorted, none twice.
    pub addresses: Vec<IpAddr>,
    /// How long it holds, by `min_ttl` and `max_ttl`.
    pub ttl: Duration,
    /// Nobody could tell the addresses of this family.
    pub silent: Option<Family>,
}

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Family {
    /// A records.
    Ipv4,
    /// AAAA records.
    Ipv6,
}

/// Why there are no addresses.
#[derive(Clone, Debug, Error)]
pub enum LookupError {
    /// The name does not exist, or has no address.
    #[error("the name has no address")]
    NoAddress,
    /// No server answered, or what came is no answer.
    #[error("no answer: {0}")]
    NoAnswer(String),
}

impl Answer {
    /// These addresses, and of those before them the ones of a family that nobody could tell about
    /// this time.
    pub fn after(self, before: &[IpAddr]) -> Vec<IpAddr> {
        let mut addresses = self.addresses;
        if let Some(silent) = self.silent {
            let is_kept = |address: &&IpAddr| address.is_ipv4() == (silent == Family::Ipv4);
            addresses.extend(before.iter().filter(is_kept));
        }
        sorted(addresses)
    }
}

impl LookupError {
    /// One stable word for logs, metrics and tests.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoAddress => "no_address",
            Self::NoAnswer(_) => "no_answer",
        }
    }
}

struct Asked {
    resolver: TokioResolver,
    hosts: Hosts,
}

impl Names {
    /// Asks nobody yet.
    pub fn new(dns: &Dns) -> Arc<Self> {
        Arc::new(Self { dns: dns.clone(), system: Mutex::default() })
    }

    /// What it was made from.
    pub fn dns(&self) -> &Dns {
        &self.dns
    }

    /// The addresses of both families. An answer for one family stands if the other one fails: many
    /// servers have never heard of AAAA.
    pub async fn look_up(&self, name: &str) -> Result<Answer, LookupError> {
        let asked = self.asked()?;
        if let Some(addresses) = asked.in_hosts(name) {
            return Ok(self.answer(addresses, HOSTS_TTL, None));
        }
        asked.resolver.clear_cache();
        let (ipv4, ipv6) = tokio::join!(
            ask(&asked.resolver, name, RecordType::A),
            ask(&asked.resolver, name, RecordType::AAAA),
        );
        let (mut addresses, mut ttl) = (Vec::new(), Duration::MAX);
        let (mut silent, mut failure) = (None, LookupError::NoAddress);
        for (family, answer) in [(Family::Ipv4, ipv4), (Family::Ipv6, ipv6)] {
            match answer {
                Ok((found, holds)) if !found.is_empty() => {
                    addresses.extend(found);
                    ttl = ttl.min(holds);
                }
                Ok(_) => {}
                Err(error) => (silent, failure) = (Some(family), error),
            }
        }
        if addresses.is_empty() {
            return Err(failure);
        }
        Ok(self.answer(addresses, ttl, silent))
    }

    /// How long to wait after a failure.
    pub fn patience(&self) -> Duration {
        self.clamped(AFTER_FAILURE)
    }

    fn answer(&self, addresses: Vec<IpAddr>, ttl: Duration, silent: Option<Family>) -> Answer {
        Answer { addresses: sorted(addresses), ttl: self.clamped(ttl), silent }
    }

    fn clamped(&self, ttl: Duration) -> Duration {
        // Not `clamp`, which panics when the operator has them the wrong way round.
        ttl.min(self.dns.max_ttl).max(self.dns.min_ttl)
    }

    fn asked(&self) -> Result<Arc<Asked>, LookupError> {
        let mut kept = self.system.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((since, asked)) = &*kept
            && (!self.dns.servers.is_empty() || since.elapsed() < SYSTEM_FILES_HOLD)
        {
            return Ok(Arc::clone(asked));
        }
        let asked = Asked::new(&self.dns.servers);
        let asked = Arc::new(asked.map_err(|error| LookupError::NoAnswer(error.to_string()))?);
        *kept = Some((Instant::now(), Arc::clone(&asked)));
        Ok(asked)
    }
}

impl Asked {
    fn new(servers: &[SocketAddr]) -> Result<Self, NetError> {
        let (config, options) = if servers.is_empty() {
            read_system_conf().unwrap_or_else(|_| {
                // Without the file, the system asks this machine too.
                let here = NameServerConfig::udp_and_tcp(Ipv4Addr::LOCALHOST.into());
                (ResolverConfig::from_name_servers(vec![here]), ResolverOpts::default())
            })
        } else {
            let servers = servers.iter().map(name_server).collect();
            (ResolverConfig::from_name_servers(servers), ResolverOpts::default())
        };
        let provider = TokioRuntimeProvider::default();
        let mut builder = TokioResolver::builder_with_config(config, provider);
        *builder.options_mut() = options;
        // Hosts are looked at before, for both families at once; how long an answer holds is for
        // the caller to remember.
        builder.options_mut().use_hosts_file = ResolveHosts::Never;
        builder.options_mut().cache_size = 0;
        let hosts = if servers.is_empty() { Hosts::from_system().ok() } else { None };
        Ok(Self { resolver: builder.build()?, hosts: hosts.unwrap_or_default() })
    }

    fn in_hosts(&self, name: &str) -> Option<Vec<IpAddr>> {
        let name = Name::from_ascii(name).ok()?;
        let family = |kind| self.hosts.lookup_static_host(&Query::query(name.clone(), kind));
        let found = [family(RecordType::A), family(RecordType::AAAA)];
        let records = found.iter().flatten().flat_map(|lookup| lookup.answers());
        let addresses: Vec<_> = records.filter_map(|record| record.data.ip_addr()).collect();
        (!addresses.is_empty()).then_some(addresses)
    }
}

/// One family. No address is an answer too.
async fn ask(
    resolver: &TokioResolver,
    name: &str,
    kind: RecordType,
) -> Result<(Vec<IpAddr>, Duration), LookupError> {
    let found = match resolver.lookup(name, kind).await {
        Ok(found) => found,
        Err(NetError::Dns(DnsError::NoRecordsFound(none))) if is_answer(none.response_code) => {
            return Ok((Vec::new(), Duration::ZERO));
        }
        Err(error) => return Err(LookupError::NoAnswer(error.to_string())),
    };
    let records = found.answers();
    let addresses = records.iter().filter_map(|record| record.data.ip_addr()).collect();
    // An alias on the way may change too.
    let ttl = records.iter().map(|record| record.ttl).min().unwrap_or(0);
    Ok((addresses, Duration::from_secs(ttl.into())))
}

fn sorted(mut addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    addresses.sort_unstable();
    addresses.dedup();
    addresses.truncate(MOST_ADDRESSES);
    addresses
}

fn is_answer(code: ResponseCode) -> bool {
    matches!(code, ResponseCode::NoError | ResponseCode::NXDomain)
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let on_port = |mut connection: ConnectionConfig| {
        connection.port = address.port();
        connection
    };
    let connections = vec![on_port(ConnectionConfig::udp()), on_port(ConnectionConfig::tcp())];
    NameServerConfig::new(address.ip(), true, connections)
}

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Names").field("dns", &self.dns).finish_non_exhaustive()
    }
}

/// A file has no time to live; it is read again after this.
const HOSTS_TTL: Duration = Duration::from_secs(5);

/// How long `/etc/resolv.conf` and `/etc/hosts` are believed without another look.
const SYSTEM_FILES_HOLD: Duration = Duration::from_secs(5);

/// A server that is restarted is back by then.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// More than any pool is meant to have behind one name, so that a broken zone stays bounded.
const MOST_ADDRESSES: usize = 256;

#[cfg(test)]
#[path = "names_tests.rs"]
mod tests;
