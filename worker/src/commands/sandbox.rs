//! `flotilla sandbox`: a rehearsal stage for posts, tokens and drafts.

use std::sync::Arc;

use flotilla_core::SeededRng;
use flotilla_sandbox::{Rules, Settings};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::Sandbox;
use crate::exit::{Exit, Failure};
use crate::output;

/// Serves until it is told to end.
pub(crate) async fn run(args: Sandbox) -> Result<Exit, Failure> {
    let faults = match &args.faults {
        Some(file) => {
            let text = std::fs::read_to_string(file)
                .map_err(|e| Failure::usage(format!("{} cannot be read: {e}", file.display())))?;
            Rules::parse(&text).map_err(Failure::usage)?.rules
        }
        None => Vec::new(),
    };
    let settings = Settings {
        rng: Arc::new(SeededRng::new(args.seed)),
        latency: args.latency,
        faults,
        ..Settings::default()
    };
    let started = if args.anywhere {
        flotilla_sandbox::Sandbox::start_anywhere(args.listen, settings).await
    } else {
        flotilla_sandbox::Sandbox::start(args.listen, settings).await
    };
    let sandbox = started.map_err(|e| {
        Failure::unavailable(format!("the sandbox cannot listen on {}: {e}", args.listen))
    })?;
    let base = sandbox.base_url();
    output::line(format!("the sandbox is at {base}"))?;
    output::line(format!(
        "an account:   curl {base}/_sandbox/accounts -d '{{\"platform\":\"x\"}}'"
    ))?;
    output::line(format!("what came in: curl {base}/_sandbox/posts"))?;
    let mut term = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
    }
    let counts = sandbox.counts();
    output::line(format!(
        "{} calls, {} posts, {} published twice, {} calls beyond a quota",
        counts.calls,
        counts.posts,
        counts.duplicates,
        counts.overshoots.iter().map(|over| over.calls).sum::<u64>()
    ))?;
    Ok(Exit::Ok)
}
