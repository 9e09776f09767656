//! `flotilla schema`: what each kind takes and gives, for producers in any language.

use flotilla_config::Config;
use serde_json::json;

use crate::cli::Schema;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::wire;

pub(super) fn run(args: &Schema, config: &Config) -> Result<Exit, Failure> {
    let registry = wire::kinds_offline(config)?;
    if let Some(kind) = &args.kind {
        let kind = registry.get(kind.as_str())?;
        let (payload, result) = kind.schemas()?;
        let (name, version) = (&kind.kind, kind.version);
        output::json(
            &json!({"kind": name, "version": version, "payload": payload, "result": result}),
        )?;
        return Ok(Exit::Ok);
    }
    if args.json {
        let kinds: Vec<_> = registry
            .kinds()
            .map(|k| json!({"kind": k.kind, "version": k.version, "aliases": k.aliases, "lane": k.policy.lane}))
            .collect();
        output::json(&kinds)?;
    } else {
        let rows = registry
            .kinds()
            .map(|k| {
                let p = &k.policy;
                vec![
                    k.kind.to_string(),
                    k.version.to_string(),
                    p.lane.to_string(),
                    p.max_attempts.to_string(),
                    output::short(p.timeout),
                ]
            })
            .collect();
        output::table(&["KIND", "VERSION", "LANE", "ATTEMPTS", "TIMEOUT"], rows, "no kinds")?;
        output::line("\n`flotilla schema KIND` prints the JSON Schema of its payload and result.")?;
    }
    Ok(Exit::Ok)
}
