//! Calibrations in files: how honest machines differ, as `cargo xtask calibrate` has measured it.
//!
//! A file speaks of a model by its hash and of machines by their classes; on a network it becomes an entry about the spec that this network
//! knows the model by. A file holds a table for each of a few highest temperatures: of those that speak of an answer the coolest judges it, because
//! honest machines differ otherwise where it is hotter. Whatever it says is judged by the rules for everybody's calibrations before anything follows from it.

use super::own;
use crate::receipt_file::replay::Measured;
use crate::receipt_file::ReceiptFile;
use crate::NodeError;
use ainonymous_types::limits::FINGERPRINT_WINDOW_TOKENS;
use ainonymous_types::{Bytes32, Calibration, CalibrationRow, CalibrationScope, KvType, ModelSpec, SpecRef};
use ainonymous_verify::audit::{calibration, leaf, scope};
use serde::Deserialize;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Version of the file that this build understands.
const VERSION: u32 = 4;
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
    /// The longest, hottest and most strongly penalised answers that it was made from: of others it says nothing.
    scope: CalibrationScope,
    rows: Vec<CalibrationRow>,
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
    by_temperature: Vec<Part>,
}

/// What a file says of answers up to a temperature.
#[derive(Deserialize)]
struct Part {
    data: String,
    tokens_to: u32,
    temperature_milli_to: u32,
    repetition_milli_to: u32,
    rows: Vec<CalibrationRow>,
}

impl Tables {
    /// Reads them; one that cannot be used is an error that names it.
    pub(crate) fn read(paths: &[PathBuf]) -> Result<Self, NodeError> {
        let tables: Vec<Vec<Table>> = paths.iter().map(|path| read(path)).collect::<Result<_, _>>()?;
        Ok(Self(tables.into_iter().flatten().collect()))
    }

    /// The coolest table for such an answer by this model, from one class of machines to another, as this build computes.
    pub(crate) fn of(
        &self,
        model: &ModelSpec,
        answer: &CalibrationScope,
        build: &str,
        prover: &str,
        verifier: &str,
    ) -> Option<&Table> {
        let fits = |table: &&Table| {
            table.is_of(model)
                && table.build == build
                && table.prover == prover
                && table.verifier == verifier
                && table.speaks_of(answer)
        };
        coolest(self.0.iter().filter(fits))
    }

    /// Whether there is one for these classes of machines at all, whatever answers it speaks of.
    pub(crate) fn know(&self, model: &ModelSpec, build: &str, prover: &str, verifier: &str) -> bool {
        let fits = |table: &&Table| table.build == build && table.prover == prover && table.verifier == verifier;
        self.0.iter().filter(|table| table.is_of(model)).any(|table| fits(&table))
    }

    /// Whether there is one for such an answer, whatever machine has given it.
    pub(crate) fn speak_of(&self, model: &ModelSpec, answer: &CalibrationScope, build: &str, verifier: &str) -> bool {
        let fits = |table: &Table| table.build == build && table.verifier == verifier && table.speaks_of(answer);
        self.0.iter().any(|table| table.is_of(model) && fits(table))
    }

    /// What they are about, for people.
    pub(crate) fn names(&self) -> Vec<String> {
        let name = |table: &Table| format!("{}: {} by {}", table.model, table.prover, table.verifier);
        let mut names: Vec<String> = self.0.iter().map(name).collect();
        names.dedup();
        names
    }
}

fn coolest<'a>(tables: impl Iterator<Item = &'a Table>) -> Option<&'a Table> {
    tables.min_by_key(|table| table.scope.temperature_milli)
}

impl Table {
    /// The coolest of the tests' model.
    #[cfg(test)]
    pub(crate) fn of_the_tests() -> Self {
        let path = "../../docs/reference/calibration/tiny-gemma-q8_0.cpu-zen4.table.json";
        coolest(read(Path::new(path)).expect("tables").iter()).expect("a table").clone()
    }

    fn is_of(&self, model: &ModelSpec) -> bool {
        self.gguf_hash == model.gguf_hash
            && self.kv_type == model.kv_type
            && self.sampler_version == model.sampler_version
    }

    fn speaks_of(&self, answer: &CalibrationScope) -> bool {
        scope::covers(&self.scope, answer)
    }

    /// Which windows of an answer of so many tokens it judges: all of one that it speaks of, else as many in a row as it speaks of.
    pub(crate) fn stretch(&self, tokens: u32, random: u32) -> Range<usize> {
        let all = leaf::count(tokens) as usize;
        match tokens <= self.scope.tokens {
            true => 0..all,
            false => leaf::stretch(all, self.scope.tokens as usize / FINGERPRINT_WINDOW_TOKENS, random),
        }
    }

    /// For answers in files.
    pub(crate) fn measured(&self) -> Measured {
        Measured {
            table: self.entry(own::nowhere()),
            windows_max: self.scope.tokens as usize / FINGERPRINT_WINDOW_TOKENS,
        }
    }

