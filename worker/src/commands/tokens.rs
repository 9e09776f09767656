//! `flotilla tokens`: who may use the API and the console.

use flotilla_admin::auth::NewToken;
use flotilla_core::Tenant;
use serde_json::json;

use crate::cli::Tokens;
use crate::exit::{Exit, Failure};
use crate::output;

pub(super) fn run(command: &Tokens) -> Result<Exit, Failure> {
    let Tokens::New { name, role, tenants, json } = command;
    let NewToken { token, hash } = NewToken::make().map_err(Failure::unavailable)?;
    if *json {
        let hash = hash.to_string();
        output::json(
            &json!({"token": token, "name": name, "role": role, "tenants": tenants, "hash": hash}),
        )?;
        return Ok(Exit::Ok);
    }
    output::line("The token, shown this once; its owner keeps it:")?;
    output::line(format!("\n    {token}\n"))?;
    output::line("Add to the configuration file of every worker, and start them again:")?;
    output::line(format!("\n[[token]]\nname = \"{name}\"\nrole = \"{role}\""))?;
    if !tenants.is_empty() {
        let list: Vec<String> =
            tenants.iter().map(|tenant: &Tenant| format!("\"{tenant}\"")).collect();
        output::line(format!("tenants = [{}]", list.join(", ")))?;
    }
    output::line(format!("hash = \"{hash}\""))?;
    Ok(Exit::Ok)
}
