// SPDX-License-Identifier: MIT OR Apache-2.0
//! The report about a policy as one value. Everything that is shown is rendered from it; all
//! numbers are integers with the unit in the name, all lists have one order.

use ibsr_proto::addr::SourceAddr;
use serde::{Deserialize, Serialize};

use crate::model::{AppName, Bound, Decision, Input, Period};

/// Schema of the JSON.
pub const SCHEMA: &str = "ibsr-egress/1";
/// Longest list of a report.
pub const MAX_LISTED: usize = 1_000;

/// Everything that the report says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EgressReport {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// Program and version.
    pub tool: String,
    /// When it was made, RFC 3339.
    pub generated_at: String,
    /// There was data, all of it could be used, and it adds up.
    pub is_whole: bool,
    /// The verdict and what it rests on.
    pub decision: Decision,
    /// What was asked for.
    pub settings: EgressSettings,
    /// SHA-256 of the canonical text of the policy.
    pub policy_sha256: String,
    /// Host label.
    pub host: String,
    /// Path of the cgroup whose processes are judged, without slashes at its ends.
    pub cgroup: String,
    /// What the policy names and nobody looked up, sorted.
    pub unresolved: Vec<String>,
    /// Flows by fate.
    pub flows: FlowTotals,
    /// Whom it would have hurt.
    pub surface: EgressSurface,
    /// Each day on which a flow began, in order.
    pub days: Vec<EgressDay>,
    /// Each rule with what it would have decided, then the default.
    pub rules: Vec<EgressRule>,
    /// Applications that would have lost what they used, at most [`MAX_LISTED`].
    pub losses: Vec<LossRow>,
    /// How many of them there are.
    pub losses_known: u64,
    /// All other pairs that would have been denied, at most [`MAX_LISTED`].
    pub denials: Vec<LossRow>,
    /// How many of them there are.
    pub denials_known: u64,
    /// Pairs without a verdict, at most [`MAX_LISTED`].
    pub unjudged: Vec<LossRow>,
    /// How many of them there are.
    pub unjudged_known: u64,
    /// What was read.
    pub input: Input,
    /// When it was observed.
    pub period: Period,
    /// What is in no flow.
    pub losses_of_data: DataLoss,
    /// Each set of maps.
    pub streams: Vec<EgressStream>,
    /// What a guard that rehearsed the policy said of the same time; absent where none did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rehearsal: Option<Rehearsal>,
}

/// What was asked for: with the inputs all that it takes to compute the report again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EgressSettings {
    /// The policy and its lists.
    pub policy: Vec<PolicyFile>,
    /// What the machine calls those whom the policy names.
    pub identities: Vec<Identity>,
    /// Whether anybody looked them up.
    pub is_identified: bool,
    /// Cgroup that was asked for; none for that of the sensor.
    pub cgroup: Option<String>,
    /// Rules whose denials are meant, by name, sorted: they hurt nobody.
    pub intended: Vec<String>,
    /// Which look at this stream of evidence it is, from 1.
    pub look: u32,
    /// Error that this look may spend.
    pub alpha_ppb: u64,
    /// Largest share of destinations in use that may be lost.
    pub limit_ppb: u64,
    /// Largest share of completed connections.
    pub connection_limit_ppb: u64,
    /// Denials of peers in use after which an armed guard ends enforcing by itself.
    pub budget_denials: u64,
    /// Rows of a list that people are shown.
    pub top: u64,
}

/// A file of the policy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyFile {
    /// As the policy names it; `policy` for the policy itself.
    pub name: String,
    /// What it holds.
    pub text: String,
}

/// What a machine calls somebody.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// `exe`, `user` or `cgroup`.
    pub kind: String,
    /// As the policy names it.
    pub name: String,
    /// `DEVICE:INODE` of an executable in decimal, number of a user, id of a cgroup; none where
    /// the machine has no such.
    pub value: Option<String>,
}

/// Flows by what would have become of them. `judged` and `unjudged` are all flows, and `judged`
/// is the sum of the other three.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct FlowTotals {
    /// All of them.
    pub flows: u64,
    /// With a verdict.
    pub judged: u64,
    /// Never denied, whatever the rules say.
    pub exempt: u64,
    /// Let pass.
    pub allowed: u64,
    /// Denied.
    pub would_deny: u64,
    /// Of these, by rules that are meant.
    pub would_deny_intended: u64,
    /// Without a verdict.
    pub unjudged: u64,
    /// Handshakes completed, over all flows.
    pub completed: u64,
    /// Of these, of flows that would have been denied.
    pub completed_denied: u64,
}

impl FlowTotals {
    /// Whether every flow came to one end.
    #[must_use]
    pub const fn is_conserved(&self) -> bool {
        self.flows == self.judged + self.unjudged
            && self.judged == self.exempt + self.allowed + self.would_deny
    }
}