    /// The entry that says the same of a spec.
    pub(crate) fn entry(&self, spec: SpecRef) -> Calibration {
        let Self { prover, verifier, scope, data, rows, .. } = self.clone();
        Calibration { spec, prover, verifier, scope, data, rows }
    }
}

/// The table in a file for the answer of a receipt, whatever machines it is about; without rows where it says nothing of such an answer.
pub fn calibration_for(path: &Path, file: &ReceiptFile) -> Result<Measured, NodeError> {
    let tables = read(path)?;
    let Some(any) = coolest(tables.iter()).filter(|table| table.is_of(&file.model)) else {
        return Err(NodeError::Calibration { path: path.to_path_buf(), problem: "it is of another model".into() });
    };
    // However little of it is judged.
    let answer = &scope::of(&file.question, 0);
    let speaks = coolest(tables.iter().filter(|table| table.speaks_of(answer)));
    let mut measured = speaks.unwrap_or(any).measured();
    if speaks.is_none() {
        measured.table.rows.clear();
    }
    Ok(measured)
}

fn read(path: &Path) -> Result<Vec<Table>, NodeError> {
    let storage = |source| NodeError::Storage { path: path.to_path_buf(), source };
    let unusable = |problem: String| NodeError::Calibration { path: path.to_path_buf(), problem };
    let bytes = fs_err::metadata(path).map_err(storage)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(unusable(format!("it has {bytes} bytes, at most {FILE_BYTES_MAX} are read")));
    }
    let text = fs_err::read_to_string(path).map_err(storage)?;
    parse(&text).map_err(unusable)
}

