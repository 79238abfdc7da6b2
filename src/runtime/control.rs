//! The control plane's loop: signals, file events, the admin's requests, the poll; one at a time.

use std::future;
use std::panic;
use std::sync::Arc;
use std::time::Duration;

use rustix::process;
use tokio::signal::unix::Signal;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::sync::mpsc;
use tokio::task;
use tokio::time;
use tokio::time::Instant;

use crate::config::Config;
use crate::hsm;
use crate::names::CertificateName;
use crate::runtime::commit;
use crate::runtime::handle::Handle;
use crate::runtime::handle::ReloadRequest;
use crate::runtime::notify;
use crate::runtime::refresh;
use crate::runtime::refresh::Patience;
use crate::runtime::reload::State;
use crate::runtime::report::ReloadReport;
use crate::runtime::sources::Sources;
use crate::runtime::status::Phase;
use crate::runtime::watch::Look;
use crate::runtime::watch::Watch;
use crate::runtime::watched::Dependent;
use crate::runtime::watched::Files;

/// A started proxy: it serves; this is the control plane that looks after it.
#[derive(Debug)]
pub struct Control {
    /// Lent to a thread that may block while a reload works; otherwise here.
    state: Option<Box<State>>,
    sources: Sources,
    watch: Watch,
    reloads: mpsc::Receiver<ReloadRequest>,
    handle: Handle,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ended {
    /// Every connection finished.
    Drained,
    /// Some connections were cut: the time was over, or the operator did not want to wait.
    Cut,
}

impl Control {
    /// Takes over a state whose first configuration is in force.
    pub fn new(state: Box<State>, reloads: mpsc::Receiver<ReloadRequest>, handle: Handle) -> Self {
        let sources = Sources::of(&state.config());
        let watch = Watch::start();
        let mut control = Self { state: Some(state), sources, watch, reloads, handle };
        control.follow();
        control.publish(None);
        control
    }

    /// Looks after the proxy until it is told to stop, then drains.
    pub async fn run(mut self) -> std::io::Result<Ended> {
        let mut signals = Signals::listen()?;
        let watch = self.config().watch.clone();
        let mut poll = time::interval_at(Instant::now() + watch.poll, watch.poll);
        poll.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        let mut pending = Pending::default();
        self.handle.enter(Phase::Serving);
        notify::tell(notify::State::Ready);
        tracing::info!("ready");
        loop {
            let retry = self.next_retry();
            tokio::select! {
                said = signals.next() => match said {
                    Said::Reload => drop(self.reload().await),
                    Said::ReopenLogs => self.state().process.log.reopen(),
                    Said::Stop => break,
                },
                // The handle in `self` keeps the channel open.
                Some(answer) = self.reloads.recv() => {
                    drop(answer.send(self.reload().await));
                }
                look = self.watch.changed(), if watch.files => pending.add(look),
                () = pending.due() => self.act(pending.take()).await,
                () = until(retry) => self.retry().await,
                _ = poll.tick(), if watch.files => {
                    self.act(Look { everything: true, ..Look::default() }).await;
                }
            }
        }
        Ok(self.drain(&mut signals).await)
    }

    /// Reloads whatever the files say, asked for by a signal or the admin.
    async fn reload(&mut self) -> ReloadReport {
        let report = self.reload_once().await;
        // What changed while it was read, or before it was watched, tells nobody.
        if self.config().watch.files && self.sources.changed() {
            drop(self.reload_once().await);
        }
        report
    }

    async fn reload_once(&mut self) -> ReloadReport {
        notify::tell(notify::State::Reloading);
        let (report, sources) = self.blocking(State::reload).await;
        report.log();
        self.sources = sources;
        self.follow();
        self.publish(Some(&report));
        notify::tell(notify::State::Ready);
        report
    }

    /// Looks again at what an event, or the poll, points to.
    async fn act(&mut self, look: Look) {
        let configuration = look.everything || look.dependents.contains(&Dependent::Configuration);
        if configuration && self.sources.changed() {
            // A reload looks at every certificate too.
            drop(self.reload().await);
            return;
        }
        let names: Vec<CertificateName> = if look.everything {
            self.config().certificates.keys().cloned().collect()
        } else {
            look.dependents.into_iter().filter_map(Dependent::into_certificate).collect()
        };
        if look.everything {
            self.follow();
        }
        self.look_at(names, Patience::Wait).await;
    }

    async fn retry(&mut self) {
        let due = self.state().refresh.due(std::time::Instant::now());
        self.look_at(due, Patience::Wait).await;
    }

    async fn look_at(&mut self, names: Vec<CertificateName>, patience: Patience) {
        if names.is_empty() {
            return;
        }
        let outcomes = self.blocking(move |state| state.look_at(&names, patience)).await;
        let config = self.config();
        for name in outcomes.keys() {
            // The links on the way to its files may lead elsewhere now.
            for file in config.certificates.get(name).into_iter().flat_map(|c| refresh::files_of(c))
            {
                self.watch.also(file, &Dependent::Certificate(name.clone()));
            }
        }
    }

    fn next_retry(&self) -> Option<Instant> {
        self.state().refresh.next_retry().map(Instant::from_std)
    }

