//! The end of a reload: it cannot fail. Pointers are stored, sockets handed over, and what was
//! replaced is told to leave.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::config::virtual_service::Role;
use crate::names::VirtualServiceName;
use crate::runtime::accept::Acceptance;
use crate::runtime::plan::Plan;
use crate::runtime::plan::Purpose;
use crate::runtime::plan::Socket;
use crate::runtime::prepare::Loaded;
use crate::runtime::prepare::Prepared;
use crate::runtime::refresh::Refresh;
use crate::runtime::running::Process;
use crate::runtime::running::Running;
use crate::runtime::running::RunningPool;
use crate::runtime::socket::Bound;
use crate::runtime::worker::Command;
use crate::service::VirtualService;
use crate::service::listener::Listener;
use crate::service::location::Location;
use crate::service::settings::Settings;
use crate::service::table::Table;
use crate::telemetry::listener_metrics::ListenerMetrics;
use crate::upstream::names::Names;

/// Puts everything in force, in the order in which a connection would notice.
pub fn commit(
    prepared: Prepared,
    running: &mut Running,
    process: &Process,
    refresh: &mut Refresh,
) -> Plan {
    let Prepared {
        config,
        plan,
        hsms,
        certificates,
        materials,
        tls_profiles,
        pools,
        error_pages,
        virtual_services,
        sockets,
    } = prepared;

    // A group that is replaced goes when the last certificate and handshake that has a key of it does.
    running.hsms = hsms;
    running.certificates.retain(|name, _| config.certificates.contains_key(name));
    running.certificates.extend(certificates);
    for loaded in materials {
        install(loaded, running, refresh);
    }
    refresh.retain(|name| config.certificates.contains_key(name));

    running.pools = pools;
    for name in &plan.pools.replaced {
        let RunningPool { pool, client, .. } = &running.pools[name];
        pool.update(&config.pools[name], client.clone());
    }
    if !process.workers.is_empty() {
        supervise(running, &plan, &config);
    }

    running.tls_profiles = tls_profiles;
    running.error_pages = error_pages;
    let leaving = replace_services(running, &plan, virtual_services);
    process.handshakes.allow(&config.limits, process.workers.len());
    running.config = Some(config);
    if !(plan.virtual_services.is_empty() && plan.settings_unchanged) {
        publish_tables(running, process);
    }
    open_and_close(running, process, &plan, sockets);
    for service in leaving {
        service.retirement.retire(RETIRE_GRACE);
    }
    if !plan.is_empty() {
        running.generation += 1;
    }
    plan
}

fn install(loaded: Loaded, running: &Running, refresh: &mut Refresh) {
    if let Some(material) = loaded.replacement {
        running.certificates[&loaded.name].replace(material);
    }
    match loaded.key_type {
        Some(_) => refresh.loaded(&loaded.name, loaded.stamps),
        None => refresh.failed(&loaded.name, loaded.stamps),
    }
}

/// Has names looked up and endpoints checked, of the pools that are new or changed, or of all if others
/// are to be asked. Not in a rehearsal, which connects to nothing.
fn supervise(running: &mut Running, plan: &Plan, config: &Config) {
    let kept = running.names.take().filter(|names| *names.dns() == config.dns);
    let asks_others = kept.is_none();
    let names = kept.unwrap_or_else(|| Names::new(&config.dns));
    for (name, running) in &running.pools {
        if asks_others || plan.pools.makes(name) {
            running.pool.supervise(&names);
        }
    }
    running.names = Some(names);
}

/// Exchanges the services and gives back those that nobody selects any more.
fn replace_services(
    running: &mut Running,
    plan: &Plan,
    made: BTreeMap<VirtualServiceName, Arc<VirtualService>>,
) -> Vec<Arc<VirtualService>> {
    let mut leaving = Vec::new();
    for name in &plan.virtual_services.removed {
        running.metrics.remove(name);
        leaving.extend(running.virtual_services.remove(name));
    }
    for (name, service) in made {
        running.metrics.insert(name.clone(), Arc::clone(&service.metrics));
        leaving.extend(running.virtual_services.insert(name, service));
    }
    leaving
}

