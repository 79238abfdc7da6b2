//! Session tickets without state (RFC 5077, RFC 8446 section 4.6.1): the keys follow from one secret and the clock.
//!
//! A key belongs to one virtual service, one policy for client certificates and one period. So a ticket is worth
//! nothing elsewhere or later, instances with the same secret understand each other without talking, keys change
//! by themselves, and an idle service costs nothing.
//!
//! A ticket is `period number (4) | nonce (12) | AES-256-GCM of the session`.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use arc_swap::ArcSwapOption;
use aws_lc_rs::aead;
use aws_lc_rs::aead::Aad;
use aws_lc_rs::aead::LessSafeKey;
use aws_lc_rs::aead::NONCE_LEN;
use aws_lc_rs::aead::Nonce;
use aws_lc_rs::aead::UnboundKey;
use aws_lc_rs::hkdf;
use rustls::server::ProducesTickets;

use crate::certificate::error::Fingerprint;
use crate::config::tickets::Tickets;
use crate::names::VirtualServiceName;

/// How keys change with time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Period {
    /// How long one key is used for new tickets, in seconds; at least 1.
    pub seconds: u32,
    /// How many earlier keys are still accepted.
    pub keep: u32,
}

impl From<&Tickets> for Period {
    fn from(config: &Tickets) -> Self {
        let seconds = u32::try_from(config.period.as_secs()).unwrap_or(u32::MAX).max(1);
        Self { seconds, keep: config.keep }
    }
}

/// Seals and opens the tickets of one virtual service.
pub struct Ticketer {
    root: Arc<hkdf::Prk>,
    period: Period,
    /// Of the service and its policy for client certificates.
    scope: Fingerprint,
    clock: Clock,
    /// The key that was used last, which is nearly always the next one, too: deriving it costs more than
    /// a ticket. Nothing until there is a first ticket.
    last: ArcSwapOption<Key>,
}

struct Key {
    epoch: u32,
    key: LessSafeKey,
}

impl Ticketer {
    pub(super) fn new(
        root: Arc<hkdf::Prk>,
        period: Period,
        service: &VirtualServiceName,
        client_auth: [u8; 32],
    ) -> Self {
        // The digest has a fixed length: no two pairs give the same bytes.
        let scope = Fingerprint::of(&[&client_auth, service.as_str().as_bytes()].concat());
        Self { root, period, scope, clock: Clock::System, last: ArcSwapOption::empty() }
    }

    fn epoch(&self) -> Option<u32> {
        u32::try_from(self.clock.now() / u64::from(self.period.seconds)).ok()
    }

    fn key(&self, epoch: u32) -> Option<Arc<Key>> {
        if let Some(last) = self.last.load_full()
            && last.epoch == epoch
        {
            return Some(last);
        }
        let info = [&self.scope.0[..], &epoch.to_be_bytes()];
        let key = self.root.expand(&info, &aead::AES_256_GCM).ok()?;
        let key = Arc::new(Key { epoch, key: LessSafeKey::new(UnboundKey::from(key)) });
        self.last.store(Some(Arc::clone(&key)));
        Some(key)
    }
}

impl ProducesTickets for Ticketer {
    fn enabled(&self) -> bool {
        true
    }

    /// Until the key of a ticket made now is no longer accepted; at most a week (RFC 8446, section 4.6.1).
    fn lifetime(&self) -> u32 {
        let seconds = u64::from(self.period.seconds);
        let now = self.clock.now();
        let end = (now / seconds + 1 + u64::from(self.period.keep)) * seconds;
        u32::try_from(end - now).unwrap_or(u32::MAX).min(WEEK)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let epoch = self.epoch()?;
        let mut nonce = [0; NONCE_LEN];
        aws_lc_rs::rand::fill(&mut nonce).ok()?;
        let mut ticket = Vec::with_capacity(HEADER + plain.len() + aead::AES_256_GCM.tag_len());
        ticket.extend_from_slice(&epoch.to_be_bytes());
        ticket.extend_from_slice(&nonce);
        ticket.extend_from_slice(plain);
        let nonce = Nonce::assume_unique_for_key(nonce);
        // The period number needs no protection of its own: another one is another key.
        let tag = self
            .key(epoch)?
            .key
            .seal_in_place_separate_tag(nonce, Aad::empty(), &mut ticket[HEADER..])
            .ok()?;
        ticket.extend_from_slice(tag.as_ref());
        Some(ticket)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (epoch, rest) = ticket.split_first_chunk()?;
        let (nonce, sealed) = rest.split_first_chunk()?;
        let epoch = u32::from_be_bytes(*epoch);
        let now = self.epoch()?;
        // One ahead: the clock of another instance may be.
        if epoch < now.saturating_sub(self.period.keep) || epoch > now.saturating_add(1) {
            return None;
        }
        let mut plain = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length =
            self.key(epoch)?.key.open_in_place(nonce, Aad::empty(), &mut plain).ok()?.len();
        plain.truncate(length);
        Some(plain)
    }
}

