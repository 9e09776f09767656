//! What `flotilla top` knows and how keys change it; nothing here touches a terminal.

use std::collections::BTreeMap;

use flotilla_console::{Attention, Glance, LaneGlance};
use flotilla_core::Lane;
use flotilla_core::clock::between;
use flotilla_core::fleet::WorkerInfo;
use flotilla_core::replay::Group;
use ratatui::crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers};

use crate::exit::Failure;

/// The longest filter, in characters.
const LONGEST: usize = 60;

/// What was seen of the fleet.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) glance: Glance,
    /// Dead letters by what they died of; `None`: not looked at this time.
    pub(super) groups: Option<Vec<Group>>,
}

/// A part of the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Panel {
    Attention,
    Lanes,
    Workers,
    Held,
    Dead,
}

impl Panel {
    pub(super) const ALL: [Self; 5] =
        [Self::Attention, Self::Lanes, Self::Workers, Self::Held, Self::Dead];
}

/// What the next key means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Browse,
    /// Letters go into the filter.
    Filter,
    Help,
    /// Yes or no: pause (or resume) this lane?
    Sure {
        lane: Lane,
        pause: bool,
    },
}

/// What has to be done outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Nothing,
    Quit,
    Turn { lane: Lane, pause: bool },
}

/// All of it.
#[derive(Debug)]
pub(super) struct App {
    pub(super) colour: bool,
    pub(super) glance: Option<Glance>,
    pub(super) groups: Vec<Group>,
    /// Jobs that ended per second, by lane, between the last two looks.
    pub(super) rates: BTreeMap<Lane, f64>,
    pub(super) panel: Panel,
    /// The chosen row of the panel.
    pub(super) row: usize,
    pub(super) filter: String,
    pub(super) mode: Mode,
    /// What was done, or went wrong, last.
    pub(super) word: Option<Result<String, String>>,
    looks: u64,
}

impl App {
    pub(super) fn new(colour: bool) -> Self {
        Self {
            colour,
            glance: None,
            groups: Vec::new(),
            rates: BTreeMap::new(),
            panel: Panel::Lanes,
            row: 0,
            filter: String::new(),
            mode: Mode::Browse,
            word: None,
            looks: 0,
        }
    }

    /// How often the fleet was looked at.
    pub(super) fn looks(&self) -> u64 {
        self.looks
    }

    /// Takes what was seen. While the fleet does not answer, what was seen before stays.
    pub(super) fn take(&mut self, seen: Result<Look, Failure>) {
        self.looks += 1;
        let Look { glance, groups } = match seen {
            Ok(seen) => seen,
            Err(failure) => return self.word = Some(Err(failure.to_string())),
        };
        if let Some(Err(_)) = self.word {
            self.word = None;
        }
        if let Some(before) = &self.glance {
            self.rates = rates(before, &glance);
        }
        if glance.dead.total == 0 {
            self.groups.clear();
        } else if let Some(groups) = groups {
            self.groups = groups;
        }
        self.glance = Some(glance);
        self.row = self.row.min(self.rows().saturating_sub(1));
    }

    /// Tells what became of a wish.
    pub(super) fn said(&mut self, done: Result<String, Failure>) {
        self.word = Some(done.map_err(|failure| failure.to_string()));
    }

    pub(super) fn attention(&self) -> Vec<&Attention> {
        self.shown(|it| &it.attention, |it| it.what.clone())
    }

    pub(super) fn lanes(&self) -> Vec<&LaneGlance> {
        self.shown(|it| &it.lanes, |it| it.lane.to_string())
    }

    pub(super) fn workers(&self) -> Vec<&WorkerInfo> {
        self.shown(|it| &it.workers, |it| it.id.to_string())
    }

    pub(super) fn groups(&self) -> Vec<&Group> {
        let fits = |it: &&Group| self.fits(&format!("{} {}", it.kind, it.message));
        self.groups.iter().filter(fits).collect()
    }

    /// Breakers and limits that hold jobs back: key, and how.
    pub(super) fn held(&self) -> Vec<(String, String, bool)> {
        let Some(glance) = &self.glance else { return Vec::new() };
        let breakers = glance.breakers.iter();
        let breakers =
            breakers.map(|it| (it.key.to_string(), format!("breaker {}", it.stand), true));
        let limits = glance.limits.iter().map(|it| {
            let frozen = it.frozen_until.filter(|until| *until > glance.at);
            let how = match (frozen, it.next_start) {
                (Some(until), _) => {
                    let why = it.frozen_because.as_deref().unwrap_or_default();
                    format!("left alone {}: {why}", crate::output::relative(until, glance.at))
                }
                (None, Some(at)) => format!("next {}", crate::output::relative(at, glance.at)),
                (None, None) => "next when one ends".to_owned(),
            };
            (it.key.to_string(), how, frozen.is_some())
        });
        breakers.chain(limits).filter(|(key, ..)| self.fits(key)).collect()
    }

