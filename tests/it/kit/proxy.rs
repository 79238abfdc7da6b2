//! The proxy as a process of its own: started, asked, signalled and stopped as an operator does.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::process::Stdio;

use hyper::Method;
use rustix::process::Pid;
use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::process::Signal;
use rustix::process::getrlimit;
use rustix::process::prlimit;
use serde_json::Value;

use super::admin;
use super::admin::Sample;
use super::client::Client;
use super::command::Finished;
use super::command::binary;
use super::command::portcullis;
use super::eventually;
use super::http::Broken;
use super::http::Reply;
use super::process::Process;
use super::site::Site;

/// A running proxy. Dropped, it gets SIGTERM, and SIGKILL where that does not do.
pub(crate) struct Proxy {
    process: Process,
}

impl Proxy {
    /// Writes the configuration of a site and starts the proxy with it.
    pub(crate) async fn start(site: &Site, toml: &str) -> Self {
        site.configure(toml);
        Self::run(site).await
    }

    /// Starts the proxy with the configuration that the site has, and waits until it is ready.
    pub(crate) async fn run(site: &Site) -> Self {
        Self::launch(Command::new(binary()), site).await
    }

    /// As [`start`](Self::start), with a hard limit of open files.
    pub(crate) async fn start_with_few_files(site: &Site, toml: &str, limit: u32) -> Self {
        site.configure(toml);
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("ulimit -n {limit} && exec \"$0\" \"$@\"")).arg(binary());
        Self::launch(command, site).await
    }

    /// As [`start`](Self::start), by a command that the arguments are added to, with this standard input.
    pub(crate) async fn start_by(by: (Command, Stdio), site: &Site, toml: &str) -> Self {
        site.configure(toml);
        Self::run_by(by, site).await
    }

    async fn launch(command: Command, site: &Site) -> Self {
        Self::run_by((command, Stdio::null()), site).await
    }

    /// As [`run`](Self::run), by a command that the arguments are added to, with this standard input.
    pub(crate) async fn run_by((mut command, stdin): (Command, Stdio), site: &Site) -> Self {
        command.arg("run").arg("--config").arg(site.config());
        command.current_dir(site.path(".")).envs(site.environment());
        let mut proxy = Self { process: Process::start_reading(command, stdin) };
        eventually("a proxy that is ready", async || {
            if let Some(code) = proxy.process.exited() {
                panic!("exit code {code}:\n{}", proxy.process.stderr().join("\n"));
            }
            proxy.message("ready")
        })
        .await;
        proxy
    }

    /// The process number.
    pub(crate) fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// The memory that it occupies, in bytes.
    pub(crate) fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let status = status.expect("a process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    }

    /// How many of its threads have a name that begins with this; the system cuts names after 15 bytes.
    pub(crate) fn threads(&self, prefix: &str) -> usize {
        let threads = fs::read_dir(format!("/proc/{}/task", self.pid())).expect("a process");
        // One that ends meanwhile has no name any more.
        let names = threads
            .flatten()
            .filter_map(|thread| fs::read_to_string(thread.path().join("comm")).ok());
        names.filter(|name| name.starts_with(prefix)).count()
    }

    /// Waits until there are as many threads with such a name.
    pub(crate) async fn threads_become(&self, prefix: &str, count: usize) {
        let what = format!("{count} threads called {prefix}..");
        eventually(&what, async || (self.threads(prefix) == count).then_some(())).await;
    }

    /// The address of a parent's (only, or first) TLS listener.
    pub(crate) fn address(&self, parent: &str) -> SocketAddr {
        self.listening("tls", parent)[0]
    }

    /// The addresses of listeners of a kind (`tls`, `redirect`), as they were bound.
    pub(crate) fn listening(&self, kind: &str, parent: &str) -> Vec<SocketAddr> {
        let mut addresses: Vec<SocketAddr> = self
            .messages()
            .iter()
            .filter(|m| m["message"] == "listening" && m["kind"] == kind)
            .filter(|m| kind == "admin" || m["virtual_service"] == parent)
            .filter_map(|m| m["address"].as_str()?.parse().ok())
            .collect();
        addresses.dedup();
        assert!(!addresses.is_empty(), "no {kind} listener of {parent}: {:#?}", self.stderr());
        addresses
    }

    /// The admin address.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.listening("admin", "")[0]
    }

    /// A client of the parent `edge` that asks for this server name.
    pub(crate) fn client(&self, name: &str) -> Client {
        Client::to(self.address("edge")).name(name)
    }

    /// GET on the admin address.
    pub(crate) async fn ask(&self, path: &str) -> Reply {
        let reply = admin::ask(self.admin(), Method::GET, path).await;
        reply.unwrap_or_else(|broken| panic!("GET {path}: {broken}"))
    }

    /// `POST /reload`: whatever comes back.
    pub(crate) async fn try_reload(&self) -> Result<Reply, Broken> {
        admin::ask(self.admin(), Method::POST, "/reload").await
    }

    /// `POST /reload`: it must succeed.
    pub(crate) async fn reload(&self) {
        let reply = self.try_reload().await.expect("an answer to a reload");
        assert_eq!(reply.status, 200, "reload: {}", reply.text());
    }

    /// `portcullis reload --admin ADDRESS`.
    pub(crate) async fn reload_command(&self, site: &Site) -> Finished {
        portcullis(site, &["reload", "--admin", &self.admin().to_string()]).await
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits for the end of the process.
    pub(crate) async fn exit_code(&mut self) -> i32 {
        self.process.exit_code().await
    }

    /// How many files and sockets it has open, this question's own among them. As it says itself:
    /// `/proc/PID/fd` of a process that is not dumpable is root's.
    pub(crate) async fn descriptors(&self) -> usize {
        self.metric("process_open_fds", &[]).await as usize
    }

    /// Limits how many it may have open from now on; `None`: as many as at its start.
    pub(crate) fn limit_descriptors(&self, most: Option<u64>) {
        // It has what it inherited, and has used that up to the hard limit.
        let maximum = getrlimit(Resource::Nofile).maximum;
        let limit = Rlimit { current: most.or(maximum), maximum };
        prlimit(Pid::from_raw(self.pid()), Resource::Nofile, limit).expect("our own child");
    }

    /// Waits until no more of them are open.
    pub(crate) async fn descriptors_become(&self, most: usize) {
        let what = format!("{most} descriptors or fewer");
        eventually(&what, async || (self.descriptors().await <= most).then_some(())).await;
    }

    /// Whether the process is still there.
    pub(crate) fn is_running(&mut self) -> bool {
        self.process.exited().is_none()
    }

    /// All samples of a scrape.
    pub(crate) async fn samples(&self) -> Vec<Sample> {
        admin::samples(&self.ask("/metrics").await.text())
    }

    /// The sum of the samples with this name and at least these labels.
    pub(crate) async fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let samples = self.samples().await;
        samples.iter().filter(|sample| sample.is(name, labels)).map(|sample| sample.value).sum()
    }

    /// Waits until a metric has a value.
    pub(crate) async fn metric_becomes(&self, name: &str, labels: &[(&str, &str)], value: f64) {
        let what = format!("{name}{labels:?} = {value}");
        let probe = async || (self.metric(name, labels).await == value).then_some(());
        eventually(&what, probe).await;
    }

    /// Operational messages so far, their fields at the top.
    pub(crate) fn messages(&self) -> Vec<Value> {
        self.stderr().iter().filter_map(|line| flat(serde_json::from_str(line).ok()?)).collect()
    }

    /// The first operational message with this text.
    pub(crate) fn message(&self, text: &str) -> Option<Value> {
        self.messages().into_iter().find(|message| message["message"] == text)
    }

    /// Waits for an operational message that something holds of.
    pub(crate) async fn says(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        eventually(what, async || self.messages().into_iter().find(&holds)).await
    }

    /// Standard error so far.
    pub(crate) fn stderr(&self) -> Vec<String> {
        self.process.stderr()
    }

    /// Standard output so far.
    pub(crate) fn stdout(&self) -> Vec<String> {
        self.process.stdout()
    }
}

/// Lines of an application log file that are there now.
pub(crate) fn log_lines(site: &Site, file: &str) -> Vec<Value> {
    let text = site.read(file);
    // The last line may be half-written.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    whole.lines().map(parse).collect()
}

/// Waits for a line of `app.log` that something holds of.
pub(crate) async fn log_line(site: &Site, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let probe = async || log_lines(site, "app.log").into_iter().find(&holds);
    eventually(&format!("a log line of {what}"), probe).await
}

/// Moves the fields of a message to its top, where they are under `fields`.
fn flat(mut message: Value) -> Option<Value> {
    if let Some(Value::Object(fields)) = message.get_mut("fields").map(Value::take) {
        message.as_object_mut()?.extend(fields);
    }
    Some(message)
}
