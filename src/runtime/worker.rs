//! The data plane's threads: one worker is one thread, one single-threaded runtime, its own sockets.
//!
//! A proxied request touches two connections; both live on one worker, so every wake-up is local.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime;
use tokio::sync::mpsc;
use tokio::time;

use crate::per_worker;
use crate::runtime::accept;
use crate::runtime::accept::Acceptance;
use crate::runtime::plan::Socket;
use crate::telemetry::app_log::AppLog;

/// The handle that the control plane keeps of a worker.
#[derive(Debug)]
pub struct Worker {
    commands: mpsc::UnboundedSender<Command>,
    thread: thread::JoinHandle<()>,
}

/// What the control plane tells a worker.
pub enum Command {
    /// Stop accepting on a socket; what the kernel has queued on it is still accepted.
    Close(Socket),
    /// Accept on a socket.
    Listen(Socket, TcpListener, Arc<Acceptance>),
}

impl Worker {
    /// Starts the thread.
    pub fn start(number: usize, log: Arc<AppLog>) -> io::Result<Self> {
        let (commands, inbox) = mpsc::unbounded_channel();
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = thread::Builder::new().name(format!("{THREAD}{number}")).spawn(move || {
            per_worker::become_worker(number);
            runtime.block_on(work(inbox, &log));
            // Connections that outlived the drain are cut here.
        })?;
        Ok(Self { commands, thread })
    }

    /// Hands a command over; a worker that has ended ignores it.
    pub fn tell(&self, command: Command) {
        drop(self.commands.send(command));
    }

    /// Ends the worker with whatever connections it still has.
    pub fn stop(self) {
        drop(self.commands);
        if self.thread.join().is_err() {
            tracing::error!("a worker ended with a panic");
        }
    }
}

async fn work(mut inbox: mpsc::UnboundedReceiver<Command>, log: &AppLog) {
    let mut accepting: Vec<(Socket, accept::Stop)> = Vec::new();
    let mut tick = time::interval(LOG_TICK);
    tick.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            command = inbox.recv() => match command {
                Some(Command::Listen(socket, listener, acceptance)) => {
                    match accept::start(listener, acceptance) {
                        Ok(stop) => accepting.push((socket, stop)),
                        Err(error) => tracing::error!(%socket, %error, "cannot accept here"),
                    }
                }
                Some(Command::Close(socket)) => accepting.retain(|(open, _)| *open != socket),
                None => break,
            },
            _ = tick.tick() => log.tick(),
        }
    }
    log.tick();
}

/// How the names of the threads begin.
pub(super) const THREAD: &str = "worker-";

/// How long a log line may wait in a worker's buffer.
const LOG_TICK: Duration = Duration::from_millis(100);