    /// Does something that may block, away from the thread that answers the admin.
    async fn blocking<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut State) -> T + Send + 'static,
    ) -> T {
        let mut state = self.state.take().expect("lent to one piece of work at a time");
        let lent = task::spawn_blocking(move || {
            let result = work(&mut state);
            (state, result)
        });
        match lent.await {
            Ok((state, result)) => {
                self.state = Some(state);
                result
            }
            Err(broken) => panic::resume_unwind(broken.into_panic()),
        }
    }

    fn state(&self) -> &State {
        self.state.as_deref().expect("only lent while its borrower is awaited")
    }

    fn config(&self) -> Arc<Config> {
        self.state().config()
    }

    /// For whoever asks what is served, and asks for a reload.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Watches the files that the configuration in force depends on.
    fn follow(&mut self) {
        let config = self.config();
        if !config.watch.files {
            return;
        }
        let mut files = Files::default();
        for path in self.sources.paths() {
            files.add(path, &Dependent::Configuration);
        }
        for directory in &config.include_directories {
            files.add_include_directory(directory);
        }
        for (name, certificate) in &config.certificates {
            for path in refresh::files_of(certificate) {
                files.add(path, &Dependent::Certificate(name.clone()));
            }
        }
        self.watch.follow(files);
    }

    fn publish(&self, report: Option<&ReloadReport>) {
        self.handle.publish(self.state(), report);
    }

    /// No new connections; those that are open finish what they do, within the time they have.
    async fn drain(mut self, signals: &mut Signals) -> Ended {
        self.handle.enter(Phase::Draining);
        notify::tell(notify::State::Stopping);
        let limit = self.config().timeouts.drain;
        tracing::info!(seconds = limit.as_secs_f64(), "draining");
        let mut state = self.state.take().expect("nothing is in progress any more");
        let open: Vec<_> = state.running.sockets.keys().cloned().collect();
        for socket in &open {
            commit::close(socket, &mut state.running, &state.process);
        }
        for service in state.running.virtual_services.values() {
            service.retirement.retire(DRAIN_GRACE);
        }
        // A worker that waits for a connection holds a permit until its socket is closed.
        let all_back = state.process.connections.acquire_many(state.process.max_connections);
        let ended = tokio::select! {
            _ = all_back => Ended::Drained,
            () = time::sleep(limit) => Ended::Cut,
            () = signals.stop() => Ended::Cut,
        };
        let State { process, running, .. } = *state;
        let groups: Vec<_> = running.hsms.values().cloned().collect();
        drop(running);
        let log = Arc::clone(&process.log);
        let stopped = task::spawn_blocking(move || {
            process.workers.into_iter().for_each(|worker| worker.stop());
            hsm::stop(&groups);
            log.finish();
        });
        drop(stopped.await);
        tracing::info!(drained = ended == Ended::Drained, "stopped");
        ended
    }
}

/// Events wait a moment for their company: an editor writes more than once, a certificate client
/// renames two files.
#[derive(Debug, Default)]
struct Pending {
    look: Look,
    due: Option<Instant>,
}

impl Pending {
    fn add(&mut self, look: Look) {
        let configuration = look.everything || look.dependents.contains(&Dependent::Configuration);
        self.look.merge(look);
        let wait = if configuration { CONFIGURATION_QUIET } else { CERTIFICATE_QUIET };
        let due = Instant::now() + wait;
        self.due = Some(self.due.map_or(due, |earlier| earlier.min(due)));
    }

    fn take(&mut self) -> Look {
        self.due = None;
        std::mem::take(&mut self.look)
    }

    async fn due(&self) {
        until(self.due).await;
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => time::sleep_until(moment).await,
        None => future::pending().await,
    }
}

/// What the operator says with a signal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Said {
    Reload,
    ReopenLogs,
    Stop,
}

struct Signals {
    hangup: Signal,
    user: Signal,
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    /// Never waited for: that it is here keeps the signal from ending the process. A log file at the limit of
    /// sizes (RLIMIT_FSIZE) is a failed write, as a full disk is.
    _file_size: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            user: signal(SignalKind::user_defined1())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            _file_size: signal(SignalKind::from_raw(process::Signal::XFSZ.as_raw()))?,
        })
    }

    async fn next(&mut self) -> Said {
        tokio::select! {
            _ = self.hangup.recv() => Said::Reload,
            _ = self.user.recv() => Said::ReopenLogs,
            _ = self.terminate.recv() => Said::Stop,
            _ = self.interrupt.recv() => Said::Stop,
            _ = self.quit.recv() => Said::Stop,
        }
    }

    async fn stop(&mut self) {
        while self.next().await != Said::Stop {}
    }
}

impl Dependent {
    fn into_certificate(self) -> Option<CertificateName> {
        match self {
            Self::Certificate(name) => Some(name),
            Self::Configuration => None,
        }
    }
}

/// An idle connection may bring one more request while the process drains; it is told to close.
const DRAIN_GRACE: Duration = Duration::from_secs(1);

/// A pair that is only half there is tried again anyway, so this is short: a renewed certificate is
/// served a moment after it was written.
const CERTIFICATE_QUIET: Duration = Duration::from_millis(10);

/// A configuration that is only half there is refused with a message, so this is longer.
const CONFIGURATION_QUIET: Duration = Duration::from_millis(150);