    fn shown<T>(&self, of: impl Fn(&Glance) -> &Vec<T>, text: impl Fn(&T) -> String) -> Vec<&T> {
        let all = self.glance.iter().flat_map(|glance| of(glance).iter());
        all.filter(|it| self.fits(&text(it))).collect()
    }

    fn fits(&self, text: &str) -> bool {
        self.filter.is_empty() || text.to_lowercase().contains(&self.filter.to_lowercase())
    }

    /// Rows of the panel that has the keys.
    fn rows(&self) -> usize {
        match self.panel {
            Panel::Attention => self.attention().len(),
            Panel::Lanes => self.lanes().len(),
            Panel::Workers => self.workers().len(),
            Panel::Held => self.held().len(),
            Panel::Dead => self.groups().len(),
        }
    }

    /// What a key does.
    pub(super) fn event(&mut self, event: &Event) -> Wish {
        let Event::Key(key) = event else { return Wish::Nothing };
        if key.kind == KeyEventKind::Release {
            return Wish::Nothing;
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if control && matches!(key.code, KeyCode::Char('c' | 'd')) {
            return Wish::Quit;
        }
        match self.mode.clone() {
            Mode::Browse => return self.browse(key.code),
            Mode::Filter => self.letter(key.code),
            Mode::Help => self.mode = Mode::Browse,
            Mode::Sure { lane, pause } => {
                self.mode = Mode::Browse;
                if matches!(key.code, KeyCode::Char('y' | 'Y') | KeyCode::Enter) {
                    return Wish::Turn { lane, pause };
                }
            }
        }
        Wish::Nothing
    }

    fn browse(&mut self, key: KeyCode) -> Wish {
        match key {
            KeyCode::Char('q') => return Wish::Quit,
            KeyCode::Esc if self.filter.is_empty() => return Wish::Quit,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Char('?' | 'h') => self.mode = Mode::Help,
            KeyCode::Char('/') => self.mode = Mode::Filter,
            KeyCode::Tab | KeyCode::Right => self.step(1),
            KeyCode::BackTab | KeyCode::Left => self.step(Panel::ALL.len() - 1),
            KeyCode::Down | KeyCode::Char('j') => {
                self.row = (self.row + 1).min(self.rows().saturating_sub(1));
            }
            KeyCode::Up | KeyCode::Char('k') => self.row = self.row.saturating_sub(1),
            KeyCode::Home => self.row = 0,
            KeyCode::End => self.row = self.rows().saturating_sub(1),
            KeyCode::Char('p') => self.ask(),
            _ => {}
        }
        Wish::Nothing
    }

    /// The next panel that has something to show.
    fn step(&mut self, by: usize) {
        let at = Panel::ALL.iter().position(|panel| *panel == self.panel).unwrap_or(0);
        for n in 1..=Panel::ALL.len() {
            self.panel = Panel::ALL[(at + by * n) % Panel::ALL.len()];
            if self.rows() > 0 {
                break;
            }
        }
        self.row = 0;
    }

    fn ask(&mut self) {
        let lanes = self.lanes();
        match lanes.get(self.row).filter(|_| self.panel == Panel::Lanes) {
            Some(it) => {
                self.mode = Mode::Sure { lane: it.lane.clone(), pause: it.paused.is_none() };
            }
            None => self.word = Some(Err("choose a lane first: Tab, then the arrows".to_owned())),
        }
    }

    fn letter(&mut self, key: KeyCode) {
        match key {
            KeyCode::Esc => {
                self.filter.clear();
                self.mode = Mode::Browse;
            }
            KeyCode::Enter => self.mode = Mode::Browse,
            KeyCode::Backspace => {
                self.filter.pop();
            }
            KeyCode::Char(c) if self.filter.chars().count() < LONGEST => self.filter.push(c),
            _ => {}
        }
        self.row = 0;
    }
}

/// Jobs that ended per second between two looks. Retention takes some away: none is below nothing.
fn rates(before: &Glance, now: &Glance) -> BTreeMap<Lane, f64> {
    let seconds = between(before.at, now.at).as_secs_f64();
    if seconds < 0.1 {
        return BTreeMap::new();
    }
    let was = |lane: &Lane| before.lanes.iter().find(|it| it.lane == *lane).map(|it| it.ended);
    let rate = |it: &LaneGlance| {
        Some((it.lane.clone(), it.ended.saturating_sub(was(&it.lane)?) as f64 / seconds))
    };
    now.lanes.iter().filter_map(rate).collect()
}
