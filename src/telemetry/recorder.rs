//! The recorder: which series exist, and who keeps them alive.
//!
//! Handles are registered once into structs and used without a look-up; the maps here are touched
//! when a series first appears, when its scope goes, and at a scrape.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::fmt::Write;
use std::mem;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use metrics::Counter;
use metrics::Gauge;
use metrics::Histogram;

use crate::config::metrics::Metrics;
use crate::telemetry::catalog::Family;
use crate::telemetry::catalog::Kind;
use crate::telemetry::cells::Bounds;
use crate::telemetry::cells::CounterCell;
use crate::telemetry::cells::GaugeCell;
use crate::telemetry::cells::HistogramCell;

/// All series of the process. A clone is another reference to the same.
#[derive(Clone)]
pub struct Recorder(Arc<Shared>);

struct Shared {
    /// One map for each family. Taken for short: by whoever sees a service's first connection or a
    /// new reason, by a scope that goes, and by a scrape, which copies references and formats later.
    families: Box<[Mutex<SeriesByLabels>]>,
    /// Taken by a scrape and when a collector is added.
    collectors: Mutex<Vec<Arc<Collector>>>,
    request_bounds: Arc<Bounds>,
    handshake_bounds: Arc<Bounds>,
}

type SeriesByLabels = BTreeMap<Arc<str>, Series>;

type Collector = dyn Fn(&mut Families) + Send + Sync;

struct Series {
    cell: Cell,
    scopes: usize,
}

/// The number behind a series.
#[derive(Clone, Debug)]
pub(super) enum Cell {
    Counter(Arc<CounterCell>),
    Gauge(Arc<GaugeCell>),
    Histogram(Arc<HistogramCell>),
}

impl Recorder {
    /// A recorder without series. The bucket bounds hold for the life of the process, so that no
    /// histogram changes its shape under a running Prometheus.
    pub fn new(settings: &Metrics) -> Self {
        Self(Arc::new(Shared {
            families: Family::ALL.iter().map(|_| Mutex::default()).collect(),
            collectors: Mutex::default(),
            request_bounds: Arc::new(Bounds::new(&settings.request_buckets)),
            handshake_bounds: Arc::new(Bounds::new(&settings.handshake_buckets)),
        }))
    }

    /// A scope: series that are registered through it vanish when it is dropped.
    pub fn scope(&self) -> Scope {
        Scope { recorder: self.clone(), registered: Mutex::default() }
    }

    /// Adds values that are computed at each scrape.
    pub fn collector(&self, collect: impl Fn(&mut Families) + Send + Sync + 'static) {
        lock(&self.0.collectors).push(Arc::new(collect));
    }

