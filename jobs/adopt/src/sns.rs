//! SNS over HTTP: the notification and its signature
//! (<https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html>).
//!
//! Anyone can post to an endpoint, so what a stranger says he is does not count: the signature
//! does, made with a key whose certificate Amazon serves over TLS at an address of its own. The
//! caller fetches the certificate from [`Notice::certificate_url`], which is the only address
//! this module lets through, and shows it to [`Notice::verify`]. That the certificate is Amazon's
//! follows from the host it came from, held to by TLS: Amazon serves it without the authorities
//! above it. Beyond that it must be valid now and name SNS, and the notice must not be old.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flotilla_core::Timestamp;
use flotilla_core::clock::after;
use ring::signature::{
    RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, RsaParameters,
    UnparsedPublicKey,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, SignatureVerificationAlgorithm, alg_id,
};
use serde::Deserialize;
use serde_json::Value;
use url::{Host, Url};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// An older notice is not believed.
const OLDEST: Duration = Duration::from_secs(24 * 3600);
/// Nor one from further ahead: clocks differ a little.
const AHEAD: Duration = Duration::from_secs(15 * 60);

/// A message of SNS as it is posted or queued.
#[derive(Clone, Debug, Deserialize)]
pub struct Notice {
    /// `Notification`, `SubscriptionConfirmation` or `UnsubscribeConfirmation`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// The same for every copy.
    #[serde(rename = "MessageId")]
    pub message_id: String,
    /// The topic.
    #[serde(rename = "TopicArn")]
    pub topic_arn: String,
    /// What was published.
    #[serde(rename = "Message")]
    pub message: String,
    /// As text, since its form is part of what is signed.
    #[serde(rename = "Timestamp", default)]
    pub timestamp: String,
    /// Present when the publisher gave one.
    #[serde(rename = "Subject", default)]
    pub subject: Option<String>,
    /// For a confirmation: what SNS wants to see again.
    #[serde(rename = "Token", default)]
    pub token: Option<String>,
    /// For a confirmation: visit it to confirm.
    #[serde(rename = "SubscribeURL", default)]
    pub subscribe_url: Option<String>,
    /// `1` (SHA-1) or `2` (SHA-256).
    #[serde(rename = "SignatureVersion", default)]
    pub signature_version: String,
    /// Base64.
    #[serde(rename = "Signature", default)]
    pub signature: String,
    /// Where the certificate is.
    #[serde(rename = "SigningCertURL", default)]
    pub signing_cert_url: String,
    /// `{name: {Type, Value}}`. Not signed.
    #[serde(rename = "MessageAttributes", default)]
    pub attributes: Option<Value>,
}

/// Why a posted notice is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnsError {
    /// A URL that is not of SNS.
    #[error("{field} is not an https address of sns.<region>.amazonaws.com{rule}")]
    Url {
        /// Which field.
        field: &'static str,
        /// What else would be right.
        rule: &'static str,
    },
    /// A kind or version that is not known.
    #[error("unknown {field}: expected {expected}")]
    Unknown {
        /// Which field.
        field: &'static str,
        /// What would be right.
        expected: &'static str,
    },
    /// The certificate cannot be read.
    #[error("the signing certificate cannot be read: expected an X.509 certificate in PEM form")]
    Certificate,
    /// It is not the certificate of SNS in that region, or not valid now.
    #[error("the signing certificate {0}")]
    NotOfSns(&'static str),
    /// Sent again by somebody who kept it, or from a machine whose clock is off.
    #[error("the notification is from {0}: one is taken within a day; check this machine's clock")]
    Age(String),
    /// The signature is not one of this certificate over this notice.
    #[error("the signature does not hold: the message was changed, or is not of SNS")]
    Signature,
}

impl Notice {
    /// Where to fetch the certificate from.
    ///
    /// # Errors
    /// [`SnsError::Url`] for any address but `https://sns.<region>.amazonaws.com/….pem`.
    pub fn certificate_url(&self) -> Result<Url, SnsError> {
        let error = SnsError::Url { field: "SigningCertURL", rule: " that ends in .pem" };
        let url = of_sns(&self.signing_cert_url).ok_or_else(|| error.clone())?;
        if url.path().ends_with(".pem") && url.query().is_none() { Ok(url) } else { Err(error) }
    }

    /// What to visit to confirm the subscription.
    ///
    /// # Errors
    /// [`SnsError::Url`] for an address that is not of SNS.
    pub fn confirmation_url(&self) -> Result<Url, SnsError> {
        self.subscribe_url
            .as_deref()
            .and_then(of_sns)
            .ok_or(SnsError::Url { field: "SubscribeURL", rule: "" })
    }

    /// Whether the holder of this certificate (PEM) signed this notice, within the last day.
    ///
    /// # Errors
    /// Which part does not hold.
    pub fn verify(&self, pem: &[u8], now: Timestamp) -> Result<(), SnsError> {
        self.is_of_today(now)?;
        let algorithm = match self.signature_version.as_str() {
            "1" => &Pkcs1(&RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY),
            "2" => &Pkcs1(&RSA_PKCS1_2048_8192_SHA256),
            _ => {
                return Err(SnsError::Unknown {
                    field: "SignatureVersion",
                    expected: "\"1\" or \"2\"",
                });
            }
        };
        let der = CertificateDer::from_pem_slice(pem).map_err(|_| SnsError::Certificate)?;
        self.is_theirs(&der, now)?;
        let certificate =
            webpki::EndEntityCert::try_from(&der).map_err(|_| SnsError::Certificate)?;
        let signature = STANDARD.decode(&self.signature).map_err(|_| SnsError::Signature)?;
        certificate
            .verify_signature(algorithm, self.signed()?.as_bytes(), &signature)
            .map_err(|_| SnsError::Signature)
    }

