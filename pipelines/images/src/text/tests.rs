//! Text against the bundled fonts: what is drawn, in which order, where lines break.

use super::*;

const BLACK: Ink = Ink { fill: [0, 0, 0, 255], outline: [0; 4], outline_width: 0.0 };

fn set(text: &str, max_width: Option<f32>) -> Block {
    let style = TextStyle { size: 40.0, max_width, align: Align::Start, ..TextStyle::default() };
    lay_out(&Fonts::default(), text, &style)
}

fn words<'t>(text: &'t str, block: &Block) -> Vec<(&'t str, usize)> {
    block.words().iter().map(|word| (&text[word.range.clone()], word.line)).collect()
}

#[test]
fn words_stand_in_order_and_lines_break_between_them() {
    let text = "one two-three four";
    let block = set(text, None);
    assert_eq!(words(text, &block), [("one", 0), ("two-three", 0), ("four", 0)]);
    assert!(block.words().windows(2).all(|pair| pair[0].right < pair[1].left));
    let narrow = set(text, Some(150.0));
    assert!(narrow.width <= 150.0 && narrow.height > block.height * 2.5);
    let lines: Vec<usize> = narrow.words().iter().map(|word| word.line).collect();
    assert!(lines.is_sorted() && lines.last() == Some(&3) || lines.last() == Some(&2), "{lines:?}");
    let long = "Donaudampfschifffahrtsgesellschaft";
    let cut = set(long, Some(200.0));
    assert!(
        cut.width <= 200.0 && cut.height > block.height * 3.5,
        "a word that is too wide is cut"
    );
    assert_eq!(set("a\nb\n\nc", None).words().last().unwrap().line, 3);
}

#[test]
fn hebrew_runs_from_right_to_left_and_numbers_within_do_not() {
    let text = "\u{5e9}\u{5dc}\u{5d5}\u{5dd} 123 \u{5e2}\u{5d5}\u{5dc}\u{5dd}";
    let block = set(text, None);
    assert!(block.missing.is_empty());
    let lefts: Vec<f32> = block.words().iter().map(|word| word.left).collect();
    assert!(lefts.windows(2).all(|pair| pair[0] > pair[1]), "{lefts:?}");
    let digits: Vec<f32> =
        (9..12).map(|at| block.glyphs.iter().find(|glyph| glyph.at == at).unwrap().x).collect();
    assert!(digits.is_sorted(), "{digits:?}");
}

#[test]
fn arabic_letters_join() {
    let joined = set("\u{628}\u{628}\u{628}", None);
    let apart = set("\u{628} \u{628} \u{628}", None);
    let ids = |block: &Block| block.glyphs.iter().map(|glyph| glyph.id).collect::<Vec<_>>();
    assert!(joined.missing.is_empty() && joined.glyphs.len() >= 3);
    let distinct: std::collections::HashSet<u32> = ids(&joined).into_iter().collect();
    assert!(distinct.len() >= 3, "first, middle and last have forms of their own");
    assert!(joined.width < apart.width);
}

#[test]
fn ink_covers_what_it_should() {
    let block = set("Hi", None);
    let dark =
        |bitmap: &Bitmap| bitmap.pixels.chunks_exact(4).filter(|pixel| pixel[3] > 128).count();
    let plain = block.draw(|_| BLACK);
    let area = (block.width * block.height) as usize;
    assert!((area / 8..area / 2).contains(&dark(&plain)), "{} of {area}", dark(&plain));
    let outlined = Ink { outline: [255, 0, 0, 255], outline_width: 3.0, ..BLACK };
    assert!(dark(&block.draw(|_| outlined)) > dark(&plain) * 5 / 4);
    // the second letter alone
    let half = block.draw(|at| if at == 1 { BLACK } else { Ink { fill: [0; 4], ..BLACK } });
    assert!(dark(&half) > 0 && dark(&half) < dark(&plain));
    assert_eq!(
        set("", None).draw(|_| BLACK).pixels.iter().map(|&v| usize::from(v)).sum::<usize>(),
        0
    );
}

#[test]
fn what_no_font_has_is_named() {
    let block = set("a\u{10ffff}b", None);
    assert_eq!(block.missing, ['\u{10ffff}']);
    assert_eq!(block.words().len(), 1);
}

#[test]
fn colour_emoji_of_the_machine_are_drawn_in_colour() {
    let fonts = Fonts::new(vec!["/usr/share/fonts".into()]);
    let block = lay_out(&fonts, "\u{1f600}", &TextStyle::default());
    if !block.missing.is_empty() || !block.glyphs[0].face.colour {
        println!("skipped: this machine has no font with colour emoji");
        return;
    }
    let bitmap = block.draw(|_| BLACK);
    let yellow =
        bitmap.pixels.chunks_exact(4).filter(|p| p[3] > 200 && p[0] > 180 && p[2] < 120).count();
    assert!(yellow > 200, "{yellow}");
}

#[test]
fn any_text_is_set_without_panic() {
    let mut state = 7_u64;
    let mut random = move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u32
    };
    for _ in 0..300 {
        let text: String = (0..random() % 24)
            .filter_map(|_| {
                let range = [0x80, 0x600, 0x700, 0x3000, 0x1_0000, 0x2_0000][random() as usize % 6];
                char::from_u32(random() % range)
            })
            .collect();
        let block = set(&text, Some(60.0));
        let bitmap = block.draw(|_| Ink { outline: [1, 2, 3, 255], outline_width: 2.0, ..BLACK });
        assert_eq!(bitmap.pixels.len(), bitmap.width * bitmap.height * 4);
    }
}
