//! What a decent client of HTTP/2 does not need to send, counted: one account for every flood.
//!
//! A pure machine: frames' heads in, a verdict out. Each kind of frame that costs us more than the client
//! costs it something; what a decent client does earns it back. Pings and window updates are paid by the
//! DATA that was sent to it, everything by each response that was sent to its end, and all of it by time.

use crate::http2::code::Code;
use crate::http2::fault::Fault;
use crate::http2::frame::END_STREAM;
use crate::http2::frame::Head;
use crate::http2::frame::kind;

/// The account of one connection.
#[derive(Debug)]
pub struct Glitches {
    /// At which score it is over.
    most: u32,
    score: u32,
    /// Pings and window updates that DATA sent has paid for.
    earned: u32,
    /// Since when time has not been counted, in microseconds of the connection.
    since: u64,
    /// What most of it is made of, if anything is: Boyer and Moore's vote, which needs no table.
    culprit: Fault,
    votes: u32,
}

impl Glitches {
    /// Nothing has happened yet. `most` is how much may.
    pub fn new(most: u32) -> Self {
        Self { most, score: 0, earned: 0, since: 0, culprit: Fault::Unknown, votes: 0 }
    }

    /// A frame of the client.
    pub fn received(&mut self, head: Head) {
        match head.kind {
            kind::HEADERS => {}
            kind::DATA if head.length > 0 || head.has(END_STREAM) => {}
            kind::DATA => self.add(Fault::Data, 1),
            kind::PING => self.pay(Fault::Pings),
            kind::WINDOW_UPDATE => self.pay(Fault::Windows),
            kind::PRIORITY | kind::PRIORITY_UPDATE => self.add(Fault::Priorities, 1),
            kind::RST_STREAM => self.add(Fault::Resets, RESET),
            kind::SETTINGS => self.add(Fault::Settings, 1),
            kind::CONTINUATION => self.add(Fault::Continuations, 1),
            _ => self.add(Fault::Unknown, 1),
        }
    }

    /// A frame that we send; `code` is that of a RST_STREAM.
    pub fn sent(&mut self, head: Head, code: Option<Code>) {
        if head.kind == kind::DATA {
            let earned = EARNED_PER_FRAME + head.length / EARNED_PER_BYTES;
            self.earned = self.earned.saturating_add(earned).min(MOST_EARNED);
        }
        if matches!(head.kind, kind::DATA | kind::HEADERS) && head.has(END_STREAM) {
            self.score = self.score.saturating_sub(FORGIVEN);
        }
        if head.kind == kind::RST_STREAM && !code.is_none_or(is_ours) {
            self.add(Fault::Errors, RESET);
        }
    }

    /// Which frames there are too many of, if there are. `now` is asked for, in microseconds of the
    /// connection, only when it seems so.
    pub fn verdict(&mut self, now: impl FnOnce() -> u64) -> Option<Fault> {
        if self.score < self.most {
            return None;
        }
        let now = now();
        let passed = now.saturating_sub(self.since);
        self.since = now;
        let forgiven = u64::from(self.most).saturating_mul(passed) / ALL_FORGIVEN;
        self.score = self.score.saturating_sub(u32::try_from(forgiven).unwrap_or(u32::MAX));
        (self.score >= self.most).then_some(self.culprit)
    }

    fn pay(&mut self, fault: Fault) {
        match self.earned.checked_sub(1) {
            Some(left) => self.earned = left,
            None => self.add(fault, 1),
        }
    }

    fn add(&mut self, fault: Fault, weight: u32) {
        self.score = self.score.saturating_add(weight);
        if self.culprit == fault {
            self.votes = self.votes.saturating_add(weight);
        } else if self.votes >= weight {
            self.votes -= weight;
        } else {
            (self.culprit, self.votes) = (fault, weight - self.votes);
        }
    }
}

/// Whether a stream was reset for a reason that is not the client's: it is answered already, something
/// broke upstream, or it took too long.
fn is_ours(code: Code) -> bool {
    matches!(code, Code::NO_ERROR | Code::INTERNAL_ERROR | Code::CANCEL)
}

/// A request that is reset has cost a request. 200 of them with nothing else between are the end; a
/// browser that leaves a page resets 100 at most.
const RESET: u32 = 5;

/// For each response that was sent to its end: Firefox sends a WINDOW_UPDATE with each request, and
/// others a PRIORITY.
const FORGIVEN: u32 = 2;

/// For each DATA frame sent: an update of each window, a PING to measure the line (gRPC does so with each
/// frame that comes while none is under way), and one more.
const EARNED_PER_FRAME: u32 = 4;

/// And one for each of these bytes: clients that read 16 KiB in small pieces update both windows often.
const EARNED_PER_BYTES: u32 = 1 << 10;

/// As much as a client may answer late: what is under way to it fills 4 MiB of buffers.
const MOST_EARNED: u32 = 8192;

