//! `flotilla dead edit`: another payload for a dead letter, checked as at an enqueue.

use std::ffi::OsString;
use std::io::Write as _;
use std::process::Command;

use flotilla_config::Config;
use flotilla_core::State;
use flotilla_core::replay::Amended;
use serde_json::{Value, json};

use crate::cli::Dead;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::remote::{Edited, NewPayload, Site, known};
use crate::wire::input;

pub(super) async fn run(command: &Dead, site: &dyn Site, config: &Config) -> Result<Exit, Failure> {
    let Dead::Edit { id, payload, reason, replay, dry_run, json: as_json } = command else {
        return Err(Failure::bug("edit was given another command"));
    };
    let record = known(site, *id).await?;
    if record.state != State::Dead {
        return Err(Failure::usage(format!("{id} is {}, not dead", record.state)));
    }
    let payload: Value = match payload {
        Some(given) => {
            let payload = input::payload(given, config.queue.max_payload)?;
            serde_json::from_slice(payload.bytes())
                .map_err(|e| Failure::usage(format!("the payload is not JSON: {e}")))?
        }
        None => edited(&record.payload)?,
    };
    let (reason, replay, dry_run) = (reason.clone(), *replay, *dry_run);
    let new = NewPayload { payload, reason, replay, dry_run };
    let Edited { changes, lines, answer } = site.edit(&record, &new).await?;
    if *as_json {
        output::json(&json!({"job": id, "changes": changes, "answer": answer}))?;
    } else {
        for line in &lines {
            output::line(line)?;
        }
        if lines.is_empty() {
            output::line("nothing is different")?;
        }
    }
    match answer {
        None => {}
        Some(Amended::Done) if *as_json => {}
        Some(Amended::Done) if replay => {
            output::line(format!("{id} has the new payload and is back in its lane"))?;
        }
        Some(Amended::Done) => output::line(format!(
            "{id} has the new payload and is still dead: `flotilla dead replay {id}`"
        ))?,
        Some(Amended::Refused(why)) => return Err(Failure::usage(why)),
        Some(Amended::NotDead | Amended::Already | Amended::Unknown) => {
            return Err(Failure::usage(format!("{id} is no dead letter any more")));
        }
    }
    Ok(Exit::Ok)
}

/// What a person makes of a payload in their editor.
fn edited(payload: &Value) -> Result<Value, Failure> {
    let set = |name| std::env::var_os(name).filter(|editor: &OsString| !editor.is_empty());
    let Some(editor) = set("VISUAL").or_else(|| set("EDITOR")) else {
        return Err(Failure::usage("give --payload, or set EDITOR"));
    };
    let mut file = tempfile::Builder::new().prefix("payload-").suffix(".json").tempfile()?;
    serde_json::to_writer_pretty(&mut file, payload)?;
    writeln!(file)?;
    file.flush()?;
    // The variable may hold options too, as in `code --wait`: a shell takes it apart.
    let mut command = Command::new("sh");
    command.arg("-c").arg("$FLOTILLA_EDITOR \"$1\"").arg("sh").arg(file.path());
    let ended = command.env("FLOTILLA_EDITOR", &editor).status()?;
    if !ended.success() {
        return Err(Failure::usage(format!("the editor ended with {ended}: nothing was changed")));
    }
    let text = std::fs::read(file.path())?;
    serde_json::from_slice(&text).map_err(|e| {
        Failure::usage(format!("what was saved is not JSON: {e}; nothing was changed"))
    })
}
