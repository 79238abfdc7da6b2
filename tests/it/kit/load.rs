//! Clients in the background that keep asking, a few at a time, and count what became of each request.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use tokio::task::JoinSet;

use super::client::Client;
use super::eventually;

/// A load that goes on until it is ended. Each request has a connection of its own, and each client waits for
/// an answer before it asks again, so a slow machine has less load and the same facts.
pub(crate) struct Load {
    shared: Arc<Shared>,
    clients: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    over: AtomicBool,
    outcomes: Mutex<Outcomes>,
}

/// How often there was each status; 0 stands for no answer.
pub(crate) type Outcomes = BTreeMap<u16, usize>;

impl Load {
    /// As many clients that ask for the same.
    pub(crate) fn of(clients: usize, client: &Client) -> Self {
        let shared = Arc::new(Shared::default());
        let mut tasks = JoinSet::new();
        for _ in 0..clients {
            tasks.spawn(keep_asking(client.clone(), Arc::clone(&shared)));
        }
        Self { shared, clients: tasks }
    }

    /// Waits until there were as many more answers with this status.
    pub(crate) async fn sees(&self, status: u16, more: usize) {
        let enough = self.count(status) + more;
        let what = format!("{more} more answers with status {status}");
        eventually(&what, async || (self.count(status) >= enough).then_some(())).await;
    }

    /// Ends the load, and says what became of all requests.
    pub(crate) async fn end(mut self) -> Outcomes {
        self.shared.over.store(true, Ordering::Relaxed);
        while let Some(client) = self.clients.join_next().await {
            client.expect("a client that had its answers in time");
        }
        self.shared.outcomes.lock().expect("never poisoned").clone()
    }

    fn count(&self, status: u16) -> usize {
        let outcomes = self.shared.outcomes.lock().expect("never poisoned");
        outcomes.get(&status).copied().unwrap_or_default()
    }
}

async fn keep_asking(client: Client, shared: Arc<Shared>) {
    while !shared.over.load(Ordering::Relaxed) {
        let status = client.visit().await.map_or(0, |visit| visit.status);
        *shared.outcomes.lock().expect("never poisoned").entry(status).or_default() += 1;
    }
}

/// Says which outcomes there were beside these.
pub(crate) fn beside(outcomes: &Outcomes, expected: &[u16]) -> Outcomes {
    let others = outcomes.iter().filter(|(status, _)| !expected.contains(status));
    others.map(|(status, times)| (*status, *times)).collect()
}
