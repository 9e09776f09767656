//! Finds the entries of the word tables by their first word, without a list for each.

use super::lexicon::Languages;
use crate::hash::hash;

/// Entries by key: those of one hash lie side by side, the longest first.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// One bit for each hash in use, of a few thousand: most words are in no table and go no further.
    seen: Vec<u64>,
    /// Where the items of each slot begin, and after the last slot where they end.
    starts: Vec<u32>,
    items: Vec<Item>,
}

#[derive(Debug, Clone, Copy)]
struct Item {
    /// The upper half of the key's hash.
    key: u32,
    entry: u32,
    languages: Languages,
}

/// Bits of the hash that choose a slot, and a bit of `seen`.
const SLOT_BITS: u32 = 13;
const SEEN_BITS: u32 = 16;

impl Index {
    /// Builds the index from the key, length and languages of every entry, in the order of the
    /// entries. Of equally long entries of a key the first comes first.
    pub(super) fn of(entries: impl Iterator<Item = (&'static str, usize, Languages)>) -> Self {
        let keys: Vec<(u64, usize, Languages)> =
            entries.map(|(key, len, languages)| (hash(key), len, languages)).collect();
        let mut seen = vec![0; 1 << (SEEN_BITS - 6)];
        let mut starts = vec![0; (1 << SLOT_BITS) + 1];
        for (hash, ..) in &keys {
            let (word, bit) = seen_bit(*hash);
            seen[word] |= bit;
            starts[slot_of(*hash) + 1] += 1;
        }
        for slot in 1..starts.len() {
            starts[slot] += starts[slot - 1];
        }
        let mut items = vec![Item { key: 0, entry: 0, languages: 0 }; keys.len()];
        let mut next = starts.clone();
        for (entry, (hash, _, languages)) in keys.iter().enumerate() {
            let place = &mut next[slot_of(*hash)];
            items[*place as usize] =
                Item { key: (hash >> 32) as u32, entry: entry as u32, languages: *languages };
            *place += 1;
        }
        for slot in starts.windows(2).filter(|slot| slot[1] - slot[0] > 1) {
            items[slot[0] as usize..slot[1] as usize]
                .sort_by_key(|item| std::cmp::Reverse(keys[item.entry as usize].1));
        }
        Self { seen, starts, items }
    }

    /// The entries of a key in any of the languages, longest first; none for an unknown one.
    /// Another key of the same hash may bring its own.
    #[inline]
    pub(super) fn list(&self, key: &str, languages: Languages) -> impl Iterator<Item = usize> + '_ {
        let hash = hash(key);
        let (word, bit) = seen_bit(hash);
        let items = match self.seen.get(word) {
            Some(bits) if bits & bit != 0 => {
                let slot = slot_of(hash);
                &self.items[self.starts[slot] as usize..self.starts[slot + 1] as usize]
            }
            _ => &[],
        };
        let key = (hash >> 32) as u32;
        let meant = move |item: &&Item| item.key == key && item.languages & languages != 0;
        items.iter().filter(meant).map(|item| item.entry as usize)
    }
}

fn seen_bit(hash: u64) -> (usize, u64) {
    let bit = (hash >> 16) & ((1 << SEEN_BITS) - 1);
    ((bit >> 6) as usize, 1 << (bit & 63))
}

fn slot_of(hash: u64) -> usize {
    (hash & ((1 << SLOT_BITS) - 1)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_entry_of_a_key_comes_first_and_equals_keep_their_order() {
        let entries = [("us", 2, 1), ("kr", 2, 1), ("us", 9, 1), ("us", 2, 1), ("us", 4, 2)];
        let index = Index::of(entries.into_iter());
        assert_eq!(index.list("us", 3).collect::<Vec<_>>(), [2, 4, 0, 3]);
        assert_eq!(index.list("us", 1).collect::<Vec<_>>(), [2, 0, 3]);
        assert_eq!(index.list("kr", 1).collect::<Vec<_>>(), [1]);
        assert_eq!(index.list("se", 1).count(), 0);
        assert_eq!(Index::default().list("us", 1).count(), 0);
    }
}
