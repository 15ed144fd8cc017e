//! Calibrations in files: how honest machines differ, as `cargo xtask calibrate` has measured it.
//!
//! A file speaks of a model by its hash and of machines by their classes; on a network it becomes an entry about the spec that this network
//! knows the model by. Whatever it says is judged by the rules for everybody's calibrations before anything follows from it.

use super::own;
use crate::receipt_file::replay::Measured;
use crate::receipt_file::ReceiptFile;
use crate::NodeError;
use ainonymous_types::limits::FINGERPRINT_WINDOW_TOKENS;
use ainonymous_types::{Bytes32, Calibration, CalibrationRow, ChatInput, KvType, ModelSpec, Receipt, SpecRef};
use ainonymous_verify::audit::{calibration, leaf};
use serde::Deserialize;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Version of the file that this build understands.
const VERSION: u32 = 3;
/// A penalty on repetition that changes nothing.
const NO_PENALTY_MILLI: u32 = 1_000;
/// Longest file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A table and what it is about.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    model: String,
    gguf_hash: Bytes32,
    kv_type: KvType,
    sampler_version: u16,
    build: String,
    prover: String,
    verifier: String,
    data: Bytes32,
    /// The longest answers that it was made from: of longer ones it says nothing,
    tokens_to: u32,
    /// nor of such as were drawn at a higher temperature, in thousandths.
    temperature_milli_to: u32,
    rows: Vec<CalibrationRow>,
}

/// What of an answer decides whether a table speaks of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope {
    tokens: u32,
    temperature_milli: u32,
    /// Logits were multiplied, and with them what machines differ by.
    stretched: bool,
}

impl Scope {
    /// Of an answer to this, as a whole.
    pub(crate) fn of(input: &ChatInput, receipt: &Receipt) -> Self {
        Self { tokens: receipt.completion_tokens, ..Self::of_a_stretch(input) }
    }

    /// Of so much of it as a table speaks of ([`Table::stretch`]).
    pub(crate) fn of_a_stretch(input: &ChatInput) -> Self {
        let adjust = input.more.as_deref().and_then(|more| more.adjust.as_ref());
        Self {
            tokens: 0,
            temperature_milli: input.sampling.temperature_milli,
            stretched: adjust.is_some_and(|adjust| adjust.repetition_milli != NO_PENALTY_MILLI),
        }
    }
}

/// All that were read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tables(Vec<Table>);

#[derive(Deserialize)]
struct File {
    model: String,
    gguf_hash: String,
    kv_type: KvType,
    sampler_version: u16,
    build: String,
    prover: String,
    verifier: String,
    data: String,
    tokens_to: u32,
    temperature_milli_to: u32,
    rows: Vec<CalibrationRow>,
}

impl Tables {
    /// Reads them; one that cannot be used is an error that names it.
    pub(crate) fn read(paths: &[PathBuf]) -> Result<Self, NodeError> {
        paths.iter().map(|path| read(path)).collect::<Result<_, _>>().map(Self)
    }

    /// The table for such an answer by this model, from one class of machines to another, as this build computes.
    pub(crate) fn of(
        &self,
        model: &ModelSpec,
        scope: Scope,
        build: &str,
        prover: &str,
        verifier: &str,
    ) -> Option<&Table> {
        self.0.iter().find(|table| {
            table.is_of(model)
                && table.build == build
                && table.prover == prover
                && table.verifier == verifier
                && table.speaks_of(scope)
        })
    }

    /// Whether there is one for such an answer, whatever machine has given it.
    pub(crate) fn speak_of(&self, model: &ModelSpec, scope: Scope, build: &str, verifier: &str) -> bool {
        let fits = |table: &Table| table.build == build && table.verifier == verifier && table.speaks_of(scope);
        self.0.iter().any(|table| table.is_of(model) && fits(table))
    }

    /// What they are about, for people.
    pub(crate) fn names(&self) -> Vec<String> {
        self.0.iter().map(|table| format!("{}: {} by {}", table.model, table.prover, table.verifier)).collect()
    }
}

impl Table {
    /// That of the tests' model.
    #[cfg(test)]
    pub(crate) fn of_the_tests() -> Self {
        let path = "../../docs/reference/calibration/tiny-gemma-q8_0.cpu-zen4.table.json";
        read(Path::new(path)).expect("a table")
    }

    fn is_of(&self, model: &ModelSpec) -> bool {
        self.gguf_hash == model.gguf_hash
            && self.kv_type == model.kv_type
            && self.sampler_version == model.sampler_version
    }

    fn speaks_of(&self, scope: Scope) -> bool {
        scope.tokens <= self.tokens_to && scope.temperature_milli <= self.temperature_milli_to && !scope.stretched
    }

