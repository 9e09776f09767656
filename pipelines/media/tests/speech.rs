//! Speech with the real voices: word times against the voice's own, loudness against ffmpeg's meter.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing says so by failing")]

mod support;

use flotilla_media::speech::{assemble, timed};
use flotilla_media::text::{Prosody, Utterance, utterances};
use flotilla_media::voice::{Espeak, Flite};
use flotilla_media::{AudioFormat, Spoken, Stop, Timing, Voice};

const TEXT: &str = "Good morning! Fresh bread costs $3.50 today, and it is for the whole family. \
    In 2026 we baked 1,250 loaves every week. Come by before 9:30, take two, and pay for one. \
    Our shop has been open for more than fifty years.";

fn said() -> Vec<Utterance> {
    utterances(TEXT, false, "en-us", 600).unwrap()
}

async fn speak(voice: &dyn Voice) -> Vec<(Utterance, Spoken)> {
    let mut parts = Vec::new();
    for utterance in said() {
        let spoken = voice.speak(&utterance, 60.0, &Stop::default()).await.unwrap();
        parts.push((utterance, spoken));
    }
    parts
}

#[tokio::test]
async fn espeak_times_every_word() {
    let Some(tools) = support::tools() else { return };
    let voice = Espeak::new(&tools, "en-us", Prosody::default()).unwrap();
    let speech = assemble(&speak(&voice).await);
    assert_eq!(speech.timing, Timing::Events);
    assert_eq!(speech.words.len(), TEXT.split_whitespace().count());
    assert!(
        speech.words.windows(2).all(|w| w[0].start < w[1].start && w[0].end <= w[1].start + 1e-9)
    );
    assert!(speech.words[0].start < 0.1, "{:?}", speech.words[0]);
    let last = speech.words.last().unwrap();
    assert!((speech.sound.seconds() - last.end) < 0.2, "{last:?}");
    let price = speech.words.iter().find(|word| word.word == "$3.50").unwrap();
    assert!(price.end - price.start > 0.6, "a price takes its time: {price:?}");
}

#[tokio::test]
async fn alignment_finds_the_words_of_another_voice() {
    let Some(tools) = support::tools() else { return };
    let slower = Prosody { rate: 0.88, pitch: 1.3, gain: 0.0 };
    let other = Espeak::new(&tools, "en-gb+f3", slower).unwrap();
    let local = Espeak::new(&tools, "en-us", Prosody::default()).unwrap();
    let (mut errors, stop) = (Vec::new(), Stop::default());
    for (utterance, spoken) in speak(&other).await {
        let truth = spoken.starts.clone().unwrap();
        let silent = Spoken { starts: None, ..spoken };
        let found = timed(silent, &utterance, Some(&local), &stop);
        assert_eq!(found.timing, Timing::Aligned);
        errors.extend(found.starts.unwrap().iter().zip(truth).map(|(a, b)| (a - b).abs()));
    }
    let mean = errors.iter().sum::<f64>() / errors.len() as f64;
    errors.sort_by(f64::total_cmp);
    let p95 = errors[errors.len() * 95 / 100];
    println!("mean {:.1} ms, p95 {:.1} ms over {} words", mean * 1e3, p95 * 1e3, errors.len());
    assert!(mean <= 0.025, "mean error {mean} s, p95 {p95} s");
}

#[tokio::test]
async fn flite_is_aligned_and_without_the_helper_letters_must_do() {
    let Some(mut tools) = support::tools() else { return };
    let local = Espeak::new(&tools, "en-us", Prosody::default()).unwrap();
    let flite = Flite::new(&tools, "slt", Prosody::default()).unwrap();
    for (utterance, spoken) in speak(&flite).await {
        let seconds = spoken.sound.seconds();
        let found = timed(spoken, &utterance, Some(&local), &Stop::default());
        assert_eq!(found.timing, Timing::Aligned);
        let starts = found.starts.unwrap();
        assert!(starts.is_sorted() && starts.iter().all(|s| *s < seconds));
    }
    tools.espeak_words.name = "no-such-helper".into();
    let plain = Espeak::new(&tools, "en-us", Prosody::default()).unwrap();
    for (utterance, spoken) in speak(&plain).await {
        assert_eq!(
            timed(spoken, &utterance, Some(&plain), &Stop::default()).timing,
            Timing::Proportional
        );
    }
}

#[tokio::test]
async fn every_form_has_the_same_loudness() {
    let Some(tools) = support::tools() else { return };
    let voice = Espeak::new(&tools, "en-us", Prosody::default()).unwrap();
    let parts = speak(&voice).await;
    let dir = tempfile::tempdir().unwrap();
    for format in [AudioFormat::Wav, AudioFormat::Mp3, AudioFormat::Aac, AudioFormat::Opus] {
        let mut speech = assemble(&parts);
        let (bytes, said) = speech.encode(format, &tools, &Stop::default()).unwrap();
        let file = dir.path().join(format!("a.{}", format.extension()));
        std::fs::write(&file, &bytes).unwrap();
        let (lufs, peak) = support::loudness(&file);
        assert!((lufs + 16.0).abs() <= 0.5, "{format:?}: {lufs} LUFS, we say {said:?}");
        assert!(peak <= -1.0, "{format:?}: {peak} dBTP");
        let again = assemble(&parts).encode(format, &tools, &Stop::default()).unwrap().0;
        assert!(again == bytes, "{format:?}: the same speech is the same file");
    }
}

#[tokio::test]
async fn an_unknown_voice_and_a_missing_program_are_named() {
    let Some(mut tools) = support::tools() else { return };
    let stop = Stop::default();
    let odd = Espeak::new(&tools, "xx-none", Prosody::default()).unwrap();
    let error = odd.speak(&said()[0], 10.0, &stop).await.unwrap_err().to_string();
    assert!(error.contains("xx-none"), "{error}");
    tools.espeak.name = "no-such-espeak".into();
    tools.espeak_words.name = "no-such-helper".into();
    let gone = Espeak::new(&tools, "en-us", Prosody::default()).unwrap();
    let error = gone.speak(&said()[0], 10.0, &stop).await.unwrap_err().to_string();
    assert!(error.contains("apt-get install espeak-ng"), "{error}");
}
