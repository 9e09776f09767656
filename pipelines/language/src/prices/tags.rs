//! The meanings of one word. Nearly every word has one or two; those need no memory of their own.

use std::ops::Deref;

use super::lexicon::Tag;

const FEW: usize = 2;

/// A list of meanings without repetition is built and read, never changed in the middle.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Tags {
    Few(u8, [Tag; FEW]),
    Many(Vec<Tag>),
}

impl Default for Tags {
    fn default() -> Self {
        Self::Few(0, [Tag::And; FEW])
    }
}

impl Tags {
    /// One meaning.
    pub(super) fn one(tag: Tag) -> Self {
        Self::Few(1, [tag; FEW])
    }

    /// Adds a meaning at the end.
    pub(super) fn push(&mut self, tag: Tag) {
        match self {
            Self::Few(len, tags) if usize::from(*len) < FEW => {
                tags[usize::from(*len)] = tag;
                *len += 1;
            }
            Self::Few(_, tags) => {
                let mut many = tags.to_vec();
                many.push(tag);
                *self = Self::Many(many);
            }
            Self::Many(many) => many.push(tag),
        }
    }
}

impl Deref for Tags {
    type Target = [Tag];

    fn deref(&self) -> &[Tag] {
        match self {
            Self::Few(len, tags) => &tags[..usize::from(*len)],
            Self::Many(many) => many,
        }
    }
}

impl FromIterator<Tag> for Tags {
    fn from_iter<I: IntoIterator<Item = Tag>>(tags: I) -> Self {
        let mut list = Self::default();
        tags.into_iter().for_each(|tag| list.push(tag));
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_any_length_keep_their_order() {
        let all: Vec<Tag> = (0..7).map(Tag::Number).collect();
        for len in 0..all.len() {
            let tags: Tags = all[..len].iter().copied().collect();
            assert_eq!(*tags, all[..len]);
        }
        assert_eq!(*Tags::one(Tag::Minus), [Tag::Minus]);
    }
}
