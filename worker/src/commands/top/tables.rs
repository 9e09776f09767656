//! The panels of `flotilla top`.

use flotilla_console::{LaneGlance, Level};
use flotilla_core::Timestamp;
use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::widgets::{Block, Cell, Paragraph, Row, Table, TableState};

use super::app::{App, Panel};
use crate::output::{relative, short};

/// What a panel is called, with how much there is.
pub(super) fn title(app: &App, panel: Panel) -> String {
    match panel {
        Panel::Attention => format!("Needs somebody ({})", app.attention().len()),
        Panel::Lanes => format!("Lanes ({})", app.lanes().len()),
        Panel::Workers => format!("Workers ({})", app.workers().len()),
        Panel::Held => format!("Limits and breakers that hold jobs back ({})", app.held().len()),
        Panel::Dead => format!("Dead letters by what went wrong ({})", app.groups().len()),
    }
}

/// `21:04:09`, in UTC.
pub(super) fn clock(at: Timestamp) -> String {
    let text = at.to_string();
    text.split_once('T').map_or(text.clone(), |(_, time)| time.chars().take(8).collect())
}

/// A panel with its rows.
pub(super) fn draw(frame: &mut Frame<'_>, app: &App, panel: Panel, block: Block<'_>, area: Rect) {
    let Some(now) = app.glance.as_ref().map(|glance| glance.at) else {
        return frame.render_widget(block, area);
    };
    let (heading, widths, rows, empty) = match panel {
        Panel::Attention => attention(app),
        Panel::Lanes => lanes(app),
        Panel::Workers => workers(app, now),
        Panel::Held => held(app),
        Panel::Dead => dead(app, now),
    };
    if rows.is_empty() {
        return frame.render_widget(Paragraph::new(empty).block(block), area);
    }
    let mut table = Table::new(rows, widths).block(block).column_spacing(2);
    if !heading.is_empty() {
        let bold = Style::new().add_modifier(Modifier::DIM);
        table = table.header(Row::new(heading.iter().copied()).style(bold));
    }
    let chosen = (app.panel == panel).then_some(app.row);
    table = table.row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut state = TableState::default().with_selected(chosen);
    frame.render_stateful_widget(table, area, &mut state);
}

type Parts<'a> = (&'static [&'static str], Vec<Constraint>, Vec<Row<'a>>, &'static str);

fn coloured(app: &App, colour: Color) -> Style {
    if app.colour { Style::new().fg(colour) } else { Style::new() }
}

fn attention(app: &App) -> Parts<'_> {
    let row = |it: &flotilla_console::Attention| {
        let (mark, colour) = match it.level {
            Level::Bad => ("!!", Color::Red),
            Level::Warn => ("! ", Color::Yellow),
            Level::Note => ("i ", Color::Cyan),
            Level::Good => ("ok", Color::Green),
        };
        let cells = [mark.to_owned(), it.what.clone(), format!("{}: {}", it.mend, it.detail)];
        Row::new(cells.map(Cell::from)).style(coloured(app, colour))
    };
    let widths = vec![Constraint::Length(2), Constraint::Fill(1), Constraint::Fill(1)];
    (&[], widths, app.attention().into_iter().map(row).collect(), "ok  nothing needs anybody")
}