/// In this time, in microseconds, as much is forgiven as may be: with defaults 33 glitches per second, or
/// six resets, go on for ever.
const ALL_FORGIVEN: u64 = 30_000_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn head(kind: u8, flags: u8, length: u32) -> Head {
        Head { length, kind, flags, stream: 1 }
    }

    /// How many of these frames an account bears in no time.
    fn borne(frame: Head) -> u32 {
        let mut glitches = Glitches::new(1000);
        let mut count = 0;
        while glitches.verdict(|| 0).is_none() && count < 100_000 {
            glitches.received(frame);
            count += 1;
        }
        count
    }

    #[test]
    fn each_flood_ends_where_the_bound_is() {
        for (kind, length, most) in [
            (kind::RST_STREAM, 4, 200),
            (kind::PING, 8, 1000),
            (kind::SETTINGS, 0, 1000),
            (kind::PRIORITY, 5, 1000),
            (kind::PRIORITY_UPDATE, 5, 1000),
            (kind::WINDOW_UPDATE, 4, 1000),
            (kind::CONTINUATION, 0, 1000),
            (kind::DATA, 0, 1000),
            (0xbb, 0, 1000),
        ] {
            assert_eq!(borne(head(kind, 0, length)), most, "kind {kind}");
        }
        assert_eq!(borne(head(kind::DATA, 0, 1)), 100_000);
        assert_eq!(borne(head(kind::DATA, END_STREAM, 0)), 100_000);
        assert_eq!(borne(head(kind::HEADERS, 0, 10)), 100_000);
    }

    #[test]
    fn the_flood_that_most_of_it_is_gives_the_name() {
        let mut glitches = Glitches::new(600);
        for _ in 0..100 {
            glitches.received(head(kind::SETTINGS, 0, 0));
            glitches.received(head(kind::RST_STREAM, 0, 4));
            glitches.received(head(kind::PING, 0, 8));
        }
        assert_eq!(glitches.verdict(|| 0), Some(Fault::Resets));
    }

    #[test]
    fn resets_of_ours_count_where_the_client_is_to_blame() {
        for (code, is_counted) in
            [(0, false), (1, true), (2, false), (5, true), (7, true), (8, false)]
        {
            let mut glitches = Glitches::new(100);
            for _ in 0..20 {
                glitches.sent(head(kind::RST_STREAM, 0, 4), Some(Code(code)));
            }
            assert_eq!(glitches.verdict(|| 0), is_counted.then_some(Fault::Errors), "code {code}");
        }
    }

    #[test]
    fn a_download_pays_for_its_window_updates_and_pings() {
        let mut glitches = Glitches::new(100);
        for _ in 0..100_000 {
            glitches.sent(head(kind::DATA, 0, 16 << 10), None);
            for _ in 0..8 {
                glitches.received(head(kind::WINDOW_UPDATE, 0, 4));
            }
            glitches.received(head(kind::PING, 0, 8));
            assert_eq!(glitches.verdict(|| 0), None);
        }
    }

    #[test]
    fn small_messages_pay_for_an_update_of_each_window_and_a_ping() {
        let mut glitches = Glitches::new(100);
        for _ in 0..100_000 {
            glitches.sent(head(kind::DATA, 0, 5), None);
            glitches.received(head(kind::WINDOW_UPDATE, 0, 4));
            glitches.received(head(kind::WINDOW_UPDATE, 0, 4));
            glitches.received(head(kind::PING, 0, 8));
            assert_eq!(glitches.verdict(|| 0), None);
        }
    }

    #[test]
    fn a_client_that_cancels_a_fifth_of_its_requests_is_decent() {
        let mut glitches = Glitches::new(1000);
        for number in 0..100_000_u64 {
            glitches.received(head(kind::HEADERS, 0, 30));
            match number % 5 {
                0 => glitches.received(head(kind::RST_STREAM, 0, 4)),
                _ => glitches.sent(head(kind::HEADERS, END_STREAM, 30), None),
            }
            assert_eq!(glitches.verdict(|| 0), None);
        }
    }

    #[test]
    fn what_is_slow_enough_goes_on_for_ever() {
        let mut glitches = Glitches::new(1000);
        for number in 0..100_000_u64 {
            glitches.received(head(kind::PING, 0, 8));
            assert_eq!(glitches.verdict(|| number * 31_000), None, "{number}");
        }
        for _ in 0..2000 {
            glitches.received(head(kind::PING, 0, 8));
            if glitches.verdict(|| 100_000 * 31_000).is_some() {
                return;
            }
        }
        panic!("a burst is one after a long time too");
    }

    proptest! {
        /// Whatever is mixed: unpaid frames beyond the bound are never borne in no time.
        #[test]
        fn no_mix_of_glitches_is_borne(kinds in proptest::collection::vec(2_u8..40, 1000..1200)) {
            let mut glitches = Glitches::new(1000);
            for kind in kinds {
                glitches.received(head(kind, 0, 0));
            }
            prop_assert!(glitches.verdict(|| 0).is_some());
        }
    }
}
