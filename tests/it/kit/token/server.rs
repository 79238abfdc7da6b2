//! A token in another process, as a network HSM is: it dies while its clients live, and comes back.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process_group;

use super::Module;
use super::Token;
use super::find;
use super::is_there;
use crate::kit::command::installed;
use crate::kit::eventually;
use crate::kit::process::Process;
use crate::kit::site::Site;

/// `p11-kit server` with one token. The module of its clients stays the same when it is started again.
pub(crate) struct P11Server {
    pub(crate) module: Module,
    served: Module,
    uri: String,
    socket: PathBuf,
    process: Option<Process>,
}

impl P11Server {
    /// Whether there can be one here. Where there cannot, says what is missing.
    pub(crate) fn can_be_started() -> bool {
        installed("p11-kit") && is_there(CLIENT)
    }

    /// Serves a token. Whatever is started for the site finds the server.
    pub(crate) async fn start(site: &Site, token: &Token) -> Self {
        let socket = site.path("p11-kit.sock");
        let address = format!("unix:path={}", socket.display());
        let path = find(CLIENT).expect("`can_be_started` was asked before");
        let module = Module { path, variable: ("P11_KIT_SERVER_ADDRESS", address.into()) };
        module.lend(site);
        let uri = format!("pkcs11:token={}", token.label);
        let mut server = Self { module, served: token.module.clone(), uri, socket, process: None };
        server.start_again().await;
        server
    }

    /// Starts the server at its old place.
    pub(crate) async fn start_again(&mut self) {
        self.kill();
        let (name, value) = &self.served.variable;
        let mut command = Command::new("p11-kit");
        command.args(["server", "--foreground", "--name"]).arg(&self.socket).env(name, value);
        command.arg("--provider").arg(&self.served.path).arg(&self.uri);
        // There is a process for each client beside the first one: a group has them all.
        command.process_group(0);
        let process = self.process.insert(Process::start(command));
        eventually("a server of tokens", async || {
            assert!(process.exited().is_none(), "{:#?}", process.stderr());
            // It prints its address as soon as it listens.
            (!process.stdout().is_empty()).then_some(())
        })
        .await;
    }

    /// Ends it with all its connections, as a power cut does.
    pub(crate) fn kill(&mut self) {
        let Some(process) = self.process.take() else { return };
        let group = Pid::from_raw(process.pid()).expect("the number of a process");
        let _ = kill_process_group(group, Signal::KILL);
        // It had no time to take its address away; the site may have, with all else.
        let _ = fs::remove_file(&self.socket);
    }
}

impl Drop for P11Server {
    fn drop(&mut self) {
        self.kill();
    }
}

const CLIENT: &str = "pkcs11/p11-kit-client.so";