fn lanes(app: &App) -> Parts<'_> {
    let row = |it: &LaneGlance| {
        let rate = app.rates.get(&it.lane).copied().or_else(|| {
            it.drain.filter(|seconds| *seconds > 0.0).map(|seconds| it.runnable as f64 / seconds)
        });
        let drain = match it.drain {
            Some(_) if it.runnable == 0 => "–".to_owned(),
            Some(seconds) => short(std::time::Duration::from_secs_f64(seconds.clamp(0.0, 1e9))),
            None if it.runnable == 0 => "–".to_owned(),
            None => "?".to_owned(),
        };
        let note = match &it.paused {
            Some(pause) => format!("paused by {}: {}", pause.by, pause.reason),
            None if it.workers == 0 && it.runnable > 0 => "no worker serves it".to_owned(),
            None => String::new(),
        };
        let colour = match (&it.paused, it.workers) {
            (Some(_), _) => Color::Yellow,
            (None, 0) if it.runnable > 0 => Color::Red,
            _ => Color::Reset,
        };
        let cells = [
            it.lane.to_string(),
            it.running.to_string(),
            it.runnable.to_string(),
            it.blocked.to_string(),
            it.scheduled.to_string(),
            it.dead.to_string(),
            rate.map_or_else(|| "–".to_owned(), |rate| format!("{rate:.1}/s")),
            drain,
            format!("{}/{}", it.workers, it.wanted),
            note,
        ];
        Row::new(cells.map(Cell::from)).style(coloured(app, colour))
    };
    let heading: &[&str] = &[
        "LANE",
        "RUNNING",
        "RUNNABLE",
        "BLOCKED",
        "SCHEDULED",
        "DEAD",
        "RATE",
        "DRAIN",
        "HAS/WANTS",
        "",
    ];
    // As wide as its names: the rest is for what holds a lane up.
    let longest = app.lanes().iter().map(|it| it.lane.as_str().len()).max().unwrap_or(0);
    let name = u16::try_from(longest.clamp(4, 24)).unwrap_or(24);
    let widths = [name, 7, 8, 7, 9, 5, 7, 6, 9].map(Constraint::Length);
    let widths = widths.into_iter().chain([Constraint::Fill(1)]).collect();
    (heading, widths, app.lanes().into_iter().map(row).collect(), "no lane has a job")
}

fn workers(app: &App, now: Timestamp) -> Parts<'_> {
    let row = |it: &flotilla_core::fleet::WorkerInfo| {
        let lanes: Vec<&str> = it.lanes.iter().map(|lane| lane.as_str()).collect();
        let cells = [
            it.id.to_string(),
            format!("{}/{}", it.running, it.concurrency),
            if it.draining { "draining" } else { "working" }.to_owned(),
            it.version.clone(),
            relative(it.seen_at, now),
            lanes.join(","),
        ];
        let colour = if it.draining { Color::Yellow } else { Color::Reset };
        Row::new(cells.map(Cell::from)).style(coloured(app, colour))
    };
    let widths = [9, 9, 9, 10].map(Constraint::Length);
    let widths =
        [Constraint::Min(20)].into_iter().chain(widths).chain([Constraint::Fill(1)]).collect();
    let heading: &[&str] = &["WORKER", "RUNNING", "STATE", "VERSION", "SEEN", "LANES"];
    (heading, widths, app.workers().into_iter().map(row).collect(), "no worker is there")
}

fn held(app: &App) -> Parts<'_> {
    let row = |(key, how, strong): (String, String, bool)| {
        let colour = if strong { Color::Yellow } else { Color::Reset };
        Row::new([Cell::from(key), Cell::from(how)]).style(coloured(app, colour))
    };
    let widths = vec![Constraint::Percentage(35), Constraint::Fill(1)];
    (&[], widths, app.held().into_iter().map(row).collect(), "nothing is held back")
}

fn dead(app: &App, now: Timestamp) -> Parts<'_> {
    let row = |it: &flotilla_core::replay::Group| {
        let class = it.class.map_or_else(String::new, |class| class.to_string());
        let cells = [
            it.count.to_string(),
            it.kind.to_string(),
            class,
            relative(it.last, now),
            it.fingerprint.to_string(),
            it.message.clone(),
        ];
        Row::new(cells.map(Cell::from))
    };
    let widths = [8, 20, 15, 9, 12].map(Constraint::Length);
    let widths = widths.into_iter().chain([Constraint::Fill(1)]).collect();
    let heading: &[&str] = &["COUNT", "KIND", "CLASS", "LAST", "GROUP", "ERROR"];
    (heading, widths, app.groups().into_iter().map(row).collect(), "no dead letters")
}
