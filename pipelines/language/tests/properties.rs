//! Holds for every text: no panic, spans inside the text on character boundaries, and the same
//! answer twice.

#[path = "../examples/fuzz/readers.rs"]
mod readers;
#[path = "../examples/fuzz/texts.rs"]
mod texts;

use flotilla_language::caption::{Caption, Request, parse};
use flotilla_language::entities::find_all;
use flotilla_language::platform::{Platform, Rules};
use proptest::prelude::*;
use readers::{PLATFORMS, answers, fault};
use texts::PIECES;

fn pieces() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(PIECES.to_vec()), 0..40).prop_map(|p| p.concat())
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![pieces(), any::<String>(), "\\PC{0,120}"]
}

fn read(text: &str, platform: Option<Platform>) -> Caption {
    parse(&Request { text: text.to_owned(), platform, ..Request::default() })
}

fn check(text: &str, platform: Option<Platform>) {
    let caption = read(text, platform);
    let wire = serde_json::to_value(&caption).expect("a caption is JSON");
    assert_eq!(fault(text, &wire), None);
    let again = serde_json::to_string(&read(text, platform)).expect("a caption is JSON");
    assert_eq!(serde_json::to_string(&caption).expect("a caption is JSON"), again);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_text_gives_an_answer_with_sound_spans(
        text in any_text(),
        platform in prop::sample::select(PLATFORMS.to_vec()),
    ) {
        check(&text, platform);
    }
}

/// The first texts of what the example `fuzz` reads a million of.
#[test]
fn made_up_texts_are_read_the_same_way_twice() {
    let mut texts = texts::Texts::new(1);
    for _ in 0..600 {
        let text = texts.next();
        let platform = PLATFORMS[texts.platform()];
        check(&text, platform);
        assert_eq!(answers(&text, platform), answers(&text, platform), "{text:?}");
    }
}

/// Captions of many kinds, written for this test, each spoilt in many ways.
#[test]
fn spoilt_captions_are_read_with_sound_spans() {
    let models = [
        "Was $49, now €29.90 (-40%) with code SAVE10 👜 link in bio! #bag #sale2024 @jo.ann",
        "Đầm hoa nhí chỉ 199k, freeship đơn từ 500k 🌸 Zalo 0912 345 678 #thoitrang",
        "กระเป๋าหนังแท้ ฿1,290 ส่งฟรี ทัก LINE: @shop.th 👩🏽‍🚒 #กระเป๋า",
        "Novo por R$ 1.299,90 ou 10x de R$ 129,99 sem juros! Comenta EU QUERO",
        "خصم 50% على كل الفساتين، السعر 99 ر.س فقط، واتساب +966 50 123 4567 #تخفيضات",
        "बिग सेल! साड़ी ₹1,83,000 से ₹999 तक, yaar bahut achha hai 😍",
        "新品ワンピ ¥4,980（税込）送料無料🚚 プロフのリンクから #ootd",
        "Ich hasse diese Nike Dunk Low in Größe 42 nicht… nur 89,– € statt 120,- EUR!!",
        "𝟭𝟵.𝟵𝟵$ 𝐎𝐍𝐋𝐘 🏴󠁧󠁢󠁥󠁮󠁧󠁿 buy 2 get 1 free @Taylor_Swift in New York https://t.co/abc?x=1#y",
    ];
    let mut texts = texts::Texts::new(7).like(models.map(str::to_owned).to_vec());
    for _ in 0..1_500 {
        let text = texts.next();
        check(&text, PLATFORMS[texts.platform()]);
    }
}

#[test]
fn long_repetitions_come_to_an_end() {
    for piece in PIECES {
        let text = piece.repeat(6_000 / piece.len());
        let _ = read(&text, Some(Platform::TikTok));
        let text = piece.repeat(60_000 / piece.len());
        let _ = find_all(&text, &Rules::of(Some(Platform::X)));
    }
}
