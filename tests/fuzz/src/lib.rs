//! Fuzz targets: bytes that anybody may send, and what must hold of them. A target panics where it does
//! not hold; that nothing else panics is the least that is asked.

mod config;
mod gate;
mod hello;
mod hpack;
mod http1_body;
mod http1_head;
mod http1_response;
mod http2;
mod pem;
mod proxy_header;
mod services;

/// What is fuzzed.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, and that of its directory in `corpus`.
    pub name: &'static str,
    check: fn(&[u8]),
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self { name: "config", check: config::check },
        Self { name: "gate", check: gate::check },
        Self { name: "hello", check: hello::check },
        Self { name: "hpack", check: hpack::check },
        Self { name: "http1_body", check: http1_body::check },
        Self { name: "http1_head", check: http1_head::check },
        Self { name: "http1_response", check: http1_response::check },
        Self { name: "http2", check: http2::check },
        Self { name: "pem", check: pem::check },
        Self { name: "proxy_header", check: proxy_header::check },
    ];

    /// The one with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|target| target.name == name)
    }

    /// Panics if something does not hold of these bytes.
    pub fn run(&self, bytes: &[u8]) {
        (self.check)(bytes);
    }
}