fn parse(text: &str) -> Result<Vec<Table>, String> {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let Version { version } = serde_json::from_str(text).map_err(|e| e.to_string())?;
    if version != VERSION {
        return Err(format!("version {version} of such files is not known here, {VERSION} is"));
    }
    let File { model, gguf_hash, kv_type, sampler_version, build, prover, verifier, by_temperature } =
        serde_json::from_str(text).map_err(|e| e.to_string())?;
    let hash = |what: &str, text: &str| hash_of(text).ok_or_else(|| format!("{what} is no SHA-256"));
    let gguf_hash = hash("gguf_hash", &gguf_hash)?;
    let table = |Part { data, tokens_to, temperature_milli_to, repetition_milli_to, rows }: Part| {
        let table = Table {
            model: model.clone(),
            gguf_hash,
            kv_type,
            sampler_version,
            build: build.clone(),
            prover: prover.clone(),
            verifier: verifier.clone(),
            data: hash("data", &data)?,
            scope: CalibrationScope {
                tokens: tokens_to,
                temperature_milli: temperature_milli_to,
                repetition_milli: repetition_milli_to,
            },
            rows,
        };
        calibration::rules(&table.entry(own::nowhere())).map_err(|breach| breach.to_string())?;
        Ok(table)
    };
    if by_temperature.is_empty() {
        return Err("it holds no table".into());
    }
    by_temperature.into_iter().map(table).collect()
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
            "build": "b1", "prover": "cpu-a", "verifier": "cpu-b",
            "by_temperature": [{
                "temperature_milli_to": 1_500, "repetition_milli_to": 1_300, "tokens_to": 96, "data": "22".repeat(32),
                "rows": [measure::row(8, &honest, &cheats).unwrap()], "tried": "whatever else it says",
            }],
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
        let tables = Tables(parse(&file().to_string()).unwrap());
        let of = |model: &ModelSpec, (tokens, temperature_milli, repetition_milli), build, prover, verifier| {
            tables
                .of(model, &CalibrationScope { tokens, temperature_milli, repetition_milli }, build, prover, verifier)
                .is_some()
        };
        let most = (96, 1_500, 1_300);
        assert!(of(&model(), most, "b1", "cpu-a", "cpu-b"));
        assert!(!of(&model(), most, "b2", "cpu-a", "cpu-b") && !of(&model(), most, "b1", "cpu-b", "cpu-a"));
        let other = ModelSpec { gguf_hash: Bytes32([0x12; 32]), ..model() };
        let coarser = ModelSpec { kv_type: KvType::Q8_0, ..model() };
        assert!(!of(&other, most, "b1", "cpu-a", "cpu-b") && !of(&coarser, most, "b1", "cpu-a", "cpu-b"));
        assert!(!of(&model(), (97, 0, 1_000), "b1", "cpu-a", "cpu-b"), "longer than what it was made from");
        assert!(!of(&model(), (1, 1_501, 1_000), "b1", "cpu-a", "cpu-b"), "hotter");
        assert!(!of(&model(), (1, 0, 1_301), "b1", "cpu-a", "cpu-b"), "with larger differences");
        let stretch = |tokens, random| tables.0[0].stretch(tokens, random);
        assert_eq!([stretch(1, 9), stretch(96, 9)], [0..1, 0..3], "the whole");
        let all: Vec<_> = (0..12).map(|random| stretch(320, random)).collect();
        assert!(all.iter().all(|windows| windows.len() == 3 && windows.end <= 10), "three windows in a row");
        let judged = |window: usize| all.iter().filter(|windows| windows.contains(&window)).count();
        assert_eq!((0..10).map(judged).min(), Some(3), "of twelve, the ends too");
        assert_eq!(stretch(97, u32::MAX), stretch(97, u32::MAX % 6), "of whatever is random");
        let may = |scope: (u32, u32, u32), verifier| {
            let (tokens, temperature_milli, repetition_milli) = scope;
            tables.speak_of(&model(), &CalibrationScope { tokens, temperature_milli, repetition_milli }, "b1", verifier)
        };
        assert!(may(most, "cpu-b") && !may(most, "cpu-a") && !may((97, 0, 1_000), "cpu-b"));
        assert_eq!(tables.names(), ["m.gguf: cpu-a by cpu-b"]);
    }

    /// One that was cut off while it was measured may know short answers only.
    #[test]
    fn of_a_table_of_short_answers_a_window_of_a_longer_one_is_judged() {
        let mut short = file();
        short["by_temperature"][0]["tokens_to"] = 31.into();
        let tables = Tables(parse(&short.to_string()).unwrap());
        let stretches: Vec<_> = (0..3).map(|random| tables.0[0].stretch(64, random)).collect();
        assert_eq!(stretches, [0..1, 1..2, 0..1]);
        assert_eq!(tables.0[0].stretch(32, 5), 0..1);
    }

    #[test]
    fn tables_that_come_with_this_build_are_read_by_it() {
        let folder = Path::new("../../docs/reference/calibration");
        let files = [folder.to_path_buf(), folder.join("unlike")]
            .into_iter()
            .flat_map(|folder| std::fs::read_dir(folder).expect("tables").map(|entry| entry.expect("a file").path()));
        let tables: Vec<PathBuf> = files.filter(|path| path.to_string_lossy().ends_with(".table.json")).collect();
        assert!(!tables.is_empty());
        Tables::read(&tables).expect("tables");
    }

    #[test]
    fn of_several_that_speak_of_an_answer_the_coolest_judges_it() {
        let mut both = file();
        let mut cool = both["by_temperature"][0].clone();
        (cool["temperature_milli_to"], cool["data"]) = (1_000.into(), "33".repeat(32).into());
        both["by_temperature"].as_array_mut().unwrap().push(cool);
        let tables = Tables(parse(&both.to_string()).unwrap());
        let to = |temperature_milli: u32| {
            let scope = &CalibrationScope { tokens: 32, temperature_milli, repetition_milli: 1_000 };
            tables.of(&model(), scope, "b1", "cpu-a", "cpu-b").map(|table| table.scope.temperature_milli)
        };
        assert_eq!(
            [to(0), to(1_000), to(1_001), to(1_500), to(1_501)],
            [Some(1_000), Some(1_000), Some(1_500), Some(1_500), None]
        );
        assert_eq!(tables.names(), ["m.gguf: cpu-a by cpu-b"], "one file, one name");
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
        assert!(spoilt(|f| f["by_temperature"][0]["rows"][0]["tables"][0]["llr"][0] = 768.into()).contains("order"));
        assert!(spoilt(|f| f["by_temperature"][0]["rows"] = json!([])).contains("empty"));
        assert!(spoilt(|f| f["by_temperature"] = json!([])).contains("no table"));
        assert!(parse("{").is_err());
        let missing = Tables::read(&[PathBuf::from("/nowhere/table.json")]).unwrap_err();
        assert_eq!(missing.code(), "storage");
    }

    /// The rules see contradictions and not lies: what a node is given it believes, and of what others publish it takes nothing.
    #[test]
    fn a_table_that_passes_everything_is_its_owners_choice() {
        let mut loose = file();
        for table in loose["by_temperature"][0]["rows"][0]["tables"].as_array_mut().unwrap() {
            table["fail_bin"] = table["honest"].as_array().unwrap().len().into();
        }
        let tables = Tables(parse(&loose.to_string()).unwrap());
        let far = Statistics { tokens: 32, delta_sum: 8_000, delta_window: 8_000, ..Statistics::default() };
        let verdict = |tables: &Tables| {
            let table = tables
                .of(
                    &model(),
                    &CalibrationScope { tokens: 32, temperature_milli: 0, repetition_milli: 1_000 },
                    "b1",
                    "cpu-a",
                    "cpu-b",
                )
                .map(|table| table.entry(crate::auditing::own::nowhere()));
            calibration::judge(table.as_ref(), &Outcome::Measured(far)).0
        };
        assert_eq!(verdict(&tables), Verdict::Pass);
        assert_eq!(verdict(&Tables(parse(&file().to_string()).unwrap())), Verdict::Fail);
        assert_eq!(verdict(&Tables::default()), Verdict::Inconclusive, "given none, it has none");
    }
}
