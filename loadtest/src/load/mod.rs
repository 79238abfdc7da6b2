//! The load generator: connections that do one kind of work until they are told to stop.

pub mod counters;
pub mod crowd;
pub mod http1;
pub mod http2;
pub mod kept;
mod key_share;
pub mod latency;
pub mod pace;
pub mod relay;
pub mod target;
pub mod tickets;
pub mod tls;
pub mod websocket;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use tokio::task::JoinSet;
use tokio::time;

use crate::load::counters::Counters;
use crate::load::counters::Totals;
use crate::load::target::Target;
use crate::origin::Body;

/// What each connection does, again and again.
#[derive(Clone, Debug)]
pub enum Work {
    /// Handshake and close; an error if it is (not) resumed against expectation.
    Handshake { resumed: bool },
    /// A connection for each request.
    NewConnection { request: http1::Request, resumed: bool },
    /// 10 MiB again and again on a stream that is passed through.
    Relay(relay::Direction),
    /// One message at a time, and its echo.
    WebSocket,
    /// Requests on kept connections.
    Http1(Requests),
    /// So many streams on a kept connection, with a pause between reading and new streams.
    Http2 { body: Body, streams: usize, pause: Duration },
}

/// What is asked for on a kept connection.
#[derive(Clone, Debug)]
pub struct Requests {
    pub request: http1::Request,
    /// Between an answer and the next request.
    pub pause: Duration,
    /// After so many, there is a new connection.
    pub most: Option<u32>,
    /// Bodies are not moved faster.
    pub bytes_per_second: Option<u32>,
}

impl Requests {
    /// As many as there can be.
    pub fn of(request: http1::Request) -> Self {
        Self { request, pause: Duration::ZERO, most: None, bytes_per_second: None }
    }
}

/// A running load.
pub struct Load {
    counters: Arc<Counters>,
    stop: Arc<AtomicBool>,
    connections: JoinSet<()>,
}

impl Load {
    /// Starts without any connection; see [`Load::add`].
    pub fn new() -> Self {
        Self { counters: Arc::default(), stop: Arc::default(), connections: JoinSet::new() }
    }

    /// Adds connections that do this work.
    pub fn add(&mut self, target: &Target, work: &Work, connections: usize) {
        for _ in 0..connections {
            let connection = Worker {
                target: target.clone(),
                work: work.clone(),
                counters: Arc::clone(&self.counters),
                stop: Arc::clone(&self.stop),
            };
            self.connections.spawn(connection.run());
        }
    }

    pub fn totals(&self) -> Totals {
        self.counters.totals()
    }

    pub fn first_failure(&self) -> Option<String> {
        self.counters.first_failure()
    }

    /// Lets every connection finish what it has begun.
    pub async fn stop(mut self) -> Totals {
        self.stop.store(true, Ordering::Relaxed);
        let finish = async { while self.connections.join_next().await.is_some() {} };
        // Those that hang are dropped with the set; their last operation would fail by itself later.
        let _ = time::timeout(PATIENCE * 2, finish).await;
        self.counters.totals()
    }
}

struct Worker {
    target: Target,
    work: Work,
    counters: Arc<Counters>,
    stop: Arc<AtomicBool>,
}

impl Worker {
    async fn run(self) {
        while !self.is_over() {
            let done = match &self.work {
                Work::Handshake { resumed } => self.handshake(*resumed).await,
                Work::NewConnection { request, resumed } => {
                    self.new_connection(request, *resumed).await
                }
                Work::Http1(requests) => self.http1(requests).await,
                Work::Http2 { .. } => self.http2().await,
                Work::Relay(direction) => self.relay(*direction).await,
                Work::WebSocket => self.websocket().await,
            };
            if let Err(error) = done {
                self.counters.add_failed(1, &error);
                time::sleep(AFTER_FAILURE).await;
            }
        }
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    async fn handshake(&self, resumed: bool) -> Result<()> {
        let stream = patiently(self.target.connect()).await?;
        anyhow::ensure!(target::is_resumed(&stream) == resumed, "resumed: {}", !resumed);
        patiently(target::close(stream)).await?;
        self.counters.add_unit();
        Ok(())
    }

    async fn new_connection(&self, request: &http1::Request, resumed: bool) -> Result<()> {
        let stream = patiently(self.target.connect()).await?;
        anyhow::ensure!(target::is_resumed(&stream) == resumed, "resumed: {}", !resumed);
        let mut connection = http1::Connection::new(stream);
        patiently(connection.exchange(request, &self.counters)).await?;
        patiently(target::close(connection.into_stream())).await?;
        self.counters.add_unit();
        Ok(())
    }

    async fn http1(&self, requests: &Requests) -> Result<()> {
        let Requests { request, pause, most, bytes_per_second } = requests;
        let stream = patiently(self.target.connect()).await?;
        let mut connection = match *bytes_per_second {
            Some(rate) => http1::Connection::steady(stream, rate),
            None => http1::Connection::new(stream),
        };
        let mut rest = most.unwrap_or(u32::MAX);
        while rest > 0 && !self.is_over() {
            rest -= 1;
            let after = patiently(connection.exchange(request, &self.counters)).await?;
            self.counters.add_unit();
            if after == http1::After::Close {
                break;
            }
            if !pause.is_zero() {
                time::sleep(*pause).await;
            }
        }
        // The work is done; how the connection ends does not count.
        let _ = patiently(target::close(connection.into_stream())).await;
        Ok(())
    }

    async fn relay(&self, direction: relay::Direction) -> Result<()> {
        let mut connection = patiently(relay::Connection::open(&self.target)).await?;
        while !self.is_over() {
            patiently(connection.exchange(direction, &self.counters)).await?;
            self.counters.add_unit();
        }
        Ok(())
    }

    async fn websocket(&self) -> Result<()> {
        let stream = patiently(self.target.connect()).await?;
        let opened = websocket::Connection::open(stream, &self.target.domain);
        let mut connection = patiently(opened).await?;
        while !self.is_over() {
            patiently(connection.exchange(&self.counters)).await?;
            self.counters.add_unit();
        }
        let _ = patiently(target::close(connection.into_stream())).await;
        Ok(())
    }

    async fn http2(&self) -> Result<()> {
        let Work::Http2 { body, streams, pause } = self.work else { return Ok(()) };
        let stream = patiently(self.target.connect()).await?;
        let mut connection = http2::Connection::new(stream, &self.target.domain, body)?;
        loop {
            let wanted = if self.is_over() { 0 } else { streams };
            let step = async {
                connection.fill(wanted).await?;
                if connection.open_streams() > 0 {
                    connection.advance(&self.counters).await?;
                }
                Ok(())
            };
            if let Err(error) = patiently(step).await {
                // Every open stream has lost its answer; the caller counts one.
                self.counters.add_failed(connection.open_streams().saturating_sub(1), &error);
                return Err(error);
            }
            if connection.open_streams() == 0 && (self.is_over() || connection.is_leaving()) {
                break;
            }
            if !pause.is_zero() {
                time::sleep(pause).await;
            }
        }
        let _ = patiently(target::close(connection.into_stream())).await;
        Ok(())
    }
}

/// No operation of the generator lasts forever.
pub async fn patiently<T>(operation: impl Future<Output = Result<T>>) -> Result<T> {
    time::timeout(PATIENCE, operation).await.context("no answer in time")?
}

const PATIENCE: Duration = Duration::from_secs(10);
const AFTER_FAILURE: Duration = Duration::from_millis(5);
