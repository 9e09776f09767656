//! Products of whole captions.

use super::*;
use crate::entities::find_all;
use crate::platform::Rules;

fn products(text: &str) -> Vec<Product> {
    let found = find_all(text, &Rules::of(None));
    find(text, &found, &Hints::default())
}

/// Brand and name of every product that is named.
fn named(text: &str) -> Vec<(String, String)> {
    let plain = |part: &Option<String>| part.clone().unwrap_or_default();
    products(text).iter().map(|p| (plain(&p.brand), plain(&p.name))).collect()
}

fn pair(brand: &str, name: &str) -> (String, String) {
    (brand.to_owned(), name.to_owned())
}

#[test]
fn brands_and_lines_are_found_with_size_and_colour() {
    assert_eq!(named("My Chanel Classic Flap in black"), [pair("Chanel", "Classic Flap")]);
    let found = products("the HERMÈS Birkin 25 in Etoupe, so good");
    assert_eq!(found[0].brand.as_deref(), Some("Hermès"));
    assert_eq!(found[0].name.as_deref(), Some("Birkin 25"));
    assert_eq!((found[0].size.as_deref(), found[0].colour), (Some("25"), Some("brown")));
    assert_eq!(
        named("unpacking the iPhone 15 Pro Max today"),
        [pair("Apple", "iPhone 15 Pro Max")]
    );
    assert_eq!(named("new Canon EOS R5 and a lens"), [pair("Canon", "EOS R5")]);
    assert_eq!(named("bolsa Louis Vuitton Neverfull MM"), [pair("Louis Vuitton", "Neverfull MM")]);
}

#[test]
fn endings_and_repetitions_make_no_products_of_their_own() {
    assert_eq!(named("Chanel’s bags are here"), [pair("Chanel", "bags")]);
    assert_eq!(named("Le Neverfull. With the Neverfull bag"), [pair("Louis Vuitton", "Neverfull")]);
    assert_eq!(named("a portable saddle bag for the bike"), []);
}

#[test]
fn tags_and_handles_name_products_once() {
    assert_eq!(named("so happy #hermeskelly #hermes #kellybag"), [pair("Hermès", "Kelly")]);
    assert_eq!(named("today with @dior and #dior"), [pair("Dior", "")]);
    let both = named("love my Birkin 30 #hermesbirkin #hermesbirkin30");
    assert_eq!(both, [pair("Hermès", "Birkin 30")]);
}

#[test]
fn common_words_are_no_brands() {
    for text in [
        "an apple a day and a mango",
        "our coach said we should target the gap",
        "Happy birthday Kelly, love you",
        "Diana and Gabrielle went to Brooklyn",
        "free people of the world, vans on the road",
        "Boss of the year",
    ] {
        assert_eq!(named(text), [], "{text}");
    }
    assert_eq!(named("my new Coach Tabby 26"), [pair("Coach", "Tabby 26")]);
    assert_eq!(named("wearing Vans Old Skool"), [pair("Vans", "Old Skool")]);
}

#[test]
fn things_count_by_capital_price_credit_and_pointing() {
    assert_eq!(named("rolled up the Snap bag. #newbottega")[0].0, "Bottega Veneta");
    let credit = products("Coat @uniqlousa\nJeans @some.shop");
    let brands: Vec<_> = credit.iter().map(|p| p.brand.as_deref()).collect();
    assert_eq!(brands, [Some("Uniqlo"), Some("some.shop")]);
    let text = "Vestido midi floral R$ 89,90";
    let price = 20..text.len();
    let hints = Hints { prices: std::slice::from_ref(&price), ..Hints::default() };
    let found = find(text, &[], &hints);
    assert_eq!(found[0].name.as_deref(), Some("Vestido midi floral"));
    assert_eq!(found[0].mentioned, Mentioned::Thing);
    let pointed = products("I need this bag right now");
    assert_eq!(
        (pointed[0].mentioned, pointed[0].name.as_deref()),
        (Mentioned::Deictic, Some("this bag"))
    );
}

#[test]
fn the_catalogue_links_and_adds() {
    let items = [
        Item {
            id: "a".into(),
            name: "Peptide Lip Tint".into(),
            brand: Some("Rhode".into()),
            aliases: vec![],
        },
        Item { id: "b".into(), name: "Sunny Day Hoodie".into(), brand: None, aliases: vec![] },
    ];
    let text = "got the rhode peptide lip tint and the sunny day hoodie";
    let hints = Hints { catalogue: &items, ..Hints::default() };
    let found = find(text, &[], &hints);
    let links: Vec<_> = found.iter().filter_map(|p| p.link.map(|l| l.0)).collect();
    assert_eq!(links, [0, 1]);
}

#[test]
fn any_text_is_read() {
    for text in ["", "#", "@", "’", "Dior's", "LV ", "ก", "\u{301}", "this", "2.55", "#ß@İ Birkin"]
    {
        let _ = products(text);
    }
}
