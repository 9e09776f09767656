//! Own cases for calls to action.

use super::*;

/// One range, as the finders hand it over.
fn one(start: usize, end: usize) -> Vec<Range<usize>> {
    std::iter::once(start..end).collect()
}

fn kinds(text: &str) -> Vec<Kind> {
    let mut kinds: Vec<Kind> = find(text, &[], &[]).into_iter().map(|cta| cta.kind).collect();
    kinds.dedup();
    kinds
}

#[test]
fn imperatives_call_in_many_languages() {
    for (text, want) in [
        ("Shop the new drop now, link in bio!", vec![Kind::Shop, Kind::LinkBio]),
        ("So good. Follow us for daily looks", vec![Kind::Follow]),
        ("Double tap if you agree", vec![Kind::Like]),
        ("Tag a friend who needs this and save this for later", vec![Kind::Tag, Kind::Save]),
        ("Please DM to order", vec![Kind::Dm]),
        ("¡Síguenos y cuéntanos qué piensas!", vec![Kind::Follow, Kind::Comment]),
        ("Garanta o seu! Link na bio", vec![Kind::Shop, Kind::LinkBio]),
        ("Abonnez-vous et dites-nous tout", vec![Kind::Follow, Kind::Comment]),
        ("Jetzt bestellen – Link in der Bio", vec![Kind::Shop, Kind::LinkBio]),
        ("Acquista ora e scrivici", vec![Kind::Shop, Kind::Dm]),
        ("Yuk order, klik link di bio", vec![Kind::Shop, Kind::LinkBio]),
        ("ถูกมาก กดตะกร้าเลย", vec![Kind::Shop]),
        ("Sign up today", vec![Kind::Signup]),
        ("Ссылка в профиле. ПОДПИШИСЬ", vec![Kind::LinkBio, Kind::Follow]),
        ("लिंक बायो में है, अभी खरीदें", vec![Kind::LinkBio, Kind::Shop]),
    ] {
        assert_eq!(kinds(text), want, "{text}");
    }
}

#[test]
fn stories_and_names_do_not_call() {
    for text in [
        "I follow her since 2019",
        "A shop window in Rome",
        "Code review at work",
        "We ordered pizza and watched a film",
        "They told me to follow my dreams",
        "My comment section is wild",
        "he saved lives",
        "I don't follow the crowd",
        "Tag Heuer on the wrist",
        "new watch on my wrist",
        "The text message I got",
        "a walk in the old book shop",
    ] {
        assert_eq!(kinds(text), [], "{text}");
    }
}

#[test]
fn urgency_grows_with_words_of_time() {
    let urgency = |text: &str| find(text, &[], &[])[0].urgency;
    assert!(urgency("Shop the look") < urgency("Shop the look today"));
    assert!(urgency("Shop the look today") < urgency("Last chance! Shop the look"));
    assert!(urgency("Follow us, only 3 left, last chance") > 0.9);
}

#[test]
fn a_call_points_at_the_name_link_or_code_behind_it() {
    let text = "follow @jo.ann or use code SAVE10";
    let found = find(text, &one(7, 14), &one(27, 33));
    assert_eq!(found[0].target, Some(7..14));
    assert_eq!(found[1].target, Some(27..33));
    assert_eq!(found[1].kind, Kind::Code);
    let bare = find("SAVE10", &[], &one(0, 6));
    assert_eq!((bare[0].kind, bare[0].rule), (Kind::Code, "cta:code"));
}

#[test]
fn nothing_inside_a_link_calls() {
    assert_eq!(find("https://x.com/shop now", &one(0, 18), &[]), []);
}

#[test]
fn a_longer_phrase_cut_short_by_a_word_does_not_hide_the_shorter() {
    assert_eq!(kinds("Confira algumas fotos"), [Kind::Visit]);
    assert_eq!(kinds("Discover the world"), []);
    assert_eq!(kinds("Discover the collection in stores"), [Kind::Visit]);
}
