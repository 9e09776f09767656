//! Function words and letters that give a language away in texts too short for statistics.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::LazyLock;

use crate::entities::chars::is_alphabetic;
use crate::hash::WordHasher;

/// Languages that vote, and the words that vote for them. A word may stand in several rows: its
/// vote then counts for each. Chosen by hand among the commonest words of each language.
const WORDS: [(&str, &str); 19] = [
    (
        "en",
        "the and you your for with this that from have are was our all new now get my is it of \
            in on to at be what just love day so we how here out can will not but one has shop more \
            by up i'm it's don't when who they he she his her been about make an or if i me do did \
            had were would could should there their them then than these those into over after \
            before because while where which why yes let let's got go going know think want need \
            see look looking feel good great best better happy little big old first last next early \
            morning night today tomorrow yesterday week weekend year years time life people thing \
            things world home house work school family friend friends girl girls boy baby mom dad \
            man women men summer winter spring birthday dinner lunch beach party ready never always \
            every another some any much many most only too very really still even back off down \
            away again someone something nothing everything thank thanks please check follow link \
            bio post video watch free sale style fashion shoes shirt dress pink white black \
            blue red gold food beer coffee drink eat made makes making take took come came said \
            say wait keep find found give share comment tag win own can't won't that's what's \
            there's you're i've i'll we're us him as no like closer favourite favorite beautiful \
            pretty nice cute crazy hot cold sunday monday tuesday wednesday thursday friday \
            saturday",
    ),
    (
        "es",
        "el la los las de que y en un una por para con es su se lo del mi más como pero tu te al \
            está muy este esta todo nos hoy sin hay me día si gracias vida mejor amor nuestro \
            nuestra son cuando eres ya desde gusta gustó bueno nuevo nueva precio envío aquí también \
            porque quiero tengo ahora hola bolso síguenos",
    ),
    (
        "pt",
        "o a os as de que e em um uma por para com é não do da dos das no na nos nas se mais como \
            mas seu sua você ao está muito este esta tudo hoje sem meu minha foi são também pra \
            nosso nossa dia já ele pelo pela gente até amor gostei isso essa esse preço frete aqui \
            agora eu tô você bolsa",
    ),
    (
        "fr",
        "le la les de des et en un une pour avec est dans du que qui sur ce pas au vous nous je \
            il elle mon ma plus votre cette tout c'est sont aux par ou notre d'une merci très être \
            ont son sa ses mes l'amour ce cet ces j'ai j'adore aussi chez toujours jamais bonjour prix",
    ),
    (
        "de",
        "der die das und ist ich nicht mit ein eine für von auf den zu im dem sich auch es wir \
            ihr sie an bei aus wie so noch nur einen euch uns mein heute hat sind oder werden jetzt \
            mehr habe war als dass kann zum zur leider schön neue neuen diese dieser euer unser bitte",
    ),
    (
        "it",
        "il la le di che e è un una per con non del della in sono ho i gli mi si da dei delle al \
            alla più come ma questo questa tutto nel nella lo anche ci oggi grazie molto buon \
            nostra nostro hai mio mia se ti perché quando piace bello bella nuovo nuova prezzo ciao sempre",
    ),
    (
        "nl",
        "de het een en van ik is niet dat met op voor zijn je te aan ook er maar om bij nog uit \
            naar dan wat deze wij we ons onze jouw mijn heeft hebben wordt door over nu kan meer als",
    ),
    (
        "id",
        "yang dan di ini itu dengan untuk tidak dari ke ada aku kamu saya bisa juga sudah akan \
            buat banget nya kita lagi udah kalau atau karena jangan yuk aja gak mau hari satu lebih \
            semua apa seperti oleh adalah",
    ),
    (
        "tr",
        "ve bir bu için de da ile çok ne var mi ama gibi daha en ben sen olan her kadar sonra \
            biz güzel değil olarak hem nasıl yeni şey iyi",
    ),
    (
        "pl",
        "i w na z do nie się to jest że o jak po ale za dla od co mi tak już ma są przez przy \
            tylko czy jestem bardzo może oraz dziś który",
    ),
    (
        "sv",
        "och att det i en är på som för med av jag inte den till har om ett vi så men du från \
            var kan ska nu eller min din idag hur mycket här också",
    ),
    (
        "da",
        "og det er en at i på til af for med jeg ikke den har som vi de et der du var kan fra \
            om men så mig min nu hvad skal være meget også blev",
    ),
    (
        "no",
        "og det er en at i på til av for med jeg ikke den har som vi de et der du var kan fra \
            om men så meg min nå hva skal være også ble fikk bare mye noe",
    ),
    (
        "fi",
        "ja on ei se että oli mutta kun niin hän tämä mitä minä sinä ovat myös vain nyt olen \
            joka kuin ole tai jos sen",
    ),
    (
        "ro",
        "și de la cu în pe nu este un o care mai pentru din că ce sunt fi sau dar am al ai lui \
            foarte acum când te",
    ),
    (
        "tl",
        "ang ng sa na ko mga ako ka at mo siya ay naman lang po yung kung nang dahil para hindi \
            may pa niya natin ito kayo namin",
    ),
    (
        "hu",
        "a az és hogy nem is egy ez de van meg már csak ha mint volt azt még nagyon vagy el ki \
            minden fel lesz",
    ),
    (
        "cs",
        "a je to se na v že s do i o jako za ale pro jsem jsou tak od po by si už jen nebo co \
            být může který které ve když",
    ),
    // Hindi in Latin letters; words that other languages know are left out.
    (
        "hi",
        "hai hain nahi nahin kya kyu kyun mein hum tum aap bhi aur yeh woh raha rahi rahe hota hoti \
            hoga hogi karna karne karo karta karte kiya diya gaya gayi bhai yaar acha accha achha \
            bahut bohot kuch koi phir agar lekin magar abhi toh mera meri mujhe teri tujhe apna \
            apni apne uska uski iska iski kaise kahan kitna wala wali wale liye pyar pyaar zindagi \
            dost saath baat ghar haan hona kaun inke unke hamare hamara tumhara aapka aapke",
    ),
];

