//! OpenMetrics as text: small enough to write by hand.

use super::Histogram;
use std::fmt::Write as _;
use std::sync::atomic::Ordering::Relaxed;

/// An exposition that grows.
#[derive(Default)]
pub(super) struct Text {
    out: String,
    family: String,
}

impl Text {
    /// Begins a family of samples.
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.family = name.to_owned();
        let _ = writeln!(self.out, "# TYPE {name} {kind}\n# HELP {name} {help}");
    }

    /// A sample of the family begun last.
    pub(super) fn sample(&mut self, end: &str, labels: &[(&str, &str)], value: f64) {
        let _ = write!(self.out, "{}{end}", self.family);
        for (at, (name, value)) in labels.iter().enumerate() {
            let before = if at == 0 { '{' } else { ',' };
            let _ = write!(self.out, "{before}{name}=\"{}\"", escaped(value));
        }
        let _ = writeln!(self.out, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    /// A family of one sample.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.family(name, "gauge", help);
        self.sample("", &[], value);
    }

    /// A family of buckets.
    pub(super) fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.family(name, "histogram", help);
        let Histogram { ends, counts, sum_micro } = histogram;
        let ends = ends.iter().map(|end| format!("{end:?}")).chain(["+Inf".to_owned()]);
        let mut sum = 0;
        for (end, count) in ends.zip(counts) {
            sum += count.load(Relaxed);
            self.sample("_bucket", &[("le", &end)], sum as f64);
        }
        self.sample("_count", &[], sum as f64);
        self.sample("_sum", &[], sum_micro.load(Relaxed) as f64 / 1e6);
    }

    /// The whole, with the mark that it is the whole.
    pub(super) fn end(mut self) -> String {
        self.out.push_str("# EOF\n");
        self.out
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_as_open_metrics_writes_them() {
        let mut text = Text::default();
        text.family("a", "counter", "What.");
        text.sample("_total", &[("x", "q\"\\\n"), ("y", "z")], 2.0);
        text.gauge("b", "That.", 0.5);
        let histogram = Histogram::new(&[1.0, 2.5]);
        histogram.add(2.0);
        text.histogram("c", "Those.", &histogram);
        let wanted = "# TYPE a counter\n# HELP a What.\na_total{x=\"q\\\"\\\\\\n\",y=\"z\"} 2\n\
            # TYPE b gauge\n# HELP b That.\nb 0.5\n\
            # TYPE c histogram\n# HELP c Those.\nc_bucket{le=\"1.0\"} 0\nc_bucket{le=\"2.5\"} 1\n\
            c_bucket{le=\"+Inf\"} 1\nc_count 1\nc_sum 2\n# EOF\n";
        assert_eq!(text.end(), wanted);
    }
}
