//! Which deliveries of a channel are out, and in how few frames their acks can be sent.
//!
//! One frame may ack everything up to a tag. It is safe once nothing below that tag is still
//! needed, nor still on its way here: the consumers of a channel share its tags, and what one of
//! them was handed may be seen before an earlier delivery to another. Tags that wait for slower ones below them are held back for a moment, since most often
//! those follow.

use std::collections::BTreeSet;

/// So many acks are held back at most.
const HELD_BACK: usize = 256;

/// One ack to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ack {
    pub(crate) tag: u64,
    /// And all below it.
    pub(crate) multiple: bool,
}

/// The deliveries of one channel.
#[derive(Debug, Default)]
pub(crate) struct Acks {
    /// All tags up to this one were seen; the broker counts from 1.
    seen: u64,
    /// Seen above it.
    ahead: BTreeSet<u64>,
    out: BTreeSet<u64>,
    done: BTreeSet<u64>,
}

impl Acks {
    /// Handed over.
    pub(crate) fn delivered(&mut self, tag: u64) {
        self.out.insert(tag);
        self.ahead.insert(tag);
        while self.ahead.remove(&(self.seen + 1)) {
            self.seen += 1;
        }
    }

    /// Gone back, so no longer ours.
    pub(crate) fn returned(&mut self, tag: u64) {
        self.out.remove(&tag);
    }

    /// Whether this one is still to be acked.
    pub(crate) fn is_out(&self, tag: u64) -> bool {
        self.out.contains(&tag)
    }

    /// How many were handed over and not acked.
    pub(crate) fn len(&self) -> usize {
        self.out.len() + self.done.len()
    }

    /// Whether acks are held back.
    pub(crate) fn holds_back(&self) -> bool {
        !self.done.is_empty()
    }

    /// These are done with; what can be sent now.
    pub(crate) fn done(&mut self, tags: impl IntoIterator<Item = u64>) -> Vec<Ack> {
        for tag in tags {
            if self.out.remove(&tag) {
                self.done.insert(tag);
            }
        }
        let mut acks = self.prefix();
        if self.done.len() > HELD_BACK {
            acks.extend(self.rest());
        }
        acks
    }

    /// Everything that was held back.
    pub(crate) fn flush(&mut self) -> Vec<Ack> {
        let mut acks = self.prefix();
        acks.extend(self.rest());
        acks
    }

    /// All that is done below the lowest that is out or not yet seen.
    fn prefix(&mut self) -> Vec<Ack> {
        let unseen = self.seen + 1;
        let above = self.done.split_off(self.out.first().unwrap_or(&unseen).min(&unseen));
        let below = std::mem::replace(&mut self.done, above);
        let last = below.last().map(|tag| Ack { tag: *tag, multiple: below.len() > 1 });
        last.into_iter().collect()
    }

    fn rest(&mut self) -> impl Iterator<Item = Ack> + use<> {
        std::mem::take(&mut self.done).into_iter().map(|tag| Ack { tag, multiple: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(tag: u64) -> Ack {
        Ack { tag, multiple: false }
    }

    fn up_to(tag: u64) -> Ack {
        Ack { tag, multiple: true }
    }

    #[test]
    fn what_is_done_below_all_that_is_out_takes_one_frame() {
        let mut acks = Acks::default();
        (1..=6).for_each(|tag| acks.delivered(tag));
        assert_eq!(acks.done([2, 3, 5]), []);
        assert_eq!(acks.done([1]), [up_to(3)]);
        assert_eq!((acks.len(), acks.holds_back()), (3, true));
        assert_eq!(acks.flush(), [one(5)]);
        assert_eq!(acks.done([4, 6]), [up_to(6)]);
        assert_eq!((acks.len(), acks.holds_back()), (0, false));
    }

    #[test]
    fn nothing_is_acked_twice_and_nothing_that_went_back() {
        let mut acks = Acks::default();
        (1..=3).for_each(|tag| acks.delivered(tag));
        acks.returned(1);
        assert_eq!(acks.done([1, 2, 2]), [one(2)]);
        assert_eq!(acks.done([2]), []);
        assert!(acks.is_out(3) && !acks.is_out(1));
    }

    #[test]
    fn what_is_still_on_its_way_is_not_acked_along() {
        let mut acks = Acks::default();
        [1, 2, 4, 5].into_iter().for_each(|tag| acks.delivered(tag));
        assert_eq!(acks.done([1, 2, 4, 5]), [up_to(2)]);
        acks.delivered(3);
        assert_eq!(acks.done([]), []);
        assert_eq!(acks.done([3]), [up_to(5)]);
    }

    #[test]
    fn not_too_many_are_held_back() {
        let mut acks = Acks::default();
        (1..=400).for_each(|tag| acks.delivered(tag));
        assert_eq!(acks.done(2..=300).len(), 299);
    }
}
