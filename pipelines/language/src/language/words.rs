//! Function words and letters that give a language away in texts too short for statistics.

use std::collections::HashMap;
use std::sync::LazyLock;

/// Languages that vote, and the words that vote for them. A word may stand in several rows: its
/// vote then counts for each. Chosen by hand among the commonest words of each language.
const WORDS: [(&str, &str); 18] = [
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
            bio post video watch free sale off style fashion shoes shirt dress pink white black \
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
            nuestra son cuando eres ya desde",
    ),
    (
        "pt",
        "o a os as de que e em um uma por para com é não do da dos das no na nos nas se mais como \
            mas seu sua você ao está muito este esta tudo hoje sem meu minha foi são também pra \
            nosso nossa dia já ele pelo pela gente até amor",
    ),
    (
        "fr",
        "le la les de des et en un une pour avec est dans du que qui sur ce pas au vous nous je \
            il elle mon ma plus votre cette tout c'est sont aux par ou notre d'une merci très être \
            ont son sa ses mes l'amour",
    ),
    (
        "de",
        "der die das und ist ich nicht mit ein eine für von auf den zu im dem sich auch es wir \
            ihr sie an bei aus wie so noch nur einen euch uns mein heute hat sind oder werden jetzt \
            mehr habe war als dass kann zum zur",
    ),
    (
        "it",
        "il la le di che e è un una per con non del della in sono ho i gli mi si da dei delle al \
            alla più come ma questo questa tutto nel nella lo anche ci oggi grazie molto buon \
            nostra nostro hai mio mia se ti perché quando",
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

static VOTES: LazyLock<HashMap<&'static str, Vec<usize>>> = LazyLock::new(|| {
    let mut votes: HashMap<&'static str, Vec<usize>> = HashMap::new();
    for (row, (_, words)) in WORDS.iter().enumerate() {
        for word in words.split_whitespace() {
            votes.entry(word).or_default().push(row);
        }
    }
    votes
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
    let mut points: Vec<(&'static str, u32)> = WORDS.iter().map(|(code, _)| (*code, 0)).collect();
    let mut words = 0;
    for word in lower.split(|c: char| !c.is_alphabetic() && c != '\'') {
        let word = word.trim_matches('\'');
        if word.is_empty() {
            continue;
        }
        words += 1;
        let Some(rows) = VOTES.get(word) else { continue };
        // A word that several languages share says less than one of a single language.
        // Single letters are abbreviations as often as words.
        let worth = match (rows.len(), word.chars().count()) {
            (_, 1) => 1,
            (1, _) => 3,
            _ => 2,
        };
        for row in rows {
            points[*row].1 += worth;
        }
    }
    if !lower.is_ascii() {
        for (code, letters) in LETTERS {
            let count = lower.chars().filter(|c| letters.contains(*c)).count() as u32;
            let gain = count.min(LETTER_CAP) * LETTER_VOTE;
            match points.iter_mut().find(|(known, _)| *known == code) {
                Some((_, sum)) => *sum += gain,
                None => points.push((code, gain)),
            }
        }
    }
    let mut best: Option<(&'static str, u32)> = None;
    let mut second = 0;
    for (code, sum) in points {
        match best {
            Some((_, top)) if sum <= top => second = second.max(sum),
            _ => {
                second = best.map_or(0, |(_, top)| top);
                best = Some((code, sum));
            }
        }
    }
    let (code, points) = best?;
    (points > 0).then_some(Vote { code, points, second, words })
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
}
