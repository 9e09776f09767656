//! How `flotilla top` looks: what needs somebody first. Nothing is said by colour alone.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Clear, Paragraph};

use super::app::{App, Mode, Panel};
use super::tables;

const HELP: [&str; 11] = [
    "q, Esc, Ctrl-C   end",
    "Tab, ← →         the next panel",
    "↑ ↓, j k         the next row",
    "p                pause the chosen lane, or resume it (asks first)",
    "/                show only what contains a text; Esc shows all",
    "?                this help",
    "",
    "runnable: could run now; blocked: waits for a key or behind a pause;",
    "scheduled: waits for its moment. Drain: until what is runnable has run,",
    "at the present rate. Wants: workers that would begin all of it within",
    "a minute.                                    any key closes this",
];

/// Lines that show all there is.
pub(super) fn height(app: &App) -> u16 {
    let panels: u16 = Panel::ALL.into_iter().map(|panel| wanted(app, panel)).sum();
    panels + 2
}

/// Lines of a panel that shows all its rows: a frame, a heading, the rows.
fn wanted(app: &App, panel: Panel) -> u16 {
    let rows = match panel {
        Panel::Attention => app.attention().len().max(1),
        Panel::Lanes => app.lanes().len().max(1) + 1,
        Panel::Workers => app.workers().len().max(1) + 1,
        Panel::Held => app.held().len().max(1),
        Panel::Dead => app.groups().len().max(1) + 1,
    };
    u16::try_from(rows).unwrap_or(u16::MAX / 8).min(u16::MAX / 8) + 2
}

/// The whole screen.
pub(super) fn draw(frame: &mut Frame<'_>, app: &App) {
    let [head, body, foot] =
        Layout::vertical([Constraint::Length(1), Constraint::Fill(1), Constraint::Length(1)])
            .areas(frame.area());
    frame.render_widget(Paragraph::new(title(app)), head);
    for (panel, area) in Panel::ALL.into_iter().zip(places(app, body)) {
        if area.height > 0 {
            let title = format!(" {} ", tables::title(app, panel));
            let style = if app.panel == panel && app.glance.is_some() {
                Style::new().add_modifier(Modifier::BOLD)
            } else {
                Style::new()
            };
            let block = Block::new().borders(Borders::TOP | Borders::BOTTOM).title(title);
            tables::draw(frame, app, panel, block.border_style(style).title_style(style), area);
        }
    }
    frame.render_widget(Paragraph::new(bottom(app)), foot);
    match &app.mode {
        Mode::Help => popup(frame, "Keys", &HELP.map(str::to_owned)),
        Mode::Sure { lane, pause } => {
            let does = match pause {
                true => {
                    format!("Pause lane {lane}? Its running jobs go on; no other is given out.")
                }
                false => format!("Resume lane {lane}? Its jobs are given out again."),
            };
            popup(frame, "Sure?", &[does, String::new(), "y yes   n no".to_owned()]);
        }
        Mode::Browse | Mode::Filter => {}
    }
}

/// Every panel gets what it wants where there is room; else a few lines each, the first ones more.
fn places(app: &App, area: Rect) -> [Rect; 5] {
    const LEAST: u16 = 3;
    let wants = Panel::ALL.map(|panel| wanted(app, panel));
    let mut got = [0_u16; 5];
    let mut left = area.height;
    for (got, want) in got.iter_mut().zip(wants) {
        *got = want.min(LEAST).min(left);
        left -= *got;
    }
    while left > 0 {
        let before = left;
        for (got, want) in got.iter_mut().zip(wants) {
            if *got < want && left > 0 {
                *got += 1;
                left -= 1;
            }
        }
        if before == left {
            break;
        }
    }
    let mut y = area.y;
    got.map(|height| {
        let place = Rect { y, height, ..area };
        y += height;
        place
    })
}

fn title(app: &App) -> Line<'static> {
    let Some(glance) = &app.glance else {
        return Line::from("flotilla: looking at the fleet …");
    };
    let sum =
        |of: fn(&flotilla_console::LaneGlance) -> u64| -> u64 { glance.lanes.iter().map(of).sum() };
    let slots: usize = glance.workers.iter().map(|worker| worker.concurrency).sum();
    let rate = glance.pace.rate.map_or_else(|| "–".to_owned(), |rate| format!("{rate:.1}/s"));
    let text = format!(
        "flotilla {}  {} running on {} slots of {} workers  {} runnable  {} completed  {} dead",
        tables::clock(glance.at),
        sum(|lane| lane.running),
        slots,
        glance.workers.len(),
        sum(|lane| lane.runnable),
        rate,
        glance.dead.total,
    );
    Line::from(Span::styled(text, Style::new().add_modifier(Modifier::BOLD)))
}

fn bottom(app: &App) -> Line<'static> {
    if app.mode == Mode::Filter {
        return Line::from(format!("/{}▏  Enter keeps it, Esc shows all", app.filter));
    }
    let keys = "q end  Tab panel  ↑↓ row  p pause  / filter  ? help";
    match &app.word {
        Some(Err(wrong)) => {
            let style = if app.colour { Style::new().fg(Color::Red) } else { Style::new() };
            Line::from(Span::styled(format!("! {}", crate::output::clip(wrong, 200)), style))
        }
        Some(Ok(said)) => Line::from(format!("{said}   ({keys})")),
        None if app.filter.is_empty() => Line::from(keys),
        None => Line::from(format!("only \"{}\"   {keys}", app.filter)),
    }
}

fn popup(frame: &mut Frame<'_>, title: &str, lines: &[String]) {
    let whole = frame.area();
    let longest = lines.iter().map(|line| line.chars().count()).max().unwrap_or_default();
    let width = u16::try_from(longest).unwrap_or(80).saturating_add(4).min(whole.width);
    let height = u16::try_from(lines.len()).unwrap_or(10).saturating_add(2).min(whole.height);
    let area = Rect {
        x: whole.x + (whole.width - width) / 2,
        y: whole.y + (whole.height - height) / 2,
        width,
        height,
    };
    let text: Vec<Line<'_>> = lines.iter().map(|line| Line::from(format!(" {line}"))).collect();
    frame.render_widget(Clear, area);
    frame.render_widget(
        Paragraph::new(text).block(Block::bordered().title(format!(" {title} "))),
        area,
    );
}
