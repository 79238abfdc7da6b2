//! A name server of our own: answers over UDP what a test says, with the time to live that it says.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// A name server on a free port of 127.0.0.1; gone with its value.
pub(crate) struct Dns {
    address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    answering: JoinHandle<()>,
}

#[derive(Default)]
struct Zone {
    names: BTreeMap<String, (Vec<IpAddr>, u32)>,
    is_broken: bool,
    queries: usize,
}

impl Dns {
    /// Knows no name.
    pub(crate) async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        let address = socket.local_addr().expect("a bound socket");
        let zone = Arc::<Mutex<Zone>>::default();
        let shared = Arc::clone(&zone);
        let answering = tokio::spawn(async move {
            let mut buffer = [0; 1500];
            while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
                let answer = shared.lock().expect("never poisoned").answer(&buffer[..length]);
                if let Some(answer) = answer {
                    let _ = socket.send_to(&answer, client).await;
                }
            }
        });
        Self { address, zone, answering }
    }

    /// The table that makes the proxy ask this server, with a short `max_ttl`.
    pub(crate) fn table(&self) -> String {
        format!("[dns]\nservers = [\"{}\"]\nmin_ttl = \"1s\"\nmax_ttl = \"1s\"\n", self.address)
    }

    /// From now on a name has these addresses.
    pub(crate) fn set(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|text| text.parse().expect("an address")).collect();
        self.zone().names.insert(name.to_owned(), (addresses, 1));
    }

    /// From now on every answer is a failure of the server, or no longer.
    pub(crate) fn is_broken(&self, is_broken: bool) {
        self.zone().is_broken = is_broken;
    }

    /// How many questions there have been.
    pub(crate) fn queries(&self) -> usize {
        self.zone().queries
    }

    fn zone(&self) -> std::sync::MutexGuard<'_, Zone> {
        self.zone.lock().expect("never poisoned")
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.answering.abort();
    }
}

impl Zone {
    /// RFC 1035, section 4: the question comes back, and after it a record for each address.
    fn answer(&mut self, query: &[u8]) -> Option<Vec<u8>> {
        self.queries += 1;
        let (name, end) = name(query, 12)?;
        let kind = u16::from_be_bytes(query.get(end..end + 2)?.try_into().ok()?);
        let known = self.names.get(&name);
        let code = match known {
            _ if self.is_broken => SERVER_FAILURE,
            Some(_) => 0,
            None => NO_SUCH_NAME,
        };
        let (addresses, ttl) = known.filter(|_| code == 0).cloned().unwrap_or_default();
        let data: Vec<Vec<u8>> = addresses.into_iter().filter_map(|a| data(a, kind)).collect();
        let mut answer = query[..2].to_vec();
        answer.extend_from_slice(&[0x81, 0x80 | code, 0, 1]);
        answer.extend_from_slice(&u16::try_from(data.len()).ok()?.to_be_bytes());
        answer.extend_from_slice(&[0; 4]);
        answer.extend_from_slice(query.get(12..end + 4)?);
        for data in data {
            // The name is that of the question.
            answer.extend_from_slice(&[0xc0, 12]);
            answer.extend_from_slice(&kind.to_be_bytes());
            answer.extend_from_slice(&[0, 1]);
            answer.extend_from_slice(&ttl.to_be_bytes());
            answer.extend_from_slice(&u16::try_from(data.len()).ok()?.to_be_bytes());
            answer.extend_from_slice(&data);
        }
        Some(answer)
    }
}

/// A name without its last dot, and what is behind it.
fn name(query: &[u8], mut at: usize) -> Option<(String, usize)> {
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            return Some((labels.join("."), at));
        }
        let label = query.get(at..at + length)?;
        labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
        at += length;
    }
}

fn data(address: IpAddr, kind: u16) -> Option<Vec<u8>> {
    match (address, kind) {
        (IpAddr::V4(address), 1) => Some(address.octets().to_vec()),
        (IpAddr::V6(address), 28) => Some(address.octets().to_vec()),
        _ => None,
    }
}

const SERVER_FAILURE: u8 = 2;
const NO_SUCH_NAME: u8 = 3;
