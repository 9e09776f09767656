//! `flotilla top`: the overview in a terminal: what needs somebody first, then lanes, workers, what
//! is held back, dead letters.

mod app;
mod tables;
mod view;

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flotilla_config::Config;
use flotilla_core::Lane;
use flotilla_core::replay::Selection;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Fuse, FusedFuture as _};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{self, Event};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::cli::Top;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::remote::{Site, Target};
use app::{App, Look, Wish};

/// Looks at the fleet between two looks at the groups of dead letters, which cost more.
const GROUPS_EVERY: u64 = 5;
/// The shortest pause between two looks.
const SHORTEST: Duration = Duration::from_millis(250);
/// How soon the thread that waits for keys sees that it is over.
const KEYS: Duration = Duration::from_millis(100);
/// Columns of a frame that is printed, where nobody says how many there are.
const COLUMNS: u16 = 110;

pub(super) async fn run(args: &Top, config: &Config, target: &Target) -> Result<Exit, Failure> {
    let site = target.open(config).await?;
    let mut app = App::new(std::env::var_os("NO_COLOR").is_none());
    let result = if args.once || !io::stdout().is_terminal() {
        once(&*site, app).await
    } else {
        live(&*site, &mut app, args.every.max(SHORTEST)).await
    };
    site.close().await;
    result
}

async fn look(site: &dyn Site, groups: bool) -> Result<Look, Failure> {
    let glance = site.glance().await?;
    let groups = match groups && glance.dead.total > 0 {
        true => Some(site.groups(&Selection::default()).await?.groups),
        false => None,
    };
    Ok(Look { glance, groups })
}

/// One frame, as high as all there is, as text.
async fn once(site: &dyn Site, mut app: App) -> Result<Exit, Failure> {
    app.take(Ok(look(site, true).await?));
    let columns = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    let width = columns.unwrap_or(COLUMNS).clamp(40, 400);
    for line in frame(&app, width, view::height(&app))? {
        output::line(line)?;
    }
    Ok(Exit::Ok)
}

/// The lines of a frame of this size.
fn frame(app: &App, width: u16, height: u16) -> Result<Vec<String>, Failure> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).map_err(Failure::bug)?;
    terminal.draw(|frame| view::draw(frame, app)).map_err(Failure::bug)?;
    let cells = terminal.backend().buffer().content();
    let line = |cells: &[ratatui::buffer::Cell]| {
        let text: String = cells.iter().map(ratatui::buffer::Cell::symbol).collect();
        text.trim_end().to_owned()
    };
    Ok(cells.chunks(usize::from(width)).map(line).collect())
}

async fn live(site: &dyn Site, app: &mut App, every: Duration) -> Result<Exit, Failure> {
    // From here on a panic, too, gives the terminal back as it was.
    let mut terminal = ratatui::try_init()?;
    let result = follow(site, app, every, &mut terminal).await;
    ratatui::restore();
    result
}

async fn follow(
    site: &dyn Site,
    app: &mut App,
    every: Duration,
    terminal: &mut ratatui::DefaultTerminal,
) -> Result<Exit, Failure> {
    let (mut term, mut hup) = (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (mut keys, _waiting) = keys();
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut looking: Fuse<BoxFuture<'_, Result<Look, Failure>>> = Fuse::terminated();
    for turn in 0_u64.. {
        terminal.draw(|frame| view::draw(frame, app))?;
        tokio::select! {
            seen = &mut looking, if !looking.is_terminated() => app.take(seen),
            event = keys.recv() => {
                let Some(event) = event else { break };
                match app.event(&event) {
                    Wish::Nothing => {}
                    Wish::Quit => break,
                    Wish::Turn { lane, pause } => {
                        app.said(act(site, &lane, pause).await);
                        looking = look(site, false).boxed().fuse();
                    }
                }
            }
            _ = ticks.tick(), if looking.is_terminated() => {
                looking = look(site, turn == 0 || app.looks().is_multiple_of(GROUPS_EVERY)).boxed().fuse();
            }
            _ = term.recv() => break,
            _ = hup.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    Ok(Exit::Ok)
}

async fn act(site: &dyn Site, lane: &Lane, pause: bool) -> Result<String, Failure> {
    if pause {
        site.pause(lane, "paused by hand, in flotilla top").await?;
        return Ok(format!("paused {lane}: p gives its jobs out again"));
    }
    let was = site.resume(lane).await?;
    Ok(if was { format!("resumed {lane}") } else { format!("{lane} was not paused") })
}

/// Ends the thread that waits for keys once it is dropped.
struct Waiting(Arc<AtomicBool>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Keys and changes of size, from a thread of their own: waiting for them blocks.
fn keys() -> (mpsc::Receiver<Event>, Waiting) {
    let (to, from) = mpsc::channel(64);
    let over = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&over);
    std::thread::spawn(move || {
        while !seen.load(Ordering::Relaxed) {
            let next = event::poll(KEYS).and_then(|there| there.then(event::read).transpose());
            // The terminal may be gone, or nobody may listen any more.
            let Ok(next) = next else { break };
            if next.is_some_and(|event| to.blocking_send(event).is_err()) {
                break;
            }
        }
    });
    (from, Waiting(over))
}

#[cfg(test)]
mod tests;