    /// What a counter or a gauge shows now, or how many values a histogram has seen; `None` without
    /// such a series. For status and tests: this is a search.
    pub fn value(&self, family: Family, labels: &[(&'static str, &str)]) -> Option<f64> {
        let series = lock(&self.0.families[family as usize]);
        Some(match &series.get(&*label_text(family, labels))?.cell {
            Cell::Counter(cell) => cell.value() as f64,
            Cell::Gauge(cell) => cell.value(),
            Cell::Histogram(cell) => cell.counts().sum::<u64>() as f64,
        })
    }

    /// The registered series of a family, by their label text.
    pub(super) fn series(&self, family: Family) -> Vec<(Arc<str>, Cell)> {
        let series = lock(&self.0.families[family as usize]);
        series.iter().map(|(labels, series)| (labels.clone(), series.cell.clone())).collect()
    }

    /// Runs the collectors.
    pub(super) fn collect(&self) -> Families {
        let collectors = lock(&self.0.collectors).clone();
        let mut families = Families::default();
        for collect in collectors {
            collect(&mut families);
        }
        families
    }

    fn make(&self, kind: Kind) -> Cell {
        let histogram = |bounds: &Arc<Bounds>| Arc::new(HistogramCell::new(bounds.clone()));
        match kind {
            Kind::Counter => Cell::Counter(Arc::default()),
            Kind::Gauge => Cell::Gauge(Arc::default()),
            Kind::RequestSeconds => Cell::Histogram(histogram(&self.0.request_bounds)),
            Kind::HandshakeSeconds => Cell::Histogram(histogram(&self.0.handshake_bounds)),
        }
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").finish_non_exhaustive()
    }
}

/// Keeps series alive. The same series of two scopes is one number, which lives as long as either:
/// a virtual service that a reload changes goes on counting where its predecessor is.
#[derive(Debug)]
pub struct Scope {
    recorder: Recorder,
    /// Taken when a series is registered, by threads that meet a reason or a code at the same time.
    registered: Mutex<Vec<(Family, Arc<str>)>>,
}

impl Scope {
    /// A handle of a counter; one that does nothing if the family is not a counter.
    pub fn counter(&self, family: Family, labels: &[(&'static str, &str)]) -> Counter {
        match self.register(family, labels) {
            Cell::Counter(cell) => Counter::from_arc(cell),
            Cell::Gauge(_) | Cell::Histogram(_) => Counter::noop(),
        }
    }

    /// A handle of a gauge; one that does nothing if the family is not a gauge.
    pub fn gauge(&self, family: Family, labels: &[(&'static str, &str)]) -> Gauge {
        match self.register(family, labels) {
            Cell::Gauge(cell) => Gauge::from_arc(cell),
            Cell::Counter(_) | Cell::Histogram(_) => Gauge::noop(),
        }
    }

    /// A handle of a histogram, which takes seconds; one that does nothing if the family is not one.
    pub fn histogram(&self, family: Family, labels: &[(&'static str, &str)]) -> Histogram {
        match self.register(family, labels) {
            Cell::Histogram(cell) => Histogram::from_arc(cell),
            Cell::Counter(_) | Cell::Gauge(_) => Histogram::noop(),
        }
    }

    /// The recorder that the series are in.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    fn register(&self, family: Family, labels: &[(&'static str, &str)]) -> Cell {
        let labels: Arc<str> = label_text(family, labels).into();
        let mut series = lock(&self.recorder.0.families[family as usize]);
        let cell = match series.entry(labels.clone()) {
            Entry::Occupied(mut entry) => {
                let series = entry.get_mut();
                series.scopes += 1;
                series.cell.clone()
            }
            Entry::Vacant(entry) => {
                let cell = self.recorder.make(family.description().kind);
                entry.insert(Series { cell, scopes: 1 }).cell.clone()
            }
        };
        drop(series);
        lock(&self.registered).push((family, labels));
        cell
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        for (family, labels) in mem::take(&mut *lock(&self.registered)) {
            let mut series = lock(&self.recorder.0.families[family as usize]);
            if let Entry::Occupied(mut entry) = series.entry(labels) {
                entry.get_mut().scopes -= 1;
                if entry.get().scopes == 0 {
                    entry.remove();
                }
            }
        }
    }
}

/// Values that collectors computed for one scrape.
#[derive(Debug, Default)]
pub struct Families(BTreeMap<Family, Vec<(String, f64)>>);

impl Families {
    /// Adds a value. One with the same labels as another of its family would spoil the whole scrape
    /// for Prometheus, so the names in `labels` have to identify the thing.
    pub fn add(&mut self, family: Family, labels: &[(&'static str, &str)], value: f64) {
        self.0.entry(family).or_default().push((label_text(family, labels), value));
    }

    /// The values of a family.
    pub(super) fn of(&self, family: Family) -> &[(String, f64)] {
        self.0.get(&family).map_or(&[], Vec::as_slice)
    }
}

/// `a="x",b="y"` with the escapes of the exposition format: backslash, quote, line feed.
fn label_text(family: Family, labels: &[(&'static str, &str)]) -> String {
    debug_assert!(
        labels.iter().map(|(name, _)| name).eq(family.description().labels),
        "{family:?} does not have these labels"
    );
    let mut text = String::with_capacity(labels.iter().map(|(n, v)| n.len() + v.len() + 4).sum());
    for (name, value) in labels {
        if !text.is_empty() {
            text.push(',');
        }
        // Writing to a String cannot fail.
        let _ = write!(text, "{name}=\"");
        for c in value.chars() {
            match c {
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str("\\n"),
                other => text.push(other),
            }
        }
        text.push('"');
    }
    text
}

/// A panic elsewhere leaves numbers that are still right.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A recorder with the bounds that the configuration has by default.
    pub(crate) fn recorder() -> Recorder {
        Recorder::new(&Metrics {
            request_buckets: vec![
                0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5,
                5.0, 7.5, 10.0,
            ],
            handshake_buckets: vec![
                0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
            ],
        })
    }

    const SHOP: &[(&str, &str)] = &[("virtual_service", "shop")];

    #[test]
    fn series_vanish_with_their_scope() {
        let recorder = recorder();
        let scope = recorder.scope();
        scope.counter(Family::Connections, SHOP).increment(2);
        assert_eq!(recorder.value(Family::Connections, SHOP), Some(2.0));
        drop(scope);
        assert_eq!(recorder.value(Family::Connections, SHOP), None);
    }

    #[test]
    fn a_successor_goes_on_counting_where_its_predecessor_is() {
        let recorder = recorder();
        let old = recorder.scope();
        old.counter(Family::Connections, SHOP).increment(2);
        let new = recorder.scope();
        let counter = new.counter(Family::Connections, SHOP);
        drop(old);
        counter.increment(1);
        assert_eq!(recorder.value(Family::Connections, SHOP), Some(3.0));
        drop(new);
        assert_eq!(recorder.value(Family::Connections, SHOP), None);
    }

    #[test]
    fn label_values_are_escaped() {
        let labels = [("certificate", "x"), ("key_type", "ec"), ("common_name", "a\"b\\c\nd")];
        let text = label_text(
            Family::CertificateInfo,
            &[labels[0], labels[1], labels[2], ("issuer", ""), ("serial", "01")],
        );
        assert!(text.contains(r#"common_name="a\"b\\c\nd",issuer="",serial="01""#), "{text}");
    }

    #[test]
    fn a_handle_of_the_wrong_kind_does_nothing() {
        let recorder = recorder();
        let scope = recorder.scope();
        scope.gauge(Family::Connections, SHOP).increment(1.0);
        assert_eq!(recorder.value(Family::Connections, SHOP), Some(0.0));
    }
}
