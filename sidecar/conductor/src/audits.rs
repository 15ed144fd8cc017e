//! The coordinator's functions about audits, one typed method each. What they mean is judged elsewhere.

use crate::calls::{read, write, Function, SMALL_BYTES_MAX};
use crate::{Conductor, ConductorError};
use ainonymous_types::{
    Accusation, ActionHash, Appeal, AuditCommit, AuditPage, AuditQuery, AuditReport, Audited, Calibration, Conviction,
    Equivocation, Evidence,
};

/// A report with the evidence of the largest canary: question, answer, and two fingerprints of 256 tokens.
const REPORT_BYTES_MAX: usize = 128 << 10;

const CREATE_CALIBRATION: Function = write("create_calibration", SMALL_BYTES_MAX);
const GET_CALIBRATIONS: Function = read("get_calibrations");
const CREATE_AUDIT_COMMIT: Function = write("create_audit_commit", SMALL_BYTES_MAX);
const GET_AUDIT_COMMITS: Function = read("get_audit_commits");
const CREATE_AUDIT_REPORT: Function = write("create_audit_report", REPORT_BYTES_MAX);
const GET_AUDIT_REPORTS: Function = read("get_audit_reports");
const GET_AUDIT_EVIDENCE: Function = read("get_audit_evidence");
const CREATE_ACCUSATION: Function = write("create_accusation", SMALL_BYTES_MAX);
const GET_ACCUSATIONS: Function = read("get_accusations");
const CREATE_CONVICTION: Function = write("create_conviction", SMALL_BYTES_MAX);
const GET_CONVICTIONS: Function = read("get_convictions");
const CREATE_APPEAL: Function = write("create_appeal", SMALL_BYTES_MAX);
const GET_APPEALS: Function = read("get_appeals");
const CREATE_EQUIVOCATION: Function = write("create_equivocation", SMALL_BYTES_MAX);
const GET_EQUIVOCATIONS: Function = read("get_equivocations");

/// All of them.
pub(crate) const AUDIT_FUNCTIONS: [Function; 15] = [
    CREATE_CALIBRATION,
    GET_CALIBRATIONS,
    CREATE_AUDIT_COMMIT,
    GET_AUDIT_COMMITS,
    CREATE_AUDIT_REPORT,
    GET_AUDIT_REPORTS,
    GET_AUDIT_EVIDENCE,
    CREATE_ACCUSATION,
    GET_ACCUSATIONS,
    CREATE_CONVICTION,
    GET_CONVICTIONS,
    CREATE_APPEAL,
    GET_APPEALS,
    CREATE_EQUIVOCATION,
    GET_EQUIVOCATIONS,
];

impl Conductor {
    /// Publishes how honest machines differ on a model.
    pub async fn create_calibration(&self, table: Calibration) -> Result<ActionHash, ConductorError> {
        self.call(CREATE_CALIBRATION, &table).await
    }

    /// Calibrations of a model spec, newest first.
    pub async fn get_calibrations(&self, query: AuditQuery) -> Result<AuditPage<Calibration>, ConductorError> {
        self.call(GET_CALIBRATIONS, &query).await
    }

    /// Promises an audit, before anything of the provider's fingerprint is known.
    pub async fn create_audit_commit(&self, commit: AuditCommit) -> Result<ActionHash, ConductorError> {
        self.call(CREATE_AUDIT_COMMIT, &commit).await
    }

    /// Commitments to audits of an answer, newest first.
    pub async fn get_audit_commits(&self, query: AuditQuery) -> Result<AuditPage<AuditCommit>, ConductorError> {
        self.call(GET_AUDIT_COMMITS, &query).await
    }

    /// Publishes what an audit has found.
    pub async fn create_audit_report(&self, report: AuditReport) -> Result<ActionHash, ConductorError> {
        self.call(CREATE_AUDIT_REPORT, &report).await
    }

    /// Reports about a provider, about an answer or of a jury, newest first and without evidence.
    pub async fn get_audit_reports(&self, query: AuditQuery) -> Result<AuditPage<Audited>, ConductorError> {
        self.call(GET_AUDIT_REPORTS, &query).await
    }

    /// What the report of a canary shows; none if it shows nothing or is not (yet) to be found.
    pub async fn get_audit_evidence(&self, report: ActionHash) -> Result<Option<Evidence>, ConductorError> {
        self.call(GET_AUDIT_EVIDENCE, &report).await
    }

    /// Publishes that the evidence against a provider is enough for a jury.
    pub async fn create_accusation(&self, accusation: Accusation) -> Result<ActionHash, ConductorError> {
        self.call(CREATE_ACCUSATION, &accusation).await
    }

    /// Accusations of a provider, newest first.
    pub async fn get_accusations(&self, query: AuditQuery) -> Result<AuditPage<Accusation>, ConductorError> {
        self.call(GET_ACCUSATIONS, &query).await
    }

    /// Publishes that a jury has confirmed an accusation.
    pub async fn create_conviction(&self, conviction: Conviction) -> Result<ActionHash, ConductorError> {
        self.call(CREATE_CONVICTION, &conviction).await
    }

    /// Convictions of a provider, newest first.
    pub async fn get_convictions(&self, query: AuditQuery) -> Result<AuditPage<Conviction>, ConductorError> {
        self.call(GET_CONVICTIONS, &query).await
    }

    /// Asks for a second jury over this agent's conviction.
    pub async fn create_appeal(&self, appeal: Appeal) -> Result<ActionHash, ConductorError> {
        self.call(CREATE_APPEAL, &appeal).await
    }

    /// Appeals of a provider, newest first.
    pub async fn get_appeals(&self, query: AuditQuery) -> Result<AuditPage<Appeal>, ConductorError> {
        self.call(GET_APPEALS, &query).await
    }

    /// Publishes two receipts by one provider for one question.
    pub async fn create_equivocation(&self, pair: Equivocation) -> Result<ActionHash, ConductorError> {
        self.call(CREATE_EQUIVOCATION, &pair).await
    }

    /// Proofs that a provider has signed two receipts for one question, newest first.
    pub async fn get_equivocations(&self, query: AuditQuery) -> Result<AuditPage<Equivocation>, ConductorError> {
        self.call(GET_EQUIVOCATIONS, &query).await
    }
}
