//! Texts made up of what finders react to, by a seeded generator: the same seed, the same texts.

/// Pieces that finders react to.
pub(crate) const PIECES: [&str; 73] = [
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
];

/// A generator of texts.
pub(crate) struct Texts {
    state: u64,
}

impl Texts {
    /// A generator that always gives the same texts for a seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1 }
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
