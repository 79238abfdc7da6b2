//! The numbers behind the handles: atomics, no samples, no locks.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use metrics::CounterFn;
use metrics::GaugeFn;
use metrics::HistogramFn;

/// A counter.
#[derive(Debug, Default)]
pub struct CounterCell(AtomicU64);

impl CounterCell {
    /// What it has counted.
    pub fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl CounterFn for CounterCell {
    fn increment(&self, value: u64) {
        self.0.fetch_add(value, Relaxed);
    }

    fn absolute(&self, value: u64) {
        self.0.fetch_max(value, Relaxed);
    }
}

/// A gauge: the bits of an `f64`.
#[derive(Debug, Default)]
pub struct GaugeCell(AtomicU64);

impl GaugeCell {
    /// What it shows.
    pub fn value(&self) -> f64 {
        f64::from_bits(self.0.load(Relaxed))
    }

    fn change(&self, by: f64) {
        let mut bits = self.0.load(Relaxed);
        while let Err(now) = self.0.compare_exchange_weak(
            bits,
            (f64::from_bits(bits) + by).to_bits(),
            Relaxed,
            Relaxed,
        ) {
            bits = now;
        }
    }
}

impl GaugeFn for GaugeCell {
    fn increment(&self, value: f64) {
        self.change(value);
    }

    fn decrement(&self, value: f64) {
        self.change(-value);
    }

    fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Relaxed);
    }
}

/// Upper bounds of buckets, as numbers and as the text of their `le` label.
#[derive(Debug)]
pub struct Bounds {
    nanoseconds: Box<[u64]>,
    texts: Box<[Box<str>]>,
}

impl Bounds {
    /// Takes bounds in seconds, ascending.
    pub fn new(seconds: &[f64]) -> Self {
        Self {
            nanoseconds: seconds.iter().map(|bound| to_nanoseconds(*bound)).collect(),
            texts: seconds.iter().map(|bound| bound.to_string().into_boxed_str()).collect(),
        }
    }

    /// The `le` texts, without `+Inf`.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(|text| &**text)
    }
}

/// A histogram of times with fixed buckets; the sum is kept in nanoseconds, which last 584 years.
#[derive(Debug)]
pub struct HistogramCell {
    bounds: Arc<Bounds>,
    sum: AtomicU64,
    /// One for each bound and one for what is above the last.
    counts: Box<[AtomicU64]>,
}

impl HistogramCell {
    /// An empty one.
    pub fn new(bounds: Arc<Bounds>) -> Self {
        let counts = (0..=bounds.nanoseconds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, sum: AtomicU64::new(0), counts }
    }

    /// The bounds of its buckets.
    pub fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// Counts of the buckets one by one (not added up), the one above the last bound included.
    pub fn counts(&self) -> impl Iterator<Item = u64> {
        self.counts.iter().map(|count| count.load(Relaxed))
    }

    /// Sum of all values, in seconds.
    pub fn sum(&self) -> f64 {
        self.sum.load(Relaxed) as f64 / 1e9
    }
}

impl HistogramFn for HistogramCell {
    fn record(&self, value: f64) {
        let nanoseconds = to_nanoseconds(value);
        let bucket = self.bounds.nanoseconds.partition_point(|bound| *bound < nanoseconds);
        self.counts[bucket].fetch_add(1, Relaxed);
        self.sum.fetch_add(nanoseconds, Relaxed);
    }
}

/// Negative values and NaN become 0: `as` saturates.
fn to_nanoseconds(seconds: f64) -> u64 {
    (seconds * 1e9).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_on_a_bound_belongs_to_that_bucket() {
        let cell = HistogramCell::new(Arc::new(Bounds::new(&[0.001, 0.01])));
        for value in [0.001, 0.0011, 0.01, 0.5, -1.0, f64::NAN] {
            cell.record(value);
        }
        assert_eq!(cell.counts().collect::<Vec<_>>(), [3, 2, 1]);
        assert!((cell.sum() - 0.5121).abs() < 1e-9);
    }

    #[test]
    fn a_gauge_adds_subtracts_and_sets() {
        let gauge = GaugeCell::default();
        gauge.increment(3.0);
        gauge.decrement(1.0);
        assert!((gauge.value() - 2.0).abs() < f64::EPSILON);
        gauge.set(0.25);
        assert!((gauge.value() - 0.25).abs() < f64::EPSILON);
    }
}
