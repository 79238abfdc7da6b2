//! A contender that has been started: ready, configured again, measured and ended.

use std::fs;
use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;
use std::process::Child;
use std::process::Stdio;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use rustix::process::Signal;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time;

use crate::bench::Bench;
use crate::contender::Contender;
use crate::contender::Place;
use crate::load::relay;
use crate::load::target::Protocol;
use crate::load::target::Target;
use crate::placement;
use crate::process::Tree;
use crate::site::Site;

/// A running proxy; ended, with all its processes, when it is dropped.
pub struct Running<'a> {
    pub contender: &'a Contender,
    pub tree: Tree,
    /// From the start of the process to the first handshake with the last site's certificate.
    pub start_time: Duration,
    place: Place,
    child: Child,
}

impl<'a> Running<'a> {
    /// Starts it with these sites and waits until it serves the last of them.
    pub async fn start(bench: &Bench, contender: &'a Contender, sites: &[Site]) -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let place = bench.place(contender, NUMBER.fetch_add(1, Ordering::Relaxed))?;
        write_configuration(contender, &place, sites)?;
        let mut command = contender.command(&place)?;
        command
            .stdin(Stdio::null())
            .stdout(File::create(place.directory.join("stdout.log"))?)
            .stderr(File::create(place.directory.join("stderr.log"))?);
        let started = Instant::now();
        let child = placement::spawn_on(bench.proxy_cpu, bench.load_cpu, &mut command)?;
        let mut running = Self {
            contender,
            tree: Tree::new(child.id()),
            start_time: Duration::ZERO,
            place,
            child,
        };
        let last = sites.last().context("no site")?;
        running.wait_until_served(last, started).await?;
        running.start_time = started.elapsed();
        Ok(running)
    }

    pub fn target(&self, site: &Site, protocol: Protocol) -> Result<Target> {
        Target::new(self.place.port, &site.domain, protocol)
    }

    pub fn port(&self) -> u16 {
        self.place.port
    }

    /// Writes the configuration again, for other sites; takes effect with [`Running::reload`].
    pub fn write_configuration(&self, sites: &[Site]) -> Result<()> {
        write_configuration(self.contender, &self.place, sites)
    }

    /// Says that the configuration has changed.
    pub fn reload(&self) {
        self.tree.signal(self.contender.reload.signal());
    }

    /// Says that the file of a certificate has changed, if that needs to be said.
    pub fn reload_certificate(&self) {
        if !self.contender.reload.watches_files {
            self.reload();
        }
    }

    /// One scrape of its metrics; fails if the answer is not 200.
    pub async fn scrape(&self) -> Result<()> {
        let address = ("127.0.0.1", self.place.admin_port);
        let scrape = async {
            let mut stream = TcpStream::connect(address).await?;
            let path = &self.contender.metrics;
            let request =
                format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await?;
            anyhow::ensure!(answer.starts_with(b"HTTP/1.1 200"), "no answer 200");
            Ok(())
        };
        time::timeout(STEP, scrape).await?.context("while reading the metrics")
    }

    /// Size of its log of requests so far, in bytes. Some make the file with the first line.
    pub fn log_size(&self) -> Result<u64> {
        let path = self.contender.log_path(&self.place);
        match fs::metadata(&path) {
            Ok(facts) => Ok(facts.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error).with_context(|| format!("no log {}", path.display())),
        }
    }

    /// Lines of its log of requests so far.
    pub fn log_lines(&self) -> Result<u64> {
        count_lines(&self.contender.log_path(&self.place))
    }

    /// Asks it to end, and ends what is left after a moment.
    pub async fn stop(mut self) {
        let members = self.tree.members();
        self.tree.signal(Signal::TERM);
        let deadline = Instant::now() + STOP_TIME;
        while Instant::now() < deadline {
            // Waiting for the root lets it disappear from the process table.
            let _ = self.child.try_wait();
            if !members.iter().any(|member| member.exists()) {
                break;
            }
            time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn wait_until_served(&mut self, site: &Site, started: Instant) -> Result<()> {
        let target = self.target(site, Protocol::Http1)?;
        while started.elapsed() < START_TIME {
            if let Some(status) = self.child.try_wait()? {
                anyhow::bail!("{} ended: {status}\n{}", self.contender.name, self.output());
            }
            if self.is_served(site, &target).await {
                return Ok(());
            }
            time::sleep(Duration::from_millis(1)).await;
        }
        anyhow::bail!("{} does not serve {}\n{}", self.contender.name, site.domain, self.output())
    }

    async fn is_served(&self, site: &Site, target: &Target) -> bool {
        if self.contender.is_relay {
            let opened = time::timeout(STEP, relay::Connection::open(target)).await;
            return matches!(opened, Ok(Ok(_)));
        }
        let served = time::timeout(STEP, target.served_certificate()).await;
        matches!(served, Ok(Ok(leaf)) if leaf == site.leaf)
    }

    /// The end of what it has printed.
    fn output(&self) -> String {
        let mut text = String::new();
        for name in ["stdout.log", "stderr.log"] {
            let whole = fs::read(self.place.directory.join(name)).unwrap_or_default();
            let end = &whole[whole.len().saturating_sub(2000)..];
            text.push_str(&String::from_utf8_lossy(end));
        }
        text
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        for member in self.tree.members() {
            member.kill();
        }
        let _ = self.child.wait();
        // Logs of millions of requests would pile up; the workspace removes what is left.
        if !self.place.keep {
            let _ = fs::remove_dir_all(&self.place.directory);
        }
    }
}

/// Waits until a new handshake is answered with the certificate that is expected; returns how long it took.
pub async fn wait_for_certificate(
    target: &Target,
    site: &Site,
    limit: Duration,
) -> Result<Duration> {
    let started = Instant::now();
    while started.elapsed() < limit {
        let served = time::timeout(limit, target.served_certificate()).await;
        if matches!(served, Ok(Ok(leaf)) if leaf == site.leaf) {
            return Ok(started.elapsed());
        }
        time::sleep(POLL).await;
    }
    anyhow::bail!("{} was not served with its certificate within {limit:?}", target.domain)
}

fn write_configuration(contender: &Contender, place: &Place, sites: &[Site]) -> Result<()> {
    for (path, text) in contender.configuration(place, sites) {
        let new = path.with_extension("new");
        fs::write(&new, text)
            .and_then(|()| fs::rename(&new, &path))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn count_lines(path: &Path) -> Result<u64> {
    let mut file = File::open(path).with_context(|| format!("no log {}", path.display()))?;
    let mut buffer = vec![0; 256 * 1024];
    let mut lines = 0;
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok(lines);
        }
        lines += buffer[..count].iter().filter(|byte| **byte == b'\n').count() as u64;
    }
}

const START_TIME: Duration = Duration::from_secs(180);
const STOP_TIME: Duration = Duration::from_secs(3);
const STEP: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(2);
