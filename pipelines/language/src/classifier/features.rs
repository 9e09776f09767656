//! What a classifier sees of a text: hashed words, pairs of words and pieces of words.
//!
//! Pairs are of neighbours, of words with one between, and of each word with the last, which in a
//! title mostly says what the thing is.
//!
//! Works for every script: words are runs of letters, marks and digits, and where a script writes
//! no spaces the pieces carry the load. Nothing depends on the language.

/// Kinds of features; each kind is scaled to length one by itself, so that a long description
/// does not drown a short title.
pub(super) const BLOCKS: usize = 4;
/// Words of the text, pieces of its words, words and pieces of the description.
pub(super) const SHARES: [f32; BLOCKS] = [1.0, 0.9, 0.8, 0.7];

/// No more of a text is read than this many bytes.
const LONGEST: usize = 4_096;
/// No more of a word is cut into pieces than this many characters.
const LONGEST_WORD: usize = 40;

/// The features of one text: sorted keys with how often each occurs, for each block.
pub(super) type Bag = [Vec<(u32, u32)>; BLOCKS];

/// Reads a text and what describes it further.
pub(super) fn bag(text: &str, description: Option<&str>) -> Bag {
    let mut bag = Bag::default();
    let [words, pieces, more_words, more_pieces] = &mut bag;
    read(text, 0, words, pieces);
    if let Some(description) = description {
        read(description, 1, more_words, more_pieces);
    }
    for block in &mut bag {
        merge(block);
    }
    bag
}

/// Sorts by key and adds up what is the same.
fn merge(block: &mut Vec<(u32, u32)>) {
    block.sort_unstable();
    block.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 += next.1;
        }
        same
    });
}

fn read(text: &str, field: u64, words: &mut Vec<(u32, u32)>, pieces: &mut Vec<(u32, u32)>) {
    let mut seen: Vec<u64> = Vec::new();
    let mut word: Vec<char> = Vec::new();
    let mut at = 0;
    for c in text.chars().chain([' ']) {
        at += c.len_utf8();
        if is_inner(c) {
            word.extend(c.to_lowercase());
            continue;
        }
        if !word.is_empty() {
            seen.push(words_of(&word, field, &seen, words));
            pieces_of(&word, field, pieces);
            word.clear();
        }
        if at > LONGEST {
            break;
        }
    }
    if let Some(last) = seen.last() {
        words.push((key(*last, 4), 1));
        words.extend(seen.iter().map(|h| (key(h.rotate_left(7) ^ last, 7), 1)));
    }
}

fn is_inner(c: char) -> bool {
    c.is_alphanumeric() || ('\u{300}'..='\u{36f}').contains(&c) || is_mark(c)
}

/// Vowel signs of the scripts of South and South-East Asia, which are part of a word.
fn is_mark(c: char) -> bool {
    matches!(c as u32, 0x900..=0xDFF | 0xE31..=0xE4E | 0xEB1..=0xECD | 0x1000..=0x109F | 0x1780..=0x17D3)
}

/// The word, its shape when it holds digits, and the pairs it makes with the two words before.
fn words_of(word: &[char], field: u64, seen: &[u64], out: &mut Vec<(u32, u32)>) -> u64 {
    let hash = word.iter().fold(SEED + field, |h, c| step(h, *c));
    out.push((key(hash, 0), 1));
    if word.iter().any(char::is_ascii_digit) {
        let plain = |c: &char| if c.is_ascii_digit() { '0' } else { *c };
        out.push((key(word.iter().fold(SEED + field, |h, c| step(h, plain(c))), 1), 1));
    }
    let mut before = seen.iter().rev();
    if let Some(one) = before.next() {
        out.push((key(one.rotate_left(17) ^ hash, 2), 1));
    }
    if let Some(two) = before.next() {
        out.push((key(two.rotate_left(29) ^ hash, 6), 1));
    }
    hash
}

/// Pieces of three to five characters, the ends of the word marked.
fn pieces_of(word: &[char], field: u64, out: &mut Vec<(u32, u32)>) {
    let word = &word[..word.len().min(LONGEST_WORD)];
    let length = word.len() + 2;
    let at = |i: usize| if i == 0 || i + 1 == length { '\u{1}' } else { word[i - 1] };
    for start in 0..length {
        let mut hash = SEED + 2 + field;
        for (n, i) in (start..length.min(start + 5)).enumerate() {
            hash = step(hash, at(i));
            if n >= 2 {
                out.push((key(hash, 5), 1));
            }
        }
    }
}

const SEED: u64 = 0xcbf2_9ce4_8422_2325;

fn step(hash: u64, c: char) -> u64 {
    (hash ^ u64::from(u32::from(c))).wrapping_mul(0x100_0000_01b3)
}

/// The key of a feature: a well-mixed hash with what kind it is.
fn key(hash: u64, kind: u64) -> u32 {
    let mut h = hash ^ kind.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    h = (h ^ (h >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    h = (h ^ (h >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    (h >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_text_gives_the_same_sorted_features_in_every_script() {
        for text in ["Puma Men Grey T-shirt", "เสื้อยืดพลัสไซส์", "新しい靴", "", "a", "💥"]
        {
            let (one, two) = (bag(text, None), bag(text, None));
            assert_eq!(one, two);
            assert!(one[0].is_sorted_by(|a, b| a.0 < b.0), "{text}");
            assert_eq!(one[0].is_empty(), !text.chars().any(char::is_alphanumeric), "{text}");
        }
    }

    #[test]
    fn a_description_is_told_apart_from_the_text_and_long_texts_are_cut() {
        let both = bag("shoe", Some("shoe"));
        assert!(both[0].iter().all(|(k, _)| both[2].iter().all(|(other, _)| k != other)));
        let long = "abc ".repeat(100_000);
        assert!(bag(&long, None)[0].iter().all(|(_, n)| *n <= 2_000));
    }
}
