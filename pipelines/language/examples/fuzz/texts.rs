//! Texts made up of what finders react to, by a seeded generator: the same seed, the same texts.

/// Pieces that finders react to.
pub(crate) const PIECES: [&str; 84] = [
    "#",
    "＃",
    "@",
    "＠",
    "$",
    "http://",
    "https://",
    "t.co/",
    "www.",
    ".com",
    ".рф",
    ".みんな",
    ".example",
    "example",
    "a",
    "ö",
    "の",
    "#️⃣",
    "\u{200D}",
    "\u{FE0F}",
    "\u{20E3}",
    "👩🏽‍🚒",
    "🇩🇪",
    "🇦",
    "🏿",
    "1",
    "2024",
    "+84",
    "(",
    ")",
    "-",
    "_",
    "/",
    "?",
    "%",
    "=",
    ":",
    "...",
    "whatsapp ",
    "€",
    "19,99",
    "-20%",
    "RT",
    "\n",
    " ",
    "\u{202A}",
    "𝟏𝟗",
    "กระเป๋า",
    "xn--",
    "Hermès ",
    "Birkin ",
    "chanel",
    "#diorsaddle",
    "this bag ",
    "Nike Dunk ",
    "size ",
    "in black ",
    "'s ",
    "’",
    "code SAVE10 ",
    "was $49 now ",
    "buy 2 get 1 free ",
    "link in bio ",
    "don't ",
    "not good ",
    "LOVE",
    "😍",
    "😡",
    "हैलो ",
    "مرحبا ",
    "\u{301}",
    "\u{0}",
    "ﬁ",
    "\u{202E}",
    "\u{2067}",
    "\u{2069}",
    "👨‍👩‍👧‍👦",
    "🏴󠁧󠁢󠁥󠁮󠁧󠁿",
    "İ",
    "ẞ",
    "हिन्दी",
    "ครับ",
    "\u{FFFD}",
    "Taylor Swift ",
];

/// A generator of texts.
pub(crate) struct Texts {
    state: u64,
    /// Real texts to be spoilt; may be empty.
    models: Vec<String>,
}

impl Texts {
    /// A generator that always gives the same texts for a seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, models: Vec::new() }
    }

    /// Every other text is one of these, spoilt.
    #[must_use]
    pub(crate) fn like(self, models: Vec<String>) -> Self {
        Self { models, ..self }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state % bound
    }

    fn any_char(&mut self) -> char {
        let bound = match self.below(4) {
            0 => 0x80,
            1 => 0x800,
            2 => 0x1_0000,
            _ => 0x11_0000,
        };
        char::from_u32(self.below(bound) as u32).unwrap_or('\u{fffd}')
    }

    /// The next text.
    pub(crate) fn next(&mut self) -> String {
        if self.models.is_empty() || self.below(2) == 0 { self.made_up() } else { self.spoilt() }
    }

    fn place(&mut self, text: &str) -> usize {
        let mut at = self.below(text.len() as u64 + 1) as usize;
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }

    /// A real text with a few things cut out, put in, doubled, exchanged or shouted.
    fn spoilt(&mut self) -> String {
        let pick = |texts: &mut Self| texts.below(texts.models.len() as u64) as usize;
        let first = pick(self);
        let mut text = self.models[first].clone();
        for _ in 0..=self.below(5) {
            let (one, other) = (self.place(&text), self.place(&text));
            let range = one.min(other)..one.max(other);
            match self.below(8) {
                0 => text.replace_range(range, ""),
                1 => text.truncate(one),
                2 => text.insert(one, self.any_char()),
                3 | 4 => {
                    let piece = self.below(PIECES.len() as u64) as usize;
                    text.insert_str(one, PIECES[piece]);
                }
                5 if text.len() < 8_000 => {
                    let again = text[range].to_owned();
                    text.insert_str(other, &again);
                }
                6 => {
                    let next = pick(self);
                    let end = self.place(&self.models[next].clone());
                    text.truncate(one);
                    text.push_str(&self.models[next][..end]);
                }
                _ => {
                    let loud = text[range.clone()].to_uppercase();
                    text.replace_range(range, &loud);
                }
            }
        }
        text
    }

    fn made_up(&mut self) -> String {
        let mut text = String::new();
        let odd = self.below(3);
        for _ in 0..self.below(24) {
            if self.below(3) < odd {
                text.push(self.any_char());
            } else {
                text.push_str(PIECES[self.below(PIECES.len() as u64) as usize]);
            }
        }
        text
    }

    /// A number below 10: the platform of the next text.
    pub(crate) fn platform(&mut self) -> usize {
        self.below(10) as usize
    }
}