/// Letters few languages write.
const LETTERS: [(&str, &str); 16] = [
    ("de", "ß"),
    ("es", "ñ¿¡"),
    ("pt", "ãõ"),
    ("fr", "œ"),
    ("tr", "ğşı"),
    ("az", "ə"),
    ("pl", "łążęśźćń"),
    ("hu", "őű"),
    ("ro", "ășț"),
    ("vi", "ơưđăạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ"),
    ("cs", "ěřů"),
    ("sk", "ľĺŕ"),
    ("lv", "ģķļņ"),
    ("lt", "ėųį"),
    ("da", "ø"),
    ("no", "ø"),
];

/// What a letter is worth beside a word.
const LETTER_VOTE: u32 = 2;
/// One letter counts this often at most.
const LETTER_CAP: u32 = 4;

/// Every code that can win: the rows of [`WORDS`], then those of [`LETTERS`] that are none of them.
const CANDIDATES: usize = WORDS.len() + 5;

/// What a vote reads, built once.
struct Tables {
    codes: [&'static str; CANDIDATES],
    /// For each word the rows it stands in, one bit each.
    words: Rows,
    /// For each code point from U+0080 to U+025F, then from U+1E00 to U+1EFF, the rows of
    /// [`LETTERS`] it stands in.
    letters: [u16; NEAR + FAR],
    /// For each row of [`LETTERS`] its candidate.
    of_letters: [usize; LETTERS.len()],
}

/// The rows of every word. Most words have eight bytes or fewer: those are numbers themselves, and
/// looked up as such.
struct Rows {
    short: Box<[(u64, u32)]>,
    long: HashMap<&'static str, u32, BuildHasherDefault<WordHasher>>,
    longest: usize,
}

/// Places for short words, as a power of two: several times as many as there are words.
const PLACE_BITS: u32 = 12;

impl Default for Rows {
    fn default() -> Self {
        let short = vec![(0, 0); 1 << PLACE_BITS].into_boxed_slice();
        Self { short, long: HashMap::default(), longest: 0 }
    }
}

impl Rows {
    /// The bytes of a short word as a number; no word is nought.
    fn packed(word: &str) -> Option<u64> {
        let short = word.len() <= 8;
        short.then(|| word.bytes().fold(0, |packed, byte| (packed << 8) | u64::from(byte)))
    }

    /// Where a short word lies, or would.
    fn place(&self, packed: u64) -> usize {
        let mut at = (packed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - PLACE_BITS)) as usize;
        while self.short[at].0 != 0 && self.short[at].0 != packed {
            at = (at + 1) & ((1 << PLACE_BITS) - 1);
        }
        at
    }

    fn add(&mut self, word: &'static str, rows: u32) {
        match Self::packed(word) {
            Some(packed) => {
                let place = self.place(packed);
                self.short[place].0 = packed;
                self.short[place].1 |= rows;
            }
            None => {
                *self.long.entry(word).or_default() |= rows;
                self.longest = self.longest.max(word.len());
            }
        }
    }

    /// The rows of a word; 0 for an unknown one.
    fn of(&self, word: &str) -> u32 {
        match Self::packed(word) {
            Some(packed) => self.short[self.place(packed)].1,
            None if word.len() > self.longest => 0,
            None => self.long.get(word).copied().unwrap_or(0),
        }
    }
}

const NEAR: usize = 0x260 - 0x80;
const FAR: usize = 0x100;

