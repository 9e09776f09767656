//! A part of an operation's dead letters, in a cell of its own, and what became of each.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::operation::Counts;
use crate::ids::JobId;

/// Dead letters of one chunk.
pub const CHUNK: usize = 500;

/// How one dead letter of an operation stands; one letter each in the cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// Its turn has not come.
    Waits,
    /// Went back and has not ended.
    Replayed,
    /// Went back and completed.
    Succeeded,
    /// Went back and is dead again.
    Failed,
    /// Went back and was cancelled.
    Cancelled,
    /// Went back and its record is gone.
    Gone,
    /// Left dead.
    Refused,
    /// Was no dead letter any more.
    Skipped,
}

impl Stand {
    fn letter(self) -> char {
        match self {
            Self::Waits => '.',
            Self::Replayed => 'r',
            Self::Succeeded => 's',
            Self::Failed => 'f',
            Self::Cancelled => 'c',
            Self::Gone => 'g',
            Self::Refused => 'x',
            Self::Skipped => 'k',
        }
    }

    fn of(letter: char) -> Self {
        match letter {
            'r' => Self::Replayed,
            's' => Self::Succeeded,
            'f' => Self::Failed,
            'c' => Self::Cancelled,
            'g' => Self::Gone,
            'x' => Self::Refused,
            'k' => Self::Skipped,
            _ => Self::Waits,
        }
    }
}

/// A part of an operation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Chunk {
    /// Its dead letters, oldest first.
    pub ids: Vec<JobId>,
    /// Where planning goes on behind it; `None`: there is nothing more.
    pub next: Option<JobId>,
    /// Dead letters of unknown outcome that were seen on the way.
    pub outcome_unknown: u64,
    stands: Stands,
    reasons: BTreeMap<String, u64>,
    samples: Vec<(JobId, String)>,
}

/// One letter per id.
#[derive(Clone, Debug, Default, PartialEq)]
struct Stands(Vec<Stand>);

impl Serialize for Stands {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&self.0.iter().map(|stand| stand.letter()).collect::<String>())
    }
}

impl<'de> Deserialize<'de> for Stands {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Ok(Self(String::deserialize(d)?.chars().map(Stand::of).collect()))
    }
}

impl Chunk {
    /// A chunk of these dead letters, none of which had its turn.
    pub fn new(ids: Vec<JobId>, next: Option<JobId>, outcome_unknown: u64) -> Self {
        let stands = Stands(vec![Stand::Waits; ids.len()]);
        Self { ids, next, outcome_unknown, stands, ..Self::default() }
    }

    /// Those that stand so, oldest first.
    pub fn standing(&self, stand: Stand) -> Vec<JobId> {
        let both = self.ids.iter().zip(&self.stands.0);
        both.filter(|(_, is)| **is == stand).map(|(id, _)| *id).collect()
    }

    /// Says how one stands.
    pub fn set(&mut self, id: JobId, stand: Stand) {
        let at = self.ids.iter().position(|one| *one == id);
        if let Some(is) = at.and_then(|at| self.stands.0.get_mut(at)) {
            *is = stand;
        }
    }

    /// One is left dead, and why.
    pub fn refuse(&mut self, id: JobId, why: &str) {
        self.set(id, Stand::Refused);
        let mut counts = Counts {
            reasons: std::mem::take(&mut self.reasons),
            samples: std::mem::take(&mut self.samples),
            ..Counts::default()
        };
        counts.refuse(id, why);
        (self.reasons, self.samples) = (counts.reasons, counts.samples);
    }

    /// All had their turn.
    pub fn is_put(&self) -> bool {
        !self.stands.0.contains(&Stand::Waits)
    }

    /// All had their turn, and those that went back have ended.
    pub fn is_settled(&self) -> bool {
        self.is_put() && !self.stands.0.contains(&Stand::Replayed)
    }

    /// What became of them.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts {
            reasons: self.reasons.clone(),
            samples: self.samples.clone(),
            ..Counts::default()
        };
        for stand in &self.stands.0 {
            match stand {
                Stand::Waits => continue,
                Stand::Refused => {
                    counts.refused += 1;
                    continue;
                }
                Stand::Skipped => {
                    counts.skipped += 1;
                    continue;
                }
                Stand::Replayed => {}
                Stand::Succeeded => counts.succeeded += 1,
                Stand::Failed => counts.failed += 1,
                Stand::Cancelled => counts.cancelled += 1,
                Stand::Gone => counts.gone += 1,
            }
            counts.replayed += 1;
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stands_survive_the_cell_and_are_counted() {
        let ids: Vec<JobId> = (0..6).map(|n| JobId::derived(&n.to_string())).collect();
        let mut chunk = Chunk::new(ids.clone(), None, 3);
        assert!(!chunk.is_put());
        chunk.set(ids[0], Stand::Replayed);
        chunk.set(ids[1], Stand::Succeeded);
        chunk.set(ids[2], Stand::Failed);
        chunk.set(ids[3], Stand::Skipped);
        chunk.refuse(ids[4], "its unique key \"a\" is held");
        chunk.refuse(ids[5], "its unique key \"b\" is held");
        let json = serde_json::to_vec(&chunk).unwrap();
        assert_eq!(serde_json::from_slice::<Chunk>(&json).unwrap(), chunk);
        let counts = chunk.counts();
        assert_eq!((counts.replayed, counts.succeeded, counts.failed), (3, 1, 1));
        assert_eq!((counts.refused, counts.skipped, counts.open()), (2, 1, 1));
        assert_eq!(counts.reasons["its unique key <text> is held"], 2);
        assert!(chunk.is_put() && !chunk.is_settled());
        chunk.set(ids[0], Stand::Gone);
        assert!(chunk.is_settled());
    }

    #[test]
    fn a_full_chunk_fits_a_cell() {
        let ids = (0..CHUNK).map(|n| JobId::derived(&n.to_string())).collect();
        let mut chunk = Chunk::new(ids, Some(JobId::derived("next")), 9);
        for id in chunk.ids.clone() {
            chunk.refuse(id, &format!("{} {id}", "ü".repeat(300)));
        }
        let size = serde_json::to_vec(&chunk).unwrap().len();
        assert!(size < crate::cells::MAX_CELL_VALUE / 2, "{size}");
    }
}
