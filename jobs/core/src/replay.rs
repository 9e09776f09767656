//! The dead-letter desk: which dead letters belong together, changing one, and putting many back as
//! a durable operation that any worker leads.
//!
//! # For those who build on it (API, console, CLI)
//!
//! - [`groups`] counts dead letters by [`Fingerprint`]; [`select`] gives the ids of some.
//! - [`Amend`] with [`Records::amend`](crate::Records::amend) changes one dead letter, or puts it
//!   back with a mark that says who did; [`revised`] checks a payload and says what is different.
//! - [`Desk`] holds the operations: [`Desk::create`], [`get`](Desk::get), [`list`](Desk::list),
//!   [`pause`](Desk::pause), [`resume`](Desk::resume), [`cancel`](Desk::cancel). [`dry_run`] says
//!   what a [`Request`] would do.
//!
//! ```text
//! let desk = Desk::new(&*cells);
//! let seen = dry_run(&*records, &registry, &request, now).await?;
//! let operation = desk.create(&request, ReplayId::new(now, rng), now).await?;
//! desk.pause(operation.id, &Word { by, why }, now).await?;
//! ```
//!
//! Nothing here leads an operation: workers do (`flotilla_engine`). What they share is in the cells:
//!
//! | key | what |
//! | --- | --- |
//! | `replay/op/<id>` | the [`Operation`]: what was asked, its state, counts, who leads it |
//! | `replay/active/<id>` | it is to be led or watched |
//! | `replay/chunk/<id>/<n>` | up to [`CHUNK`] of its dead letters, and what became of each |
//!
//! # Why each dead letter goes back once
//!
//! The plan is written down first, chunk by chunk: whoever writes a chunk first wins, and its
//! content says where the next begins. A leader puts dead letters back with a mark of the operation
//! that the backend checks and writes in the same transaction, then records the answers in the
//! chunk. A leader that dies in between leaves dead letters its successor tries again: the backend
//! answers `Already`, which counts as put back, and does nothing. Counts are sums over chunks, so
//! they are right after any crash; a chunk that is settled is added to the operation and dropped in
//! one compare-and-swap.

mod amend;
mod chunk;
mod desk;
mod dry;
mod fingerprint;
mod groups;
mod operation;
mod pace;
mod payload;
mod request;
mod select;

pub use amend::{Amend, Amended, HISTORY, Letter, MARKS, Mark};
pub use chunk::{CHUNK, Chunk, Stand};
pub use desk::{Desk, DeskError, Kept, KeptChunk};
pub use dry::{DryRun, dry_run};
pub use fingerprint::{Fingerprint, normalise, of_record};
pub use groups::{Bounds, Group, Groups, groups};
pub use operation::{Counts, Lease, Operation, Pacing, Plan, ReplayId, ReplayState, Step, Word};
pub use pace::{due, tokens};
pub use payload::{Revision, difference, patched, revised};
pub use request::{Request, RequestError};
pub use select::{Selection, select};
