//! Signatures made by openssl, an implementation that is not ours; the key was thrown away.

use super::*;

const PEM: &[u8] = include_bytes!("../../tests/fixtures/certificate.pem");
const V1: &str = include_str!("../../tests/fixtures/notification-v1.json");
const V2: &str = include_str!("../../tests/fixtures/notification-v2.json");
const CONFIRMATION: &str = include_str!("../../tests/fixtures/confirmation-v2.json");

const ANOTHER: &[u8] = include_bytes!("../../tests/fixtures/certificate-of-another.pem");

fn now() -> Timestamp {
    "2026-01-01T00:05:00Z".parse().expect("an instant")
}

fn notice(json: &str) -> Notice {
    serde_json::from_str(json).expect("the fixture is a notice")
}

#[test]
fn both_versions_and_both_sorts_hold() {
    for fixture in [V1, V2, CONFIRMATION] {
        assert_eq!(notice(fixture).verify(PEM, now()), Ok(()));
    }
}

#[test]
fn every_signed_field_is_signed() {
    let changes: [fn(&mut Notice); 5] = [
        |n| n.message.push(' '),
        |n| n.message_id.push('0'),
        |n| n.topic_arn.push('0'),
        |n| n.timestamp = "2026-01-01T00:00:01.000Z".into(),
        |n| n.signature_version = if n.signature_version == "1" { "2" } else { "1" }.into(),
    ];
    for fixture in [V1, V2, CONFIRMATION] {
        for change in changes {
            let mut changed = notice(fixture);
            change(&mut changed);
            assert_eq!(changed.verify(PEM, now()), Err(SnsError::Signature));
        }
    }
    let mut other = notice(V1);
    other.subject = None;
    assert_eq!(other.verify(PEM, now()), Err(SnsError::Signature));
    let mut other = notice(CONFIRMATION);
    other.subscribe_url = Some("https://sns.eu-central-1.amazonaws.com/".into());
    assert_eq!(other.verify(PEM, now()), Err(SnsError::Signature));
}

#[test]
fn what_is_no_certificate_or_version_is_said_so() {
    assert_eq!(notice(V2).verify(b"nothing", now()), Err(SnsError::Certificate));
    let mut odd = notice(V2);
    odd.signature_version = "3".into();
    assert!(matches!(
        odd.verify(PEM, now()),
        Err(SnsError::Unknown { field: "SignatureVersion", .. })
    ));
    odd.signature_version = "2".into();
    odd.kind = "Other".into();
    assert!(matches!(odd.verify(PEM, now()), Err(SnsError::Unknown { field: "Type", .. })));
}

#[test]
fn only_addresses_of_sns_are_visited() {
    let mut it = notice(CONFIRMATION);
    assert!(it.certificate_url().is_ok() && it.confirmation_url().is_ok());
    it.signing_cert_url = "https://sns.cn-north-1.amazonaws.com.cn/a.pem".into();
    assert!(it.certificate_url().is_ok());
    for bad in [
        "http://sns.eu-central-1.amazonaws.com/a.pem",
        "https://sns.eu-central-1.amazonaws.com/a.pem?x=1",
        "https://sns.eu-central-1.amazonaws.com/a",
        "https://sns.eu-central-1.amazonaws.com:8443/a.pem",
        "https://sns.eu-central-1.amazonaws.com.evil.example/a.pem",
        "https://evil.example/sns.eu-central-1.amazonaws.com/a.pem",
        "https://sns.x.evil.amazonaws.com/a.pem",
        "https://sns..amazonaws.com/a.pem",
        "https://evilsns.eu-central-1.amazonaws.com/a.pem",
        "https://user@sns.eu-central-1.amazonaws.com/a.pem",
        "https://sns.eu-central-1.amazonaws.com.cn/a.pem",
        "https://169.254.169.254/a.pem",
        "",
    ] {
        it.signing_cert_url = bad.into();
        assert!(it.certificate_url().is_err(), "{bad}");
    }
    it.subscribe_url = Some("https://evil.example/?Action=ConfirmSubscription".into());
    assert!(it.confirmation_url().is_err());
}

#[test]
fn a_certificate_is_valid_now_and_names_sns_in_the_region() {
    let late = "2028-01-01T00:00:00Z".parse().expect("an instant");
    let mut it = notice(V2);
    it.timestamp = "2028-01-01T00:00:00Z".into();
    assert!(matches!(it.verify(PEM, late), Err(SnsError::NotOfSns(why)) if why.contains("now")));
    let other = notice(V2).verify(ANOTHER, now());
    assert!(matches!(other, Err(SnsError::NotOfSns(why)) if why.contains("somebody else")));
    let names = |host: &str| names_of(host).join(" ");
    assert!(names("sns.af-south-1.amazonaws.com").contains("sns-signing.af-south-1.amazonaws.com"));
    assert!(names("sns.us-gov-east-1.amazonaws.com").contains("sns-us-gov-west-1.amazonaws.com"));
    let china = names("sns.cn-north-1.amazonaws.com.cn");
    assert!(china.contains("sns-cn-north-1.amazonaws.com.cn"), "{china}");
}

#[test]
fn an_old_notice_or_one_from_tomorrow_is_not_believed() {
    for at in ["2026-01-02T00:06:00Z", "2025-12-31T23:00:00Z"] {
        let refused = notice(V2).verify(PEM, at.parse().expect("an instant"));
        assert!(matches!(refused, Err(SnsError::Age(_))), "{refused:?}");
    }
    let mut undated = notice(V2);
    undated.timestamp = "yesterday".into();
    assert!(matches!(undated.verify(PEM, now()), Err(SnsError::Age(_))));
}
