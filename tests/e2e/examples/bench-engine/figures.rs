//! What was measured, and the JSON of it: a figure, or null and the reason.

use serde_json::{json, Map, Value};

/// Samples of one thing at both servers, taken in turn.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pair {
    pub(crate) ours: Vec<f64>,
    pub(crate) theirs: Vec<f64>,
}

impl Pair {
    /// The samples of one of them.
    pub(crate) fn of(&mut self, ours: bool) -> &mut Vec<f64> {
        if ours {
            &mut self.ours
        } else {
            &mut self.theirs
        }
    }

    /// Ours divided by theirs.
    pub(crate) fn ratio(&self) -> Option<f64> {
        Some(median(&self.ours)? / median(&self.theirs)?)
    }

    /// Ours less theirs.
    pub(crate) fn difference(&self) -> Option<f64> {
        Some(median(&self.ours)? - median(&self.theirs)?)
    }

    fn to_json(&self) -> Value {
        json!({ "ours": spread(&self.ours), "theirs": spread(&self.theirs) })
    }
}

/// The middle one.
pub(crate) fn median(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

fn spread(samples: &[f64]) -> Value {
    let low = samples.iter().copied().fold(f64::INFINITY, f64::min);
    let high = samples.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    match median(samples) {
        Some(middle) => json!({ "median": round(middle), "min": round(low), "max": round(high), "n": samples.len() }),
        None => Value::Null,
    }
}

/// The report as it grows.
#[derive(Default)]
pub(crate) struct Report {
    figures: Map<String, Value>,
    samples: Map<String, Value>,
}

impl Report {
    /// A figure; `reason` says why there is none.
    pub(crate) fn figure(&mut self, name: &str, value: Option<f64>, reason: &str) {
        self.figures.insert(name.into(), value.map_or(Value::Null, round));
        if value.is_none() {
            self.figures.insert(format!("{name}_reason"), reason.into());
        }
    }

    /// What has no figure yet gets none, and the reason.
    pub(crate) fn complete(&mut self, names: &[&str], reason: &str) {
        for name in names.iter().filter(|name| !self.figures.contains_key(**name)).copied().collect::<Vec<_>>() {
            self.figure(name, None, reason);
        }
    }

    /// Something to know besides.
    pub(crate) fn note(&mut self, name: &str, value: impl Into<Value>) {
        self.figures.insert(name.into(), value.into());
    }

    /// What a figure was made of.
    pub(crate) fn samples(&mut self, name: &str, pair: &Pair) {
        self.samples.insert(name.into(), pair.to_json());
    }

    pub(crate) fn into_json(mut self) -> Value {
        self.figures.insert("samples".into(), Value::Object(self.samples));
        Value::Object(self.figures)
    }
}

fn round(value: f64) -> Value {
    json!((value * 1e4).round() / 1e4)
}