fn publish_tables(running: &mut Running, process: &Process) {
    let Some(config) = running.config.clone() else { return };
    let settings =
        Arc::new(Settings { timeouts: config.timeouts.clone(), limits: config.limits.clone() });
    let mut children: BTreeMap<&VirtualServiceName, Vec<Arc<VirtualService>>> = BTreeMap::new();
    for service in config.virtual_services.values() {
        if let Role::Child { parent, .. } = &service.role {
            let child = Arc::clone(&running.virtual_services[&service.name]);
            children.entry(parent).or_default().push(child);
        }
    }
    for (name, service) in &config.virtual_services {
        let Role::Parent { strict_sni, proxy_protocol, .. } = &service.role else { continue };
        let parent = Arc::clone(&running.virtual_services[name]);
        let children = children.remove(name).unwrap_or_default();
        let table = Table::new(parent, &children, *strict_sni, Arc::clone(&settings));
        let table = Arc::new(table.expecting_proxy_protocol_from(proxy_protocol));
        match running.listeners.get(name) {
            Some(listener) => listener.table.replace(table),
            None => {
                let metrics = ListenerMetrics::new(&process.recorder, name);
                let listener = Listener::new(name.clone(), table, metrics);
                running.listeners.insert(name.clone(), Arc::new(listener));
            }
        }
    }
    running.listeners.retain(|name, _| config.virtual_services.contains_key(name));
}

fn open_and_close(
    running: &mut Running,
    process: &Process,
    plan: &Plan,
    mut opened: Vec<(Socket, Bound)>,
) {
    // A plain listener needs to know the port that it sends clients to.
    opened.sort_by_key(|(socket, _)| socket.purpose == Purpose::Redirect);
    for (socket, bound) in opened {
        let acceptance = Arc::new(Acceptance {
            listener: Arc::clone(&running.listeners[&socket.parent]),
            purpose: socket.purpose,
            connections: Arc::clone(&process.connections),
        });
        tracing::info!(
            virtual_service = %socket.parent,
            configured = %socket.address,
            address = %bound.address,
            kind = socket.purpose.as_str(),
            "listening"
        );
        running.sockets.insert(socket.clone(), bound.address);
        tell_https_port(running, &socket.parent);
        for (worker, listener) in process.workers.iter().zip(bound.per_worker) {
            worker.tell(Command::Listen(socket.clone(), listener, Arc::clone(&acceptance)));
        }
    }
    for socket in &plan.sockets.removed {
        close(socket, running, process);
        tell_https_port(running, &socket.parent);
    }
}

/// Plain listeners send clients to the port of the parent's first TLS socket, as it really is.
fn tell_https_port(running: &Running, parent: &VirtualServiceName) {
    let Some(listener) = running.listeners.get(parent) else { return };
    let tls = |open: &&Socket| open.parent == *parent && open.purpose == Purpose::Tls;
    if let Some(open) = running.sockets.keys().find(tls) {
        let port = running.sockets[open].port();
        listener.same_host.replace(Arc::new(Location::same_host(port)));
    }
}

/// Stops accepting on a socket; connections that it brought go on.
pub fn close(socket: &Socket, running: &mut Running, process: &Process) {
    running.sockets.remove(socket);
    for worker in &process.workers {
        worker.tell(Command::Close(socket.clone()));
    }
    tracing::info!(virtual_service = %socket.parent, configured = %socket.address, "closed");
}

/// How long an idle connection of a replaced service may still bring one more request, which is
/// then answered with `connection: close`. A client that keeps a connection busy uses it well within
/// this; cutting it at once would lose the request that is just on its way.
const RETIRE_GRACE: Duration = Duration::from_secs(10);