/// Where a letter stands in [`Tables::letters`].
fn letter_slot(c: char) -> Option<usize> {
    match c as usize {
        code @ 0x80..0x260 => Some(code - 0x80),
        code @ 0x1E00..0x1F00 => Some(NEAR + code - 0x1E00),
        _ => None,
    }
}

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let mut words = Rows::default();
    let mut codes = [""; CANDIDATES];
    for (row, (code, list)) in WORDS.iter().enumerate() {
        codes[row] = code;
        for word in list.split_whitespace() {
            words.add(word, 1 << row);
        }
    }
    let mut letters = [0; NEAR + FAR];
    let mut of_letters = [0; LETTERS.len()];
    let mut known = WORDS.len();
    for (row, (code, list)) in LETTERS.iter().enumerate() {
        of_letters[row] = codes[..known].iter().position(|c| c == code).unwrap_or_else(|| {
            codes[known] = code;
            known += 1;
            known - 1
        });
        for slot in list.chars().filter_map(letter_slot) {
            letters[slot] |= 1 << row;
        }
    }
    Tables { codes, words, letters, of_letters }
});

/// The outcome of a vote.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Vote {
    pub(super) code: &'static str,
    /// Points of the winner.
    pub(super) points: u32,
    /// Points of the runner-up.
    pub(super) second: u32,
    /// Words that were asked.
    pub(super) words: u32,
}

/// Counts the votes of the words and letters of a text in Latin script. Of equals the first in
/// the tables wins.
pub(super) fn vote(lower: &str) -> Option<Vote> {
    let tables = &*TABLES;
    let mut points = [0; CANDIDATES];
    let mut words = 0;
    for word in words_of(lower) {
        words += 1;
        let rows = tables.words.of(word);
        if rows == 0 {
            continue;
        }
        // A word that several languages share says less than one of a single language.
        // Single letters are abbreviations as often as words.
        let worth = match (rows.count_ones(), is_one_letter(word)) {
            (_, true) => 1,
            (1, _) => 3,
            _ => 2,
        };
        let mut rows = rows;
        while rows != 0 {
            points[rows.trailing_zeros() as usize] += worth;
            rows &= rows - 1;
        }
    }
    if !lower.is_ascii() {
        let mut counts = [0; LETTERS.len()];
        for slot in lower.chars().filter_map(letter_slot) {
            let mut rows = tables.letters[slot];
            while rows != 0 {
                counts[rows.trailing_zeros() as usize] += 1;
                rows &= rows - 1;
            }
        }
        for (count, row) in counts.into_iter().zip(tables.of_letters) {
            points[row] += LETTER_CAP.min(count) * LETTER_VOTE;
        }
    }
    let mut best = 0;
    let mut second = 0;
    for (row, sum) in points.into_iter().enumerate().skip(1) {
        if sum > points[best] {
            (best, second) = (row, points[best]);
        } else {
            second = second.max(sum);
        }
    }
    let (code, points) = (tables.codes[best], points[best]);
    (points > 0).then_some(Vote { code, points, second, words })
}

/// The words of a text: letters and the apostrophes between them.
fn words_of(text: &str) -> impl Iterator<Item = &str> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let start = next(text, at, true)?;
            at = next(text, start, false).unwrap_or(text.len());
            let word = &text[start..at];
            let quoted = word.starts_with('\'') || word.ends_with('\'');
            let word = if quoted { word.trim_matches('\'') } else { word };
            if !word.is_empty() {
                return Some(word);
            }
        }
    })
}

/// Which bytes of ASCII are inside a word.
const INSIDE: [bool; 128] = {
    let mut table = [false; 128];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = (byte as u8).is_ascii_alphabetic() || byte as u8 == b'\'';
        byte += 1;
    }
    table
};

/// Where the next character stands that is inside a word, or outside.
fn next(text: &str, from: usize, inside: bool) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = from;
    while let Some(byte) = bytes.get(at) {
        if let Some(is_inside) = INSIDE.get(usize::from(*byte)) {
            if *is_inside == inside {
                return Some(at);
            }
            at += 1;
        } else {
            let c = text[at..].chars().next()?;
            if is_alphabetic(c) == inside {
                return Some(at);
            }
            at += c.len_utf8();
        }
    }
    None
}

fn is_one_letter(word: &str) -> bool {
    word.len() <= 4 && word.chars().nth(1).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_function_words_decide() {
        for (text, code) in [
            ("this is the best day with you", "en"),
            ("el mejor día de mi vida", "es"),
            ("não vejo a hora do natal", "pt"),
            ("das ist nicht mein tag", "de"),
            ("giày nữ đẹp giá rẻ", "vi"),
            ("aku mau beli yang ini", "id"),
        ] {
            let vote = vote(text).unwrap();
            assert_eq!(vote.code, code, "{text}");
            assert!(vote.points > vote.second);
        }
        assert_eq!(vote("hermes birkin"), None);
    }

    #[test]
    fn every_letter_of_the_table_has_its_place_and_every_code_a_row() {
        for (code, letters) in LETTERS {
            assert!(TABLES.codes.contains(&code), "{code}");
            assert!(letters.chars().all(|c| letter_slot(c).is_some()), "{code}");
        }
        assert!(TABLES.codes.iter().all(|code| !code.is_empty()));
    }
}
