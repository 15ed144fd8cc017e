//! What is said of one attack: a line of JSON, alike for attacks that need engines and for those that need none (`tests/sim`).

use serde::Serialize;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// One line.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Row {
    pub(crate) attack: &'static str,
    /// Exactly so many tokens in each answer, where not 16 to 64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) answer_tokens: Option<u32>,
    /// Where answers are drawn at one temperature and from all tokens, in thousandths.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) temperature_milli: Option<u32>,
    /// Nodes that have a part in it, where it was tried among nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) nodes: Option<u32>,
    /// Answers, or reports where auditors cheat; whatever else the note says.
    pub(crate) tried: u64,
    /// Single audits that failed, or reports that were refused or refuted: how often the attack came to nothing.
    pub(crate) found: u64,
    /// Of those tried, answers that are not, token for token, what the asked model, seed and temperature give: where all tokens are the same
    /// nothing was done to whoever asked. Only where a provider has computed otherwise than asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unlike: Option<u64>,
    /// Among nodes: answers whose text is not what an honest node says to the same question. Of those, how many were found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unlike_found: Option<u64>,
    /// Of those tried, how many are so far from honest that a juror would convict by them (`verify::audit::doubt`). Only where a provider cheats, or is
    /// made to look as if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) convincing: Option<u64>,
    /// Tokens until the first audit fails; none if none did.
    pub(crate) tokens_median: Option<u64>,
    /// Audits until the published evidence accuses, among nodes until the first of one's own fails; none if that never happens.
    pub(crate) audits_median: Option<u64>,
    pub(crate) false_alarms: u64,
    pub(crate) honest_tried: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) false_alarms_for: BTreeMap<String, u64>,
    pub(crate) note: Cow<'static, str>,
    /// Share of what was tried that has to be found, in percent. 0 promises nothing.
    #[serde(skip)]
    pub(crate) promised_percent: u64,
    /// The same of those that are unlike.
    #[serde(skip)]
    pub(crate) unlike_promised_percent: u64,
}

impl Row {
    /// Whether as much was found as was promised; if not, it is said.
    pub(crate) fn keeps_promise(&self) -> bool {
        let enough = |found: u64, of: u64, percent: u64| found * 100 >= of * percent;
        let unlike_enough = match (self.unlike, self.unlike_found) {
            // Where nothing differs nothing was tried.
            (Some(0), _) => self.unlike_promised_percent == 0,
            (Some(unlike), Some(found)) => enough(found, unlike, self.unlike_promised_percent),
            _ => true,
        };
        let kept = enough(self.found, self.tried, self.promised_percent) && unlike_enough && self.tried > 0;
        if !kept {
            eprintln!("not as promised: {self:?}");
        }
        kept
    }
}
