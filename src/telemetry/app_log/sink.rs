//! The end of the application log that a virtual service or a listener holds.

use std::cell::Cell;
use std::hash::BuildHasher;
use std::hash::RandomState;
use std::sync::Arc;

use crate::telemetry::app_log::json::JsonLine;
use crate::telemetry::app_log::lane::Lane;
use crate::telemetry::app_log::output::Output;

/// Where the lines of a service go. A clone is another reference to the same.
#[derive(Clone, Debug)]
pub struct LogSink(Option<Arc<Open>>);

#[derive(Debug)]
struct Open {
    lane: Arc<Lane>,
    output: Arc<Output>,
    keep: Keep,
}

/// Which lines of successful exchanges are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Keep {
    All,
    None,
    /// Those for which a random number is below this.
    Below(u64),
}

impl LogSink {
    /// A sink that writes nothing.
    pub fn off() -> Self {
        Self(None)
    }

    pub(super) fn open(lane: Arc<Lane>, output: Arc<Output>, sample: f64) -> Self {
        Self(Some(Arc::new(Open { lane, output, keep: Keep::new(sample) })))
    }

    /// Whether lines go nowhere, so that nothing needs to be collected for them.
    pub fn is_off(&self) -> bool {
        self.0.is_none()
    }

    /// Whether the line of this successful exchange is among those that are written. Ask once for
    /// each exchange, and not for one that failed: its line is always written.
    pub fn keeps_success(&self) -> bool {
        match &self.0 {
            None => false,
            Some(open) => open.keep.decide(),
        }
    }

    /// Writes one line; `time` is its first field. Never waits. `build` must not write another line.
    pub fn write(&self, build: impl FnOnce(&mut JsonLine<'_>)) {
        if let Some(open) = &self.0 {
            open.lane.write(&open.output, build);
        }
    }
}

impl Keep {
    fn new(sample: f64) -> Self {
        if sample >= 1.0 {
            Self::All
        } else if sample > 0.0 {
            Self::Below((sample * u64::MAX as f64) as u64)
        } else {
            Self::None
        }
    }

    fn decide(self) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Below(bound) => random() < bound,
        }
    }
}

/// xorshift64*: good enough to sample, and a few instructions.
fn random() -> u64 {
    STATE.with(|state| {
        let mut x = state.get();
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        state.set(x);
        x.wrapping_mul(0x2545_f491_4f6c_dd1d)
    })
}

thread_local! {
    /// Never zero, which would stay zero.
    static STATE: Cell<u64> = Cell::new(RandomState::new().hash_one(0) | 1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_keeps_about_its_fraction() {
        let keep = Keep::new(0.25);
        let kept = (0..100_000).filter(|_| keep.decide()).count();
        assert!((24_000..26_000).contains(&kept), "{kept}");
        assert!(Keep::new(1.0).decide());
        assert!(!Keep::new(0.0).decide());
    }

    #[test]
    fn a_sink_that_is_off_builds_no_line() {
        let sink = LogSink::off();
        assert!(sink.is_off());
        assert!(!sink.keeps_success());
        sink.write(|_| panic!("nobody asked for this line"));
    }
}
