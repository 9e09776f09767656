//! One caller's part of a shared transaction, and how it is answered.

use flotilla_core::queue::QueueError;
use tokio::sync::oneshot;

use crate::error::{Done, closed};
use crate::tx::Tx;

/// What a piece needs of the disk, and when its turn is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    /// Claims, leases, heartbeats: first, answered after the commit. Losing one to a power cut
    /// loses nothing: the job is claimed again.
    Light,
    /// What was promised: answered after the log is on the disk.
    Durable,
    /// Upkeep: last in its round, one at a time, in its own transaction.
    Upkeep,
}

/// A piece of work for the writer. It may run again, from the start, after a rollback.
pub(crate) trait Piece: Send {
    fn sort(&self) -> Sort;
    /// About how many rows it writes.
    fn weight(&self) -> usize;
    fn run(&mut self, tx: &mut Tx<'_>) -> Done<()>;
    fn answer(self: Box<Self>, outcome: Result<(), QueueError>);
}

struct Typed<T, F> {
    sort: Sort,
    weight: usize,
    work: F,
    found: Option<T>,
    reply: oneshot::Sender<Result<T, QueueError>>,
}

impl<T, F> Piece for Typed<T, F>
where
    T: Send,
    F: FnMut(&mut Tx<'_>) -> Done<T> + Send,
{
    fn sort(&self) -> Sort {
        self.sort
    }

    fn weight(&self) -> usize {
        self.weight
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> Done<()> {
        self.found = Some((self.work)(tx)?);
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), QueueError>) {
        let Self { found, reply, .. } = *self;
        // The caller may have gone away; what it asked for is done all the same.
        let _gone = reply.send(outcome.and_then(|()| found.ok_or_else(closed)));
    }
}

/// A piece and where its answer arrives.
pub(crate) fn piece<T: Send + 'static>(
    sort: Sort,
    weight: usize,
    work: impl FnMut(&mut Tx<'_>) -> Done<T> + Send + 'static,
) -> (Box<dyn Piece>, oneshot::Receiver<Result<T, QueueError>>) {
    let (reply, answer) = oneshot::channel();
    (Box::new(Typed { sort, weight, work, found: None, reply }), answer)
}

/// A piece that has nothing to run: it only waits for its answer.
pub(crate) fn ready<T: Send + 'static>(
    found: T,
) -> (Box<dyn Piece>, oneshot::Receiver<Result<T, QueueError>>) {
    let (reply, answer) = oneshot::channel();
    (Box::new(Ready { found, reply }), answer)
}

struct Ready<T> {
    found: T,
    reply: oneshot::Sender<Result<T, QueueError>>,
}

impl<T: Send> Piece for Ready<T> {
    fn sort(&self) -> Sort {
        Sort::Durable
    }

    fn weight(&self) -> usize {
        0
    }

    fn run(&mut self, _tx: &mut Tx<'_>) -> Done<()> {
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), QueueError>) {
        let Self { found, reply } = *self;
        let _gone = reply.send(outcome.map(|()| found));
    }
}
