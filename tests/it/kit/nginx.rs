//! Debian's nginx as an origin: a real one, with its own ideas about connections.

use std::net::SocketAddr;
use std::process::Command;

use tokio::net::TcpStream;

use super::eventually;
use super::process::Process;
use super::raw_origin::unused_port;
use super::site::Site;

/// A running nginx that serves the directory `www` of a site.
pub(crate) struct Nginx {
    pub(crate) address: SocketAddr,
    _process: Process,
}

impl Nginx {
    /// Starts it in the foreground, with all that it writes in the directory of the site.
    pub(crate) async fn serving(site: &Site) -> Self {
        // nginx cannot listen on port 0; a port that somebody else took meanwhile fails loudly.
        let address = SocketAddr::from(([127, 0, 0, 1], unused_port().await));
        site.write("nginx.conf", configuration(address));
        let mut command = Command::new("nginx");
        command.arg("-p").arg(site.path(".")).arg("-e").arg(site.path("nginx.error.log"));
        command.arg("-c").arg(site.path("nginx.conf"));
        let mut process = Process::start(command);
        eventually("nginx", async || {
            assert!(process.exited().is_none(), "{:#?}", process.stderr());
            TcpStream::connect(address).await.ok()
        })
        .await;
        Self { address, _process: process }
    }
}

fn configuration(address: SocketAddr) -> String {
    format!(
        "daemon off;
         master_process off;
         pid nginx.pid;
         events {{ worker_connections 256; }}
         http {{
             access_log off;
             client_body_temp_path tmp.body;
             proxy_temp_path tmp.proxy;
             fastcgi_temp_path tmp.fastcgi;
             uwsgi_temp_path tmp.uwsgi;
             scgi_temp_path tmp.scgi;
             gzip on;
             gzip_types text/plain;
             gzip_min_length 10;
             keepalive_requests 3;
             server {{
                 listen {address};
                 root www;
                 location /moved {{ return 302 /elsewhere; }}
                 location /made {{ return 201 \"made\\n\"; }}
             }}
         }}\n"
    )
}
