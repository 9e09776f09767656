//! Signatures as Standard Webhooks describes them (<https://www.standardwebhooks.com/>): over id,
//! time and body of a request.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

/// Bytes of a secret that the specification allows.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// A secret that is not `whsec_` and base64 of 24 to 64 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a webhook wants one or two secrets, each whsec_ and the base64 of 24 to 64 random bytes")]
pub struct BadSecret;

/// One or two secrets that sign.
pub struct Signer(Vec<hmac::Key>);

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({} secrets)", self.0.len())
    }
}

impl Signer {
    /// With two secrets, during a rotation, each request is signed by both.
    ///
    /// # Errors
    /// [`BadSecret`]; it does not show the secret.
    pub fn new<S: AsRef<str>>(secrets: &[S]) -> Result<Self, BadSecret> {
        let keys: Vec<_> =
            secrets.iter().map(|text| key(text.as_ref())).collect::<Result<_, _>>()?;
        if keys.is_empty() || keys.len() > 2 { Err(BadSecret) } else { Ok(Self(keys)) }
    }

    /// The three headers of a request: `webhook-id`, `webhook-timestamp`, `webhook-signature`.
    #[must_use]
    pub fn headers(&self, id: &str, seconds: i64, body: &[u8]) -> [(&'static str, String); 3] {
        [
            ("webhook-id", id.to_owned()),
            ("webhook-timestamp", seconds.to_string()),
            ("webhook-signature", self.signature(id, seconds, body)),
        ]
    }

    /// `v1,<base64>` per secret, joined by spaces.
    fn signature(&self, id: &str, seconds: i64, body: &[u8]) -> String {
        let signed = [format!("{id}.{seconds}.").as_bytes(), body].concat();
        let sign =
            |key: &hmac::Key| format!("v1,{}", STANDARD.encode(hmac::sign(key, &signed).as_ref()));
        self.0.iter().map(sign).collect::<Vec<_>>().join(" ")
    }
}

fn key(text: &str) -> Result<hmac::Key, BadSecret> {
    let bytes = text.trim().strip_prefix("whsec_").and_then(|rest| STANDARD.decode(rest).ok());
    let bytes = bytes.filter(|bytes| SECRET_BYTES.contains(&bytes.len())).ok_or(BadSecret)?;
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const SECOND: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    #[test]
    fn signatures_are_those_of_another_implementation() {
        // Made with the Python package standardwebhooks 1.0.
        let both = Signer::new(&[FIRST, SECOND]).unwrap();
        let [id, time, signature] =
            both.headers("msg_p5jXN8AQM9LWM0D4loKWxqek", 1_614_265_330, b"{\"test\": 2432232314}");
        assert_eq!(
            (id.1.as_str(), time.1.as_str()),
            ("msg_p5jXN8AQM9LWM0D4loKWxqek", "1614265330")
        );
        assert_eq!(
            signature.1,
            "v1,xCtTfnX1ekVeCiK8QrdouZST7BholJesLMjSU4mN3Xw= v1,NppkHesqbQ7aOFM9ylhd00tTsRBExcBjRoHNCDWUI5Q="
        );
    }

    #[test]
    fn secrets_are_checked_and_never_shown() {
        for bad in ["", "whsec_", "whsec_abc", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AAAA"] {
            assert_eq!(Signer::new(&[bad]).err(), Some(BadSecret), "{bad}");
        }
        assert!(Signer::new::<&str>(&[]).is_err());
        assert!(Signer::new(&[FIRST, SECOND, FIRST]).is_err());
        assert_eq!(format!("{:?}", Signer::new(&[FIRST]).unwrap()), "Signer(1 secrets)");
    }
}
