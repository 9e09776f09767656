//! The screen on a terminal in memory, and what keys do.

use flotilla_console::{Attention, Dead, Glance, LaneGlance, Level, Pace};
use flotilla_core::Timestamp;
use flotilla_core::clock::after;
use flotilla_core::records::Pause;
use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};

use super::app::{App, Look, Mode, Panel, Wish};
use super::*;

fn lane(name: &str, runnable: u64, ended: u64) -> LaneGlance {
    LaneGlance {
        lane: name.parse().unwrap(),
        running: 2,
        runnable,
        blocked: 1,
        scheduled: 3,
        dead: 4,
        ended,
        drain: Some(120.0),
        workers: 1,
        wanted: 2,
        paused: None,
    }
}

fn glance(at: Timestamp, ended: u64) -> Glance {
    let mut slow = lane("slow", 9, 0);
    slow.paused = Some(Pause { by: "ann".into(), reason: "an upgrade".into(), since: at });
    Glance {
        at,
        attention: vec![Attention {
            level: Level::Bad,
            what: "No worker serves lane posts; 7 jobs wait".into(),
            detail: "None is there.".into(),
            mend: "Start a worker".into(),
            href: "/workers".into(),
        }],
        lanes: vec![lane("posts", 240, ended), slow],
        workers: Vec::new(),
        lost: Vec::new(),
        limits: Vec::new(),
        breakers: Vec::new(),
        dead: Dead { total: 4, ..Dead::default() },
        pace: Pace { rate: Some(12.5), ..Pace::default() },
    }
}

fn app() -> App {
    let mut app = App::new(true);
    app.take(Ok(Look { glance: glance(Timestamp::UNIX_EPOCH, 0), groups: Some(Vec::new()) }));
    app
}

fn screen(app: &App, width: u16, height: u16) -> String {
    frame(app, width, height).unwrap().join("\n")
}

fn press(app: &mut App, code: KeyCode) -> Wish {
    app.event(&Event::Key(KeyEvent::new(code, KeyModifiers::NONE)))
}

#[test]
fn one_frame_shows_everything_with_what_needs_somebody_first() {
    let app = app();
    let shown = screen(&app, 110, view::height(&app));
    let place = |text: &str| shown.find(text).unwrap_or_else(|| panic!("{text} not in\n{shown}"));
    assert!(place("No worker serves lane posts") < place("Lanes (2)"), "{shown}");
    assert!(place("Lanes (2)") < place("Workers (0)"), "{shown}");
    for text in ["posts", "240", "2m", "paused by ann: an upgrade", "12.5/s", "no worker is there"]
    {
        place(text);
    }
}

#[test]
fn a_small_terminal_still_shows_the_first_of_each() {
    let shown = screen(&app(), 60, 14);
    for text in ["Needs somebody", "Lanes (2)", "Workers"] {
        assert!(shown.contains(text), "{text} not in\n{shown}");
    }
    screen(&app(), 40, 3);
    screen(&App::new(false), 80, 24);
}

#[test]
fn rates_come_from_what_has_ended_between_two_looks() {
    let mut app = app();
    let later = after(Timestamp::UNIX_EPOCH, Duration::from_secs(2));
    app.take(Ok(Look { glance: glance(later, 30), groups: None }));
    assert_eq!(app.rates.get(&"posts".parse().unwrap()), Some(&15.0));
    app.take(Err(Failure::unavailable("it does not answer")));
    assert!(screen(&app, 100, 40).contains("! it does not answer"), "what was seen stays");
    assert!(screen(&app, 100, 40).contains("15.0/s"));
}

#[test]
fn a_lane_is_paused_only_after_a_yes() {
    let mut app = app();
    assert_eq!(press(&mut app, KeyCode::Char('p')), Wish::Nothing);
    assert!(screen(&app, 100, 40).contains("Pause lane posts?"));
    assert_eq!(press(&mut app, KeyCode::Char('n')), Wish::Nothing);
    assert_eq!(app.mode, Mode::Browse);
    press(&mut app, KeyCode::Down);
    press(&mut app, KeyCode::Char('p'));
    let lane = "slow".parse().unwrap();
    assert_eq!(press(&mut app, KeyCode::Char('y')), Wish::Turn { lane, pause: false });
}

#[test]
fn keys_move_filter_and_end() {
    let mut app = app();
    press(&mut app, KeyCode::Tab);
    assert_ne!(app.panel, Panel::Lanes);
    press(&mut app, KeyCode::BackTab);
    for key in "/slo".chars() {
        press(&mut app, KeyCode::Char(key));
    }
    press(&mut app, KeyCode::Enter);
    assert_eq!(app.lanes().len(), 1);
    assert!(screen(&app, 100, 40).contains("only \"slo\""));
    press(&mut app, KeyCode::Esc);
    assert_eq!(app.lanes().len(), 2);
    press(&mut app, KeyCode::Char('?'));
    assert!(screen(&app, 100, 40).contains("the next panel"));
    press(&mut app, KeyCode::Char('q'));
    assert_eq!(app.mode, Mode::Browse, "any key closes the help");
    assert_eq!(press(&mut app, KeyCode::Char('q')), Wish::Quit);
    let control = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(app.event(&Event::Key(control)), Wish::Quit);
}