    /// SNS tries for hours to deliver a notice, not for days.
    fn is_of_today(&self, now: Timestamp) -> Result<(), SnsError> {
        let at = self.timestamp.parse::<Timestamp>().ok();
        let fresh = |at: &Timestamp| after(*at, OLDEST) >= now && *at <= after(now, AHEAD);
        match at.filter(fresh) {
            Some(_) => Ok(()),
            None => Err(SnsError::Age(self.timestamp.chars().take(40).collect())),
        }
    }

    /// The certificate is valid now and is that of SNS in the region it was fetched from.
    fn is_theirs(&self, der: &[u8], now: Timestamp) -> Result<(), SnsError> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| SnsError::Certificate)?;
        let (validity, now) = (certificate.validity(), now.as_second());
        if now < validity.not_before.timestamp() || now > validity.not_after.timestamp() {
            return Err(SnsError::NotOfSns("is not valid now: check this machine's clock"));
        }
        let url = self.certificate_url()?;
        let host = url.host_str().unwrap_or_default();
        let theirs = names_of(host);
        let named = names(&certificate);
        if named.iter().any(|name| theirs.iter().any(|their| their == name)) {
            Ok(())
        } else {
            Err(SnsError::NotOfSns("names somebody else than SNS in that region"))
        }
    }

    /// The text that is signed: `name\nvalue\n` in the order of the names.
    fn signed(&self) -> Result<String, SnsError> {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let mut fields =
            vec![("Message", self.message.clone()), ("MessageId", self.message_id.clone())];
        match self.kind.as_str() {
            "Notification" => {
                fields.extend(self.subject.clone().map(|subject| ("Subject", subject)));
                fields.push(("Timestamp", self.timestamp.clone()));
            }
            "SubscriptionConfirmation" | "UnsubscribeConfirmation" => {
                fields.push(("SubscribeURL", text(&self.subscribe_url)));
                fields.push(("Timestamp", self.timestamp.clone()));
                fields.push(("Token", text(&self.token)));
            }
            _ => {
                return Err(SnsError::Unknown {
                    field: "Type",
                    expected: "Notification, SubscriptionConfirmation or UnsubscribeConfirmation",
                });
            }
        }
        fields.push(("TopicArn", self.topic_arn.clone()));
        fields.push(("Type", self.kind.clone()));
        Ok(fields.iter().map(|(name, value)| format!("{name}\n{value}\n")).collect())
    }
}

/// What a certificate is for: its DNS names, or the name of its subject where it has none.
fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    if let Ok(Some(alternative)) = certificate.subject_alternative_name() {
        let dns = alternative.value.general_names.iter().filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        });
        return dns.collect();
    }
    let common = certificate.subject().iter_common_name();
    common.filter_map(|name| name.as_str().ok().map(str::to_owned)).collect()
}

/// The names under which SNS signs, for a host `sns.<region>.…` of its own: one for most regions,
/// `sns-signing.<region>` for those that have to be opted into, `sns-<region>` in China and for the
/// government (as `sns-message-manager` of the AWS SDK for Java 2 has them).
fn names_of(host: &str) -> Vec<String> {
    let rest = host.strip_prefix("sns.").unwrap_or_default();
    vec![
        "sns.amazonaws.com".to_owned(),
        host.to_owned(),
        format!("sns-signing.{rest}"),
        format!("sns-{rest}"),
        if rest.starts_with("us-gov-") { "sns-us-gov-west-1.amazonaws.com" } else { host }
            .to_owned(),
    ]
}

/// An `https` address of `sns.<region>.amazonaws.com` (in China `….amazonaws.com.cn`), and no
/// name that only begins or ends like one.
fn of_sns(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let Some(Host::Domain(host)) = url.host() else { return None };
    let region = host.strip_prefix("sns.").and_then(|rest| {
        let china = rest.strip_suffix(".amazonaws.com.cn").filter(|r| r.starts_with("cn-"));
        china.or_else(|| rest.strip_suffix(".amazonaws.com"))
    })?;
    let plain = region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let bare = url.username().is_empty() && url.password().is_none() && url.port().is_none();
    (url.scheme() == "https" && plain && !region.is_empty() && bare).then_some(url)
}

/// RSA with PKCS #1 v1.5 padding. Both versions of the signature use it, with different digests;
/// the library of certificates does not offer SHA-1, which SNS still sends by default.
#[derive(Debug)]
struct Pkcs1(&'static RsaParameters);

impl SignatureVerificationAlgorithm for Pkcs1 {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        UnparsedPublicKey::new(self.0, public_key)
            .verify(message, signature)
            .map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::RSA_ENCRYPTION
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::RSA_PKCS1_SHA256 // only asked for while chains are checked, which is not done here
    }
}

#[cfg(test)]
mod tests;
