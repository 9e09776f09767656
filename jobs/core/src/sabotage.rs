//! Bugs made on purpose, so that the simulation can show that it would find them.
//!
//! They exist only in builds with the feature `sabotage`, which the simulation alone turns on, and
//! are committed only on a thread that asked for one with [`commit`]. In every other build
//! [`committed`] is a constant `false` and nothing of them is left.

/// A bug that somebody could make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A job is recorded as completed before its handler has run.
    AckBeforeSettle,
    /// The backend does not look at the fence of a settlement.
    IgnoreFence,
    /// Being put off costs an attempt.
    ChargeSnooze,
    /// Ends are marked as told, and nobody is told.
    ForgetOutbox,
    /// A call without an answer is made again before anybody asks whether it took effect.
    SkipVerify,
    /// A cell that somebody else has changed meanwhile is taken for written.
    GrantTwice,
    /// A job that awaits its children starts one less than it says.
    DropChild,
    /// A half-open breaker lets everybody through.
    SkipProbes,
    /// A job whose worker fell is run with the others again.
    TrustSuspect,
    /// The backend gives out jobs of a lane that is paused.
    ServePaused,
    /// The backend forgets which jobs are to be run in order.
    ForgetOrder,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::AckBeforeSettle,
        Self::IgnoreFence,
        Self::ChargeSnooze,
        Self::ForgetOutbox,
        Self::SkipVerify,
        Self::GrantTwice,
        Self::DropChild,
        Self::SkipProbes,
        Self::TrustSuspect,
        Self::ServePaused,
        Self::ForgetOrder,
    ];
}

#[cfg(feature = "sabotage")]
thread_local! {
    static NOW: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

/// From now on this thread commits this bug, or none.
#[cfg(feature = "sabotage")]
pub fn commit(bug: Option<Bug>) {
    NOW.set(bug);
}

/// Whether to commit this bug now.
#[cfg(feature = "sabotage")]
pub fn committed(bug: Bug) -> bool {
    NOW.get() == Some(bug)
}

/// Whether to commit this bug now: never, in this build.
#[cfg(not(feature = "sabotage"))]
pub const fn committed(_: Bug) -> bool {
    false
}