    /// Which windows of an answer of so many tokens it judges: all of one that it speaks of, else as many in a row as it speaks of. No window, also
    /// not the first or the last, is less likely among them than `some` in `all + some − 1`.
    pub(crate) fn stretch(&self, tokens: u32, random: u32) -> Range<usize> {
        let all = leaf::count(tokens) as usize;
        let some = self.tokens_to as usize / FINGERPRINT_WINDOW_TOKENS;
        if tokens <= self.tokens_to || some >= all {
            return 0..all;
        }
        // A stretch that would begin before the answer or end behind it is moved to there.
        let from = (random as usize % (all + some - 1)).saturating_sub(some - 1).min(all - some);
        from..from + some
    }

    /// For answers in files.
    pub(crate) fn measured(&self) -> Measured {
        Measured { table: self.entry(own::nowhere()), windows_max: self.tokens_to as usize / FINGERPRINT_WINDOW_TOKENS }
    }

    /// The entry that says the same of a spec.
    pub(crate) fn entry(&self, spec: SpecRef) -> Calibration {
        let Self { prover, verifier, data, rows, .. } = self.clone();
        Calibration { spec, prover, verifier, data, rows }
    }
}

/// The table in a file for the answer of a receipt, whatever machines it is about; without rows where it says nothing of such an answer, however
/// little of it is judged.
pub fn calibration_for(path: &Path, file: &ReceiptFile) -> Result<Measured, NodeError> {
    let table = read(path)?;
    if !table.is_of(&file.model) {
        return Err(NodeError::Calibration { path: path.to_path_buf(), problem: "it is of another model".into() });
    }
    let mut measured = table.measured();
    if !table.speaks_of(Scope::of_a_stretch(&file.question)) {
        measured.table.rows.clear();
    }
    Ok(measured)
}

fn read(path: &Path) -> Result<Table, NodeError> {
    let storage = |source| NodeError::Storage { path: path.to_path_buf(), source };
    let unusable = |problem: String| NodeError::Calibration { path: path.to_path_buf(), problem };
    let bytes = fs_err::metadata(path).map_err(storage)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(unusable(format!("it has {bytes} bytes, at most {FILE_BYTES_MAX} are read")));
    }
    let text = fs_err::read_to_string(path).map_err(storage)?;
    parse(&text).map_err(unusable)
}

fn parse(text: &str) -> Result<Table, String> {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let Version { version } = serde_json::from_str(text).map_err(|e| e.to_string())?;
    if version != VERSION {
        return Err(format!("version {version} of such files is not known here, {VERSION} is"));
    }
    let file: File = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let hash = |what: &str, text: &str| hash_of(text).ok_or_else(|| format!("{what} is no SHA-256"));
    let table = Table {
        model: file.model,
        gguf_hash: hash("gguf_hash", &file.gguf_hash)?,
        kv_type: file.kv_type,
        sampler_version: file.sampler_version,
        build: file.build,
        prover: file.prover,
        verifier: file.verifier,
        data: hash("data", &file.data)?,
        tokens_to: file.tokens_to,
        temperature_milli_to: file.temperature_milli_to,
        rows: file.rows,
    };
    calibration::rules(&table.entry(own::nowhere())).map_err(|breach| breach.to_string())?;
    Ok(table)
}

