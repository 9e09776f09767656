//! Roles, what they may, and for which tenants.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use flotilla_core::records::Filter;
use flotilla_core::{Tenant, Timestamp};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::Refused;
use super::token::TokenEntry;

/// What somebody is here for. Each of the people's roles may all that the one before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A program that enqueues: jobs, one at a time, by their ids.
    Producer,
    /// Looks at everything.
    Viewer,
    /// Also handles jobs, lanes, dead letters, breakers and workers.
    Operator,
    /// Also changes limits, deletes for good.
    Admin,
}

impl Role {
    /// Every role, weakest first.
    pub const ALL: [Self; 4] = [Self::Producer, Self::Viewer, Self::Operator, Self::Admin];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Producer => "producer",
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// Whether the role may do this.
    pub fn may(self, act: Act) -> bool {
        match act {
            Act::Look => true,
            Act::Enqueue => self != Self::Viewer,
            Act::See => self >= Self::Viewer,
            Act::Operate => self >= Self::Operator,
            Act::Administer => self >= Self::Admin,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|role| role.name() == text).ok_or_else(|| {
            format!("\"{text}\" is no role: there are producer, viewer, operator and admin")
        })
    }
}

/// What somebody wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Look at a job whose id is known.
    Look,
    /// Enqueue, and cancel what was enqueued.
    Enqueue,
    /// Look at lists, counts, workers, limits.
    See,
    /// Handle jobs, lanes, dead letters, breakers, workers.
    Operate,
    /// Change limits, delete for good.
    Administer,
}

impl Act {
    /// The weakest role of people that may.
    fn least(self) -> Role {
        match self {
            Self::Look | Self::See => Role::Viewer,
            Self::Enqueue | Self::Operate => Role::Operator,
            Self::Administer => Role::Admin,
        }
    }
}

/// Whose things somebody sees and handles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tenants {
    /// Everybody's.
    All,
    /// Those of these.
    Some(BTreeSet<Tenant>),
}

impl Tenants {
    /// Of a list, in which none means all.
    pub fn of(list: impl IntoIterator<Item = Tenant>) -> Self {
        let some: BTreeSet<Tenant> = list.into_iter().collect();
        if some.is_empty() { Self::All } else { Self::Some(some) }
    }
}

/// How somebody was recognised.
#[derive(Clone, Debug, PartialEq)]
pub enum Via {
    /// By being on this machine, where no token is configured.
    Local,
    /// By a token in the request.
    Token,
    /// By a session of a browser.
    Session {
        /// What its forms carry.
        csrf: Arc<str>,
        /// When it ends.
        until: Timestamp,
    },
}

/// Who calls.
#[derive(Clone, Debug, PartialEq)]
pub struct Principal {
    /// In logs and in the audit log; owns its idempotency keys and its rate.
    pub name: Arc<str>,
    /// What for.
    pub role: Role,
    /// For whom.
    pub tenants: Tenants,
    /// How that is known.
    pub via: Via,
}

impl Principal {
    /// Everybody on this machine, where no token is configured.
    pub fn local() -> Self {
        Self { name: "local".into(), role: Role::Admin, tenants: Tenants::All, via: Via::Local }
    }

    pub(super) fn of(entry: &TokenEntry, via: Via) -> Self {
        let (name, tenants) = (Arc::clone(&entry.name), entry.tenants.clone());
        Self { name, role: entry.role, tenants, via }
    }

    /// Whether the role may do this, for the tenants it has.
    pub fn may(&self, act: Act) -> bool {
        self.role.may(act)
    }

    /// Goes on only where the role may do this.
    ///
    /// # Errors
    /// `Forbidden`, with the role it takes.
    pub fn need(&self, act: Act) -> Result<(), Refused> {
        if self.may(act) {
            return Ok(());
        }
        let least = act.least();
        let Self { name, role, .. } = self;
        Err(Refused::Forbidden(format!("{name} is {role}: this takes the role {least}")))
    }

    /// Goes on only where the role may do this to what all tenants share.
    ///
    /// # Errors
    /// `Forbidden`, with what it takes.
    pub fn need_fleet(&self, act: Act) -> Result<(), Refused> {
        self.need(act)?;
        if self.tenants == Tenants::All {
            return Ok(());
        }
        let name = &self.name;
        Err(Refused::Forbidden(format!(
            "{name} is held to some tenants, and this concerns all of them: it takes a token \
             without tenants"
        )))
    }

    /// Whether it may see things of this tenant.
    pub fn sees(&self, tenant: &Tenant) -> bool {
        match &self.tenants {
            Tenants::All => true,
            Tenants::Some(some) => some.contains(tenant),
        }
    }

    /// The filter, held to its tenants. `None`: nothing of what the filter asks for is its own.
    pub fn within(&self, mut filter: Filter) -> Option<Filter> {
        let Tenants::Some(some) = &self.tenants else { return Some(filter) };
        if filter.tenants.is_empty() {
            filter.tenants = some.iter().cloned().collect();
        } else {
            filter.tenants.retain(|tenant| some.contains(tenant));
        }
        (!filter.tenants.is_empty()).then_some(filter)
    }

    /// What every form of its session carries; empty where there is no session.
    pub fn csrf(&self) -> &str {
        match &self.via {
            Via::Session { csrf, .. } => csrf,
            Via::Local | Via::Token => "",
        }
    }

    /// Whether a write carries what the forms of its session carry.
    ///
    /// # Errors
    /// `Csrf`, in a session only.
    pub fn check_csrf(&self, shown: Option<&str>) -> Result<(), Refused> {
        let Via::Session { csrf, .. } = &self.via else { return Ok(()) };
        let fits = shown.is_some_and(|shown| bool::from(shown.as_bytes().ct_eq(csrf.as_bytes())));
        if fits { Ok(()) } else { Err(Refused::Csrf) }
    }
}
