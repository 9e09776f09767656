//! The vocabulary, the pure policies and the ports of Flotilla.
//!
//! Nothing here opens a socket or a file. Backends implement the ports, the engine drives them,
//! kinds are run by them; all three meet only here.
//!
//! # Words
//!
//! One word per thing; messages, columns and flags use the same ones.
//!
//! | word | meaning |
//! | --- | --- |
//! | job | one unit of work: an id, a kind, a payload |
//! | kind | the stable name of a type of job, `noun.verb` (`thumbnail.generate`) |
//! | payload | the typed arguments of a job, JSON |
//! | envelope | the wire form of a job: id, kind, version, payload, trace, schedule |
//! | handler | the code that runs a kind |
//! | lane | a named stream of jobs with its own concurrency; a broker's queue |
//! | broker, delivery, receipt | what holds lanes outside the records; one hand-over of a message; the token that settles it |
//! | lease, heartbeat, extend | the exclusive, expiring right to run a job; renewing it (SQS: visibility timeout) |
//! | fence | the number of the current lease; a settle with an older one is refused |
//! | settle | to record the outcome of an attempt; on a broker: then ack |
//! | attempt | one run that counts against `max_attempts` |
//! | outcome | completed, retry, snooze, park, interrupted, cancelled, dead |
//! | backoff, jitter | the growing delay between attempts; its random part |
//! | snooze | later, without charging an attempt |
//! | park | set aside until a key wakes it, without charging an attempt |
//! | interrupted | stopped by a drain; not charged |
//! | dead letter | a job in state dead, with its class and its errors |
//! | replay, discard, purge, prune | dead to available; dead to cancelled; delete by hand; delete by retention |
//! | rescue | to recover a job whose lease ran out |
//! | unique key | same key while unfinished (or within a window): same job |
//! | worker, fleet | one process; all of them |
//! | drain | claim no more, finish what runs, exit |
//! | port, backend | a trait of this crate; a crate that implements it |
//! | adopt | to make a record for a job first seen on a broker |
//! | flow, child | a job that awaits the jobs it started; one of those |
//! | ordering key | jobs with the same one run one at a time, in order |
//! | cell | a small piece of state the fleet shares, changed by compare-and-swap |
//! | notice | what a broker is told of a job |
//! | limit key, quota, slice | what is limited; how fast; permission for a few jobs that a worker holds |
//! | breaker, probe, ramp | stops calls to who answers badly; a job let through to see; waking more and more |
//! | effect, ledger | an irreversible call; the record that lets it happen once |
//! | event, subscriber, sink | what others are told of a job (CloudEvents); who; by which way |

pub mod account;
pub mod blob;
pub mod breaker;
pub mod broker;
pub mod call;
pub mod cells;
pub mod clock;
pub mod effect;
pub mod envelope;
pub mod event;
pub mod fair;
pub mod fleet;
pub mod flow;
pub mod handler;
pub mod ids;
pub mod job;
pub mod ledger;
pub mod limit;
pub mod meter;
pub mod open;
pub mod ops;
pub mod outbox;
pub mod outcome;
pub mod queue;
pub mod records;
pub mod registry;
pub mod replay;
pub mod retry;
pub mod rng;
pub mod sabotage;
pub mod scratch;
pub mod secret;
pub mod state;
pub mod suggest;
pub mod throttle;

pub use account::{Account, Accounts};
pub use call::Call;
pub use cells::Cells;
pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use effect::{ReadBack, Safety, SendError};
pub use envelope::{Envelope, Payload, TraceContext, Unique, UniqueScope};
pub use handler::{CpuPool, Handler, JobContext, Progress};
pub use ids::{Fence, JobId, Kind, Lane, Priority, Receipt, Tenant, WorkerId};
pub use job::{Job, Policy};
pub use limit::LimitKey;
pub use open::{OpenHandler, OpenKind};
pub use outbox::Outbox;
pub use outcome::{Classify, FailureClass, JobError};
pub use queue::Queue;
pub use records::Records;
pub use registry::Registry;
pub use rng::{Rng, SeededRng};
pub use secret::Secret;
pub use state::{DeadClass, State};
