//! Prometheus text (exposition format 0.0.4) of what the recorder holds.

use crate::telemetry::catalog::Family;
use crate::telemetry::cells::HistogramCell;
use crate::telemetry::recorder::Cell;
use crate::telemetry::recorder::Recorder;

/// The content type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Which part of the metrics a scrape asks for. The default is all.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Filter {
    /// Full names of metrics (`?name[]=`); empty for all.
    pub names: Vec<String>,
    /// Names of virtual services (`?virtual_service=`); empty for all. With any, metrics that are
    /// not of a virtual service are left out.
    pub virtual_services: Vec<String>,
}

impl Filter {
    fn takes_family(&self, family: Family) -> bool {
        let row = family.description();
        (self.names.is_empty() || self.names.iter().any(|name| name == row.name))
            && (self.virtual_services.is_empty() || row.labels.first() == Some(&"virtual_service"))
    }

    /// `virtual_service` is the first label wherever it occurs, and its value needs no escapes.
    fn takes_series(&self, labels: &str) -> bool {
        if self.virtual_services.is_empty() {
            return true;
        }
        let name =
            labels.strip_prefix("virtual_service=\"").and_then(|rest| rest.split('"').next());
        name.is_some_and(|name| self.virtual_services.iter().any(|wanted| wanted == name))
    }
}

impl Recorder {
    /// The text of a scrape.
    pub fn render(&self, filter: &Filter) -> String {
        let collected = self.collect();
        let mut text = Text::default();
        for family in Family::ALL.iter().copied().filter(|family| filter.takes_family(*family)) {
            text.begin(family);
            for (labels, cell) in self.series(family) {
                if filter.takes_series(&labels) {
                    text.cell(&labels, &cell);
                }
            }
            for (labels, value) in collected.of(family) {
                if filter.takes_series(labels) {
                    text.line("", labels, "", *value);
                }
            }
        }
        text.out
    }
}

#[derive(Default)]
struct Text {
    out: String,
    family: Option<Family>,
    headed: bool,
    integers: itoa::Buffer,
}

impl Text {
    fn begin(&mut self, family: Family) {
        self.family = Some(family);
        self.headed = false;
    }

    fn cell(&mut self, labels: &str, cell: &Cell) {
        match cell {
            Cell::Counter(cell) => self.integer("", labels, "", cell.value()),
            Cell::Gauge(cell) => self.line("", labels, "", cell.value()),
            Cell::Histogram(cell) => self.histogram(labels, cell),
        }
    }

    fn histogram(&mut self, labels: &str, cell: &HistogramCell) {
        let mut total = 0;
        let texts = cell.bounds().texts().chain(["+Inf"]);
        for (le, count) in texts.zip(cell.counts()) {
            total += count;
            self.integer("_bucket", labels, le, total);
        }
        self.line("_sum", labels, "", cell.sum());
        // Not read again from the cell: `_count` has to equal the last bucket.
        self.integer("_count", labels, "", total);
    }

    fn integer(&mut self, suffix: &str, labels: &str, le: &str, value: u64) {
        self.name(suffix, labels, le);
        self.out.push_str(self.integers.format(value));
        self.out.push('\n');
    }

    fn line(&mut self, suffix: &str, labels: &str, le: &str, value: f64) {
        self.name(suffix, labels, le);
        if value.fract() == 0.0 && value.abs() < EXACT {
            self.out.push_str(self.integers.format(value as i64));
        } else {
            // `inf` and `NaN` are words that Prometheus reads too.
            self.out.push_str(&value.to_string());
        }
        self.out.push('\n');
    }

    fn name(&mut self, suffix: &str, labels: &str, le: &str) {
        let Some(row) = self.family.map(Family::description) else { return };
        if !self.headed {
            self.headed = true;
            for part in ["# HELP ", row.name, " ", row.help, "\n# TYPE ", row.name, " "] {
                self.out.push_str(part);
            }
            self.out.push_str(row.kind.word());
            self.out.push('\n');
        }
        self.out.push_str(row.name);
        self.out.push_str(suffix);
        if !labels.is_empty() || !le.is_empty() {
            self.out.push('{');
            self.out.push_str(labels);
            if !le.is_empty() {
                self.out.push_str(if labels.is_empty() { "le=\"" } else { ",le=\"" });
                self.out.push_str(le);
                self.out.push('"');
            }
            self.out.push('}');
        }
        self.out.push(' ');
    }
}

/// Below this every whole `f64` is the same number as an `i64`.
const EXACT: f64 = 9_007_199_254_740_992.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::recorder::tests::recorder;

    #[test]
    fn series_have_help_type_and_cumulated_buckets() {
        let recorder = recorder();
        let scope = recorder.scope();
        let labels = [("virtual_service", "shop")];
        let histogram = scope.histogram(Family::HandshakeDuration, &labels);
        histogram.record(0.0004);
        histogram.record(0.002);
        histogram.record(99.0);
        let text = recorder.render(&Filter::default());
        let name = "portcullis_tls_handshake_duration_seconds";
        for line in [
            format!("# TYPE {name} histogram"),
            format!("{name}_bucket{{virtual_service=\"shop\",le=\"0.0005\"}} 1"),
            format!("{name}_bucket{{virtual_service=\"shop\",le=\"0.0025\"}} 2"),
            format!("{name}_bucket{{virtual_service=\"shop\",le=\"+Inf\"}} 3"),
            format!("{name}_sum{{virtual_service=\"shop\"}} 99.0024"),
            format!("{name}_count{{virtual_service=\"shop\"}} 3"),
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
        assert!(text.starts_with(&format!("# HELP {name} ")), "{text}");
    }

    #[test]
    fn a_family_without_series_is_not_mentioned() {
        assert_eq!(recorder().render(&Filter::default()), "");
    }

    #[test]
    fn collected_values_are_rendered_with_the_rest() {
        let recorder = recorder();
        recorder.collector(|families| {
            families.add(Family::CertificateServedDiffers, &[("certificate", "a")], 1.0);
            families.add(Family::ProcessCpu, &[], 1.25);
        });
        let text = recorder.render(&Filter::default());
        assert!(text.contains("portcullis_certificate_served_differs{certificate=\"a\"} 1\n"));
        assert!(text.contains("process_cpu_seconds_total 1.25\n"));
    }

    #[test]
    fn filters_take_names_and_virtual_services() {
        let recorder = recorder();
        let scope = recorder.scope();
        for name in ["shop", "shop2"] {
            scope.counter(Family::Connections, &[("virtual_service", name)]).increment(1);
            scope.gauge(Family::ConnectionsActive, &[("virtual_service", name)]).set(1.0);
        }
        scope.gauge(Family::Workers, &[]).set(2.0);
        let only = |names: &[&str], services: &[&str]| {
            let own = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
            let text =
                recorder.render(&Filter { names: own(names), virtual_services: own(services) });
            text.lines().filter(|line| !line.starts_with('#')).count()
        };
        assert_eq!(only(&[], &[]), 5);
        assert_eq!(only(&["portcullis_connections_total"], &[]), 2);
        assert_eq!(only(&[], &["shop"]), 2);
        assert_eq!(only(&["portcullis_connections_total"], &["shop2"]), 1);
        assert_eq!(only(&["portcullis_workers"], &["shop"]), 0);
    }
}
