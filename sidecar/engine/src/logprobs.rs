//! How likely tokens were: natural logarithms of the softmax over all logits, before anything cut or changed them.

use std::cmp::Ordering;

/// Log-probabilities of one row of logits.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Logprobs {
    /// Of the chosen token.
    pub(crate) chosen: f32,
    /// The most likely tokens, most likely first; ties by id.
    pub(crate) top: Vec<(u32, f32)>,
}

/// Log-probabilities of `chosen` and of the `top` most likely tokens. Logits that are not numbers count as impossible.
pub(crate) fn logprobs(logits: &[f32], chosen: u32, top: usize) -> Logprobs {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().filter(|l| !l.is_nan()).map(|l| f64::from(l - highest).exp()).sum();
    let of = |logit: f32| (f64::from(logit - highest) - sum.ln()) as f32;
    let better = |a: &(u32, f32), b: &(u32, f32)| -> Ordering { b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)) };
    // A heap would do; the list is short and most candidates fail the first comparison.
    let mut best: Vec<(u32, f32)> = Vec::with_capacity(top + 1);
    if top > 0 {
        for (&logit, id) in logits.iter().zip(0u32..).filter(|(l, _)| !l.is_nan()) {
            if best.len() == top && best.last().is_some_and(|last| better(&(id, logit), last) != Ordering::Less) {
                continue;
            }
            let at = best.partition_point(|b| better(b, &(id, logit)) == Ordering::Less);
            best.insert(at, (id, logit));
            best.truncate(top);
        }
    }
    let chosen = logits.get(chosen as usize).copied().filter(|l| !l.is_nan()).unwrap_or(f32::NEG_INFINITY);
    Logprobs { chosen: of(chosen), top: best.into_iter().map(|(id, logit)| (id, of(logit))).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_the_logarithms_of_probabilities() {
        let p = [0.5f32, 0.125, 0.25, 0.125];
        let logits: Vec<f32> = p.iter().map(|p| p.ln() + 3.0).collect();
        let found = logprobs(&logits, 3, 3);
        assert!((found.chosen - 0.125f32.ln()).abs() < 1e-6);
        let ids: Vec<u32> = found.top.iter().map(|t| t.0).collect();
        assert_eq!(ids, [0, 2, 1], "most likely first, ties by id");
        let all = logprobs(&logits, 0, 4).top.iter().map(|t| f64::from(t.1).exp()).sum::<f64>();
        assert!((all - 1.0).abs() < 1e-6);
    }

    #[test]
    fn strange_logits_do_no_harm() {
        let found = logprobs(&[f32::NAN, 1.0, f32::NEG_INFINITY], 0, 5);
        assert_eq!(found.chosen, f32::NEG_INFINITY);
        assert_eq!(found.top[0], (1, 0.0));
        assert_eq!(logprobs(&[], 7, 2).top, []);
    }
}