/// Whom the policy would have hurt. A destination is an executable and a name, or an executable
/// and a cluster of addresses (/24, /56).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EgressSurface {
    /// Destinations in use, of them those that would have been lost; gated.
    pub destinations: Bound,
    /// The same without those that a measurement of behaviour names.
    pub destinations_unflagged: Bound,
    /// Completed handshakes of what went out, of them those that would have been denied; gated.
    pub connections: Bound,
    /// Destinations that only rules deny that are meant.
    pub intended: u64,
    /// Clusters of clients that would have been lost.
    pub clients_lost: u64,
    /// Clusters of clients.
    pub clients: u64,
    /// Executables that would have lost something, and those that would have lost everything.
    pub applications_hurt: u64,
    /// All of its destinations.
    pub applications_cut_off: u64,
    /// Executables with a destination in use.
    pub applications: u64,
    /// The day with the largest share of lost destinations.
    pub worst_day: Option<String>,
    /// That share.
    pub worst_day_ppb: Option<u64>,
}

/// A day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EgressDay {
    /// UTC.
    pub date: String,
    /// Flows that began.
    pub flows: u64,
    /// Destinations in use.
    pub destinations: u64,
    /// Of these, those that would have been lost.
    pub destinations_lost: u64,
}

/// A rule, or the default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EgressRule {
    /// Line of the policy; none for the default.
    pub line: Option<u64>,
    /// Its name; `default` for the default.
    pub name: String,
    /// What it does, in a word.
    pub action: String,
    /// Whether its denials are meant.
    pub is_intended: bool,
    /// Flows that it would have decided.
    pub flows: u64,
    /// Of these, denied.
    pub would_deny: u64,
    /// Destinations in use that it would have taken.
    pub destinations_lost: u64,
}

/// An application and what it would have lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LossRow {
    /// Who.
    #[serde(flatten)]
    pub app: AppName,
    /// `outgoing`, `incoming` or `unknown`.
    pub direction: String,
    /// `tcp`, `udp`, or a number.
    pub protocol: String,
    /// Remote address; of what came in the first one of its cluster.
    pub addr: SourceAddr,
    /// Name by which it was reached.
    pub name: Option<String>,
    /// Port of the service.
    pub port: u16,
    /// Rule that decides; `default` where none does, none without a verdict.
    pub rule: Option<String>,
    /// Why there is no verdict.
    pub why: Option<&'static str>,
    /// Whether it is meant.
    pub is_intended: bool,
    /// Measurements of behaviour that name this destination, sorted.
    pub flags: Vec<String>,
    /// Flows.
    pub flows: u64,
    /// Handshakes completed.
    pub completed: u64,
    /// Flows that failed by themselves.
    pub failed: u64,
    /// Bytes from the application.
    pub bytes_out: u64,
    /// Bytes to it.
    pub bytes_in: u64,
    /// When the first flow began.
    pub first_unix_ms: Option<u64>,
    /// The last packet.
    pub last_unix_ms: Option<u64>,
}

/// What is in no flow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct DataLoss {
    /// Flows that the kernel made and nobody read.
    pub flows_lost: u64,
    /// Their share of all that were made.
    pub flows_lost_ppm: Option<u64>,
    /// Packets of flows that were evicted, or that got no entry.
    pub packets_lost: u64,
    /// Their share of those tracked.
    pub packets_lost_ppm: Option<u64>,
    /// Packets of protocols besides TCP and UDP.
    pub other_packets: u64,
    /// Rows that were not used.
    pub rows_rejected: u64,
    /// Their share.
    pub rows_rejected_ppm: Option<u64>,
    /// Observed time that nobody vouches for.
    pub gaps_ppm: Option<u64>,
    /// Sweeps whose law did not hold.
    pub violations: u64,
}

/// A set of maps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EgressStream {
    /// Host label.
    pub host: String,
    /// `cg-<name>`.
    pub scope: String,
    /// Boot id.
    pub boot_id: String,
    /// Set of maps.
    pub epoch: String,
    /// Path of the cgroup.
    pub cgroup: String,
    /// Sweeps.
    pub sweeps: u64,
    /// Rows of flows.
    pub rows: u64,
    /// Whether a proven program counted into maps that nobody else could write.
    pub is_proven: bool,
}

/// What a guard said that rehearsed the same policy in the same time, beside what was predicted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Rehearsal {
    /// SHA-256 of each object that its programs were from.
    pub object_sha256: Vec<String>,
    /// Time in which it judged by this policy.
    pub covered_ms: u64,
    /// Records of verdicts that were read.
    pub records: u64,
    /// Records that the ring had no room for.
    pub records_lost: u64,
    /// Records of another policy, which were left out.
    pub records_other: u64,
    /// Records that are about no flow: binds, questions, DNS that could not be read.
    pub records_apart: u64,
    /// Flows that began in that time and have a prediction.
    pub flows: u64,
    /// Of these, flows that the guard would have denied.
    pub recorded: u64,
    /// Of these, flows that were predicted to be.
    pub predicted: u64,
    /// Predicted, and the guard said nothing.
    pub only_predicted: u64,
    /// The guard said so, and it was not predicted.
    pub only_recorded: u64,
    /// By another rule than predicted.
    pub other_rule: u64,
    /// What was recorded of connections that never became a flow.
    pub without_flow: u64,
    /// What was denied in earnest.
    pub denied: u64,
}

impl Rehearsal {
    /// Flows about which the two differ.
    #[must_use]
    pub const fn differences(&self) -> u64 {
        self.only_predicted + self.only_recorded + self.other_rule
    }
}
