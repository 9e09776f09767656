//! Signatures made by openssl, an implementation that is not ours; the key was thrown away.

use super::*;

const PEM: &[u8] = include_bytes!("../../tests/fixtures/certificate.pem");
const V1: &str = include_str!("../../tests/fixtures/notification-v1.json");
const V2: &str = include_str!("../../tests/fixtures/notification-v2.json");
const CONFIRMATION: &str = include_str!("../../tests/fixtures/confirmation-v2.json");

fn notice(json: &str) -> Notice {
    serde_json::from_str(json).expect("the fixture is a notice")
}

#[test]
fn both_versions_and_both_sorts_hold() {
    for fixture in [V1, V2, CONFIRMATION] {
        assert_eq!(notice(fixture).verify(PEM), Ok(()));
    }
}

#[test]
fn every_signed_field_is_signed() {
    let changes: [fn(&mut Notice); 5] = [
        |n| n.message.push(' '),
        |n| n.message_id.push('0'),
        |n| n.topic_arn.push('0'),
        |n| n.timestamp.push('0'),
        |n| n.signature_version = if n.signature_version == "1" { "2" } else { "1" }.into(),
    ];
    for fixture in [V1, V2, CONFIRMATION] {
        for change in changes {
            let mut changed = notice(fixture);
            change(&mut changed);
            assert_eq!(changed.verify(PEM), Err(SnsError::Signature));
        }
    }
    let mut other = notice(V1);
    other.subject = None;
    assert_eq!(other.verify(PEM), Err(SnsError::Signature));
    let mut other = notice(CONFIRMATION);
    other.subscribe_url = Some("https://sns.eu-central-1.amazonaws.com/".into());
    assert_eq!(other.verify(PEM), Err(SnsError::Signature));
}

#[test]
fn what_is_no_certificate_or_version_is_said_so() {
    assert_eq!(notice(V2).verify(b"nothing"), Err(SnsError::Certificate));
    let mut odd = notice(V2);
    odd.signature_version = "3".into();
    assert!(matches!(odd.verify(PEM), Err(SnsError::Unknown { field: "SignatureVersion", .. })));
    odd.signature_version = "2".into();
    odd.kind = "Other".into();
    assert!(matches!(odd.verify(PEM), Err(SnsError::Unknown { field: "Type", .. })));
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
