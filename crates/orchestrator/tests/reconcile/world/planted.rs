//! Mistakes that are made on purpose, so that it is seen that the stories find such mistakes.
//!
//! Each is made on our side of the border, in one of the fakes that stand for a room of ours (GitHub's client, the engine,
//! the router, the ledger's file) or in the patience that the reconciler is given, so that no product code knows of it.

/// A mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Planted {
    /// Every third delivery is answered and forgotten.
    DroppedEvent,
    /// A deployment's volumes are said to be removed and stay, the first time.
    MissedCleanup,
    /// A port is handed out again without having rested.
    EarlyPort,
    /// A comment gets the text that was meant for it the time before.
    StaleReport,
    /// Nobody looks for a comment of ours before writing a new one.
    SecondComment,
    /// What is missing from a list is taken for closed.
    AbsenceAsClosure,
    /// Networks are neither removed nor looked for.
    LeftoverSubnet,
    /// A write is acknowledged before it is on the disk.
    EarlyAcknowledgement,
    /// An old slot is said to have drained at once.
    NoDrain,
    /// Routes are added and never taken away.
    LastingRoute,
    /// One build more than allowed.
    ExtraBuild,
    /// What was approved decides that something is built, and the branch decides what.
    StaleApproval,
    /// Everybody is said to have a say.
    EverybodyMay,
}

impl Planted {
    /// What the documentation calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::DroppedEvent => "an event answered and dropped",
            Self::MissedCleanup => "a cleanup step missed",
            Self::EarlyPort => "a port handed out without rest",
            Self::StaleReport => "a stale text reported",
            Self::SecondComment => "a comment posted twice",
            Self::AbsenceAsClosure => "absence from a list read as closure",
            Self::LeftoverSubnet => "a leftover network",
            Self::EarlyAcknowledgement => "a write acknowledged before it is on the disk",
            Self::NoDrain => "an old slot said to have drained at once",
            Self::LastingRoute => "routes that are never taken away",
            Self::ExtraBuild => "one build more than allowed",
            Self::StaleApproval => "an approved commit's branch built instead of the commit",
            Self::EverybodyMay => "everybody said to have a say",
        }
    }

    pub(crate) const ALL: [Self; 13] = [
        Self::DroppedEvent,
        Self::MissedCleanup,
        Self::EarlyPort,
        Self::StaleReport,
        Self::SecondComment,
        Self::AbsenceAsClosure,
        Self::LeftoverSubnet,
        Self::EarlyAcknowledgement,
        Self::NoDrain,
        Self::LastingRoute,
        Self::ExtraBuild,
        Self::StaleApproval,
        Self::EverybodyMay,
    ];
}