/// 32 bytes in hexadecimal.
fn hash_of(text: &str) -> Option<Bytes32> {
    let mut bytes = [0; 32];
    if text.len() != 2 * bytes.len() {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(Bytes32(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ainonymous_types::{Outcome, Statistics, Verdict};
    use ainonymous_verify::audit::measure;
    use serde_json::{json, Value};

    fn file() -> Value {
        let found = |delta: u32| Statistics {
            tokens: 32,
            delta_sum: delta,
            delta_window: delta,
            delta_position: delta,
            ..Statistics::default()
        };
        let (honest, cheats): (Vec<_>, Vec<_>) =
            ((0..3_500).map(|n| found(n % 9)).collect(), (0..300).map(|n| found(100 + n % 90)).collect());
        json!({
            "version": VERSION, "model": "m.gguf", "gguf_hash": "11".repeat(32), "kv_type": "f16", "sampler_version": 2,
            "build": "b1", "prover": "cpu-a", "verifier": "cpu-b", "data": "22".repeat(32), "tokens_to": 96,
            "temperature_milli_to": 1_500,
            "rows": [measure::row(8, &honest, &cheats).unwrap()], "tried": "whatever else it says",
        })
    }

    fn model() -> ModelSpec {
        ModelSpec {
            name: "m".into(),
            quantization: "q8_0".into(),
            architecture: "gemma4".into(),
            gguf_hash: Bytes32([0x11; 32]),
            gguf_root: Bytes32([0; 32]),
            gguf_bytes: 1,
            tokenizer_hash: Bytes32([0; 32]),
            template_hash: Bytes32([0; 32]),
            sampler_version: 2,
            kv_type: KvType::F16,
            context_tokens: 64,
        }
    }

    #[test]
    fn a_table_is_for_one_model_one_build_and_one_pair_of_machines() {
        let tables = Tables(vec![parse(&file().to_string()).unwrap()]);
        let of = |model: &ModelSpec, (tokens, temperature_milli, stretched), build, prover, verifier| {
            tables.of(model, Scope { tokens, temperature_milli, stretched }, build, prover, verifier).is_some()
        };
        let most = (96, 1_500, false);
        assert!(of(&model(), most, "b1", "cpu-a", "cpu-b"));
        assert!(!of(&model(), most, "b2", "cpu-a", "cpu-b") && !of(&model(), most, "b1", "cpu-b", "cpu-a"));
        let other = ModelSpec { gguf_hash: Bytes32([0x12; 32]), ..model() };
        let coarser = ModelSpec { kv_type: KvType::Q8_0, ..model() };
        assert!(!of(&other, most, "b1", "cpu-a", "cpu-b") && !of(&coarser, most, "b1", "cpu-a", "cpu-b"));
        assert!(!of(&model(), (97, 0, false), "b1", "cpu-a", "cpu-b"), "longer than what it was made from");
        assert!(!of(&model(), (1, 1_501, false), "b1", "cpu-a", "cpu-b"), "hotter");
        assert!(!of(&model(), (1, 0, true), "b1", "cpu-a", "cpu-b"), "with larger differences");
        let stretch = |tokens, random| tables.0[0].stretch(tokens, random);
        assert_eq!([stretch(1, 9), stretch(96, 9)], [0..1, 0..3], "the whole");
        let all: Vec<_> = (0..12).map(|random| stretch(320, random)).collect();
        assert!(all.iter().all(|windows| windows.len() == 3 && windows.end <= 10), "three windows in a row");
        let judged = |window: usize| all.iter().filter(|windows| windows.contains(&window)).count();
        assert_eq!((0..10).map(judged).min(), Some(3), "of twelve, the ends too");
        assert_eq!(stretch(97, u32::MAX), stretch(97, u32::MAX % 6), "of whatever is random");
        let may = |scope: (u32, u32, bool), verifier| {
            let (tokens, temperature_milli, stretched) = scope;
            tables.speak_of(&model(), Scope { tokens, temperature_milli, stretched }, "b1", verifier)
        };
        assert!(may(most, "cpu-b") && !may(most, "cpu-a") && !may((97, 0, false), "cpu-b"));
        assert_eq!(tables.names(), ["m.gguf: cpu-a by cpu-b"]);
    }

    #[test]
    fn what_is_no_calibration_is_not_read() {
        let spoilt = |spoil: fn(&mut Value)| {
            let mut file = file();
            spoil(&mut file);
            parse(&file.to_string()).unwrap_err()
        };
        assert!(spoilt(|f| f["version"] = 1.into()).contains("version 1"));
        assert!(spoilt(|f| f["gguf_hash"] = "xyz".into()).contains("gguf_hash"));
        assert!(spoilt(|f| f["rows"][0]["tables"][0]["llr"][0] = 768.into()).contains("order"));
        assert!(spoilt(|f| f["rows"] = json!([])).contains("empty"));
        assert!(parse("{").is_err());
        let missing = Tables::read(&[PathBuf::from("/nowhere/table.json")]).unwrap_err();
        assert_eq!(missing.code(), "storage");
    }

    /// The rules see contradictions and not lies: what a node is given it believes, and of what others publish it takes nothing.
    #[test]
    fn a_table_that_passes_everything_is_its_owners_choice() {
        let mut loose = file();
        for table in loose["rows"][0]["tables"].as_array_mut().unwrap() {
            table["fail_bin"] = table["honest"].as_array().unwrap().len().into();
        }
        let tables = Tables(vec![parse(&loose.to_string()).unwrap()]);
        let far = Statistics { tokens: 32, delta_sum: 8_000, delta_window: 8_000, ..Statistics::default() };
        let verdict = |tables: &Tables| {
            let table = tables
                .of(&model(), Scope { tokens: 32, temperature_milli: 0, stretched: false }, "b1", "cpu-a", "cpu-b")
                .map(|table| table.entry(crate::auditing::own::nowhere()));
            calibration::judge(table.as_ref(), &Outcome::Measured(far)).0
        };
        assert_eq!(verdict(&tables), Verdict::Pass);
        assert_eq!(verdict(&Tables(vec![parse(&file().to_string()).unwrap()])), Verdict::Fail);
        assert_eq!(verdict(&Tables::default()), Verdict::Inconclusive, "given none, it has none");
    }
}
