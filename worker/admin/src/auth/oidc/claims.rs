//! What an ID token says, and who somebody is here by it.

use flotilla_core::{Tenant, Timestamp};
use serde_json::Value;

use super::OidcSettings;
use crate::auth::session::Person;
use crate::auth::{Refused, Role, Tenants};

/// Clocks of the provider and of this machine may differ so much, in seconds.
const SKEW: i64 = 60;
/// Longest name, in characters.
const MAX_NAME: usize = 100;

/// From claims to roles and tenants.
#[derive(Clone, Debug, Default)]
pub struct RoleMap {
    /// The claim whose values say the role, as in `groups`.
    pub claim: String,
    /// Its values and the roles they give; the strongest counts.
    pub values: Vec<(String, Role)>,
    /// The claim that lists the tenants somebody is held to; empty: all tenants.
    pub tenants: String,
}

/// Checks the token and says who it is of.
///
/// # Errors
/// `Provider`: it is none of ours. `Forbidden`: somebody without a role here.
pub(super) fn person(
    claims: &Value,
    settings: &OidcSettings,
    nonce: &str,
    now: Timestamp,
) -> Result<Person, Refused> {
    let wrong = |what: &str| Refused::Provider(format!("its ID token is {what}"));
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let issuer = text("iss").unwrap_or_default();
    if issuer.trim_end_matches('/') != settings.issuer.trim_end_matches('/') {
        return Err(wrong("of another issuer"));
    }
    let audience = list(claims.get("aud"));
    let ours = audience.iter().any(|one| *one == settings.client_id);
    let party = text("azp").is_none_or(|azp| azp == settings.client_id);
    if !ours || !party || (audience.len() > 1 && text("azp").is_none()) {
        return Err(wrong("for somebody else"));
    }
    let until = claims.get("exp").and_then(Value::as_i64).unwrap_or_default();
    if until.saturating_add(SKEW) < now.as_second() {
        return Err(wrong("out of date"));
    }
    if text("nonce") != Some(nonce) {
        return Err(wrong("of another login"));
    }
    let subject = text("sub").filter(|sub| !sub.is_empty()).ok_or_else(|| wrong("of nobody"))?;
    let name = text("preferred_username").or_else(|| text("email")).unwrap_or(subject);
    let name: String = name.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect();
    let map = &settings.roles;
    let given = list(claims.get(map.claim.as_str()));
    let roles = map.values.iter().filter(|(value, _)| given.contains(&value.as_str()));
    let role = roles.map(|(_, role)| *role).max();
    let role = role.ok_or_else(|| {
        Refused::Forbidden(format!(
            "{name} has no role here: an admin maps one of the groups to it"
        ))
    })?;
    Ok(Person {
        issuer: String::new(),
        name: format!("sso/{name}"),
        role,
        tenants: tenants(claims, map)?,
    })
}

fn tenants(claims: &Value, map: &RoleMap) -> Result<Tenants, Refused> {
    if map.tenants.is_empty() {
        return Ok(Tenants::All);
    }
    let given = list(claims.get(map.tenants.as_str()));
    let known: Vec<Tenant> = given.iter().filter_map(|name| name.parse().ok()).collect();
    // None must not mean all.
    if known.is_empty() {
        return Err(Refused::Forbidden("the provider names no tenant for you".to_owned()));
    }
    Ok(Tenants::of(known))
}

/// A text, or a list of texts.
fn list(value: Option<&Value>) -> Vec<&str> {
    match value {
        Some(Value::String(one)) => vec![one.as_str()],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}