impl Clone for Ticketer {
    fn clone(&self) -> Self {
        let Self { root, period, scope, clock, .. } = self;
        Self {
            root: Arc::clone(root),
            period: *period,
            scope: *scope,
            clock: clock.clone(),
            last: ArcSwapOption::empty(),
        }
    }
}

impl fmt::Debug for Ticketer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticketer").field("period", &self.period).finish_non_exhaustive()
    }
}

#[derive(Clone)]
enum Clock {
    #[cfg(test)]
    At(Arc<std::sync::atomic::AtomicU64>),
    System,
}

impl Clock {
    /// Seconds since 1970.
    fn now(&self) -> u64 {
        match self {
            #[cfg(test)]
            Self::At(seconds) => seconds.load(std::sync::atomic::Ordering::Relaxed),
            Self::System => {
                SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
            }
        }
    }
}

const HEADER: usize = 4 + NONCE_LEN;

const WEEK: u32 = 7 * 24 * 60 * 60;

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;
    use std::sync::atomic::Ordering;

    use proptest::prelude::*;

    use super::*;
    use crate::tls::ticket_secret::TicketSecret;

    const HOUR: Period = Period { seconds: 3600, keep: 1 };

    fn secret(byte: u8) -> TicketSecret {
        TicketSecret::from_bytes(&[byte; 32], HOUR).unwrap()
    }

    fn ticketer(
        secret: &TicketSecret,
        service: &str,
        client_auth: u8,
    ) -> (Ticketer, Arc<AtomicU64>) {
        let clock = Arc::new(AtomicU64::new(1_000_000 * 3600 + 600));
        let mut ticketer = secret.ticketer(&service.parse().unwrap(), [client_auth; 32]);
        ticketer.clock = Clock::At(Arc::clone(&clock));
        (ticketer, clock)
    }

    /// TLS-3: the same secret, the same keys.
    #[test]
    fn instances_with_one_secret_open_each_others_tickets() {
        let (here, _) = ticketer(&secret(1), "shop", 0);
        let (there, _) = ticketer(&secret(1), "shop", 0);
        let ticket = here.encrypt(b"session").unwrap();
        assert_eq!(there.decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        assert_ne!(here.encrypt(b"session").unwrap(), ticket);
    }

    /// TLS-2: not by another service, nor under another policy, nor with another secret.
    #[test]
    fn tickets_are_worth_nothing_elsewhere() {
        let (here, _) = ticketer(&secret(1), "shop", 0);
        let ticket = here.encrypt(b"session").unwrap();
        for (byte, service, client_auth) in [(1, "blog", 0), (1, "shop", 1), (2, "shop", 0)] {
            let (other, _) = ticketer(&secret(byte), service, client_auth);
            assert_eq!(other.decrypt(&ticket), None, "{byte} {service} {client_auth}");
        }
    }

    /// TLS-3: old periods expire, and a clock that is a little ahead does no harm.
    #[test]
    fn tickets_live_for_the_periods_that_are_kept() {
        let (ticketer, clock) = ticketer(&secret(1), "shop", 0);
        let ticket = ticketer.encrypt(b"session").unwrap();
        let made = clock.load(Ordering::Relaxed);
        let lifetime = u64::from(ticketer.lifetime());
        assert_eq!(lifetime, 2 * 3600 - 600);
        for (at, open) in [
            (made - 3600, true),
            (made - 2 * 3600, false),
            (made + lifetime - 1, true),
            (made + lifetime, false),
        ] {
            clock.store(at, Ordering::Relaxed);
            assert_eq!(ticketer.decrypt(&ticket).is_some(), open, "{at}");
        }
    }

    proptest! {
        #[test]
        fn forged_and_damaged_tickets_are_refused(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            position in any::<prop::sample::Index>(),
            bit in 0..8_u32,
        ) {
            let (ticketer, _) = ticketer(&secret(1), "shop", 0);
            prop_assert_eq!(ticketer.decrypt(&bytes), None);
            let mut ticket = ticketer.encrypt(&bytes).unwrap();
            let position = position.index(ticket.len());
            ticket[position] ^= 1_u8 << bit;
            prop_assert_eq!(ticketer.decrypt(&ticket), None);
            ticket[position] ^= 1_u8 << bit;
            ticket.pop();
            prop_assert_eq!(ticketer.decrypt(&ticket), None);
        }
    }
}
