//! The frame around every page: navigation, theme, what was just done.

use axum::response::{Html, IntoResponse, Response};
use flotilla_admin::auth::{Act, Principal};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::marks::icon;
use crate::{assets, text};

/// The places of the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Overview,
    Jobs,
    Flows,
    Lanes,
    Workers,
    Dead,
    Replays,
    Platforms,
    Accounts,
    Schedules,
    Audit,
}

/// A page in the navigation: its name, its address, and whether it shows the whole fleet, which who
/// is held to tenants may not see.
type Entry = (Place, &'static str, &'static str, bool);

/// Groups of the navigation, in the order of a bad night: what is wrong, what to do, who is asked.
const PLACES: [(&str, &[Entry]); 4] = [
    (
        "Watch",
        &[
            (Place::Overview, "Overview", "/", true),
            (Place::Jobs, "Jobs", "/jobs", false),
            (Place::Flows, "Flows", "/flows", false),
            (Place::Lanes, "Lanes", "/lanes", true),
            (Place::Workers, "Workers", "/workers", true),
        ],
    ),
    (
        "Mend",
        &[
            (Place::Dead, "Dead letters", "/dead", false),
            (Place::Replays, "Replays", "/replays", false),
        ],
    ),
    (
        "Outside",
        &[
            (Place::Platforms, "Platforms", "/platforms", true),
            (Place::Accounts, "Accounts", "/accounts", false),
        ],
    ),
    (
        "Plan and record",
        &[
            (Place::Schedules, "Schedules", "/schedules", true),
            (Place::Audit, "Audit", "/audit", false),
        ],
    ),
];

/// Numbers beside the navigation; 0: nothing to say.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Badges {
    /// Things that need somebody now.
    pub(crate) attention: u64,
    /// Dead letters.
    pub(crate) dead: u64,
}

/// Who looks, and from where.
pub(crate) struct Frame<'a> {
    pub(crate) who: &'a Principal,
    pub(crate) theme: &'static str,
    pub(crate) here: &'a str,
    pub(crate) said: Option<&'a str>,
    pub(crate) badges: Badges,
    /// Nobody has to log in, so nobody can log out.
    pub(crate) open: bool,
}

/// One page.
pub(crate) struct Page {
    pub(crate) place: Place,
    pub(crate) title: String,
    /// One line below the title.
    pub(crate) about: Markup,
    /// What can be done here, beside the title.
    pub(crate) acts: Markup,
    pub(crate) body: Markup,
    /// Parts marked `data-live` follow the fleet.
    pub(crate) live: bool,
}

impl Page {
    pub(crate) fn new(place: Place, title: impl Into<String>, body: Markup) -> Self {
        let nothing = || PreEscaped(String::new());
        Self { place, title: title.into(), about: nothing(), acts: nothing(), body, live: false }
    }

    pub(crate) fn about(mut self, about: Markup) -> Self {
        self.about = about;
        self
    }

    pub(crate) fn acts(mut self, acts: Markup) -> Self {
        self.acts = acts;
        self
    }

    pub(crate) fn live(mut self) -> Self {
        self.live = true;
        self
    }
}

/// The whole document.
pub(crate) fn full(frame: &Frame<'_>, page: &Page) -> Response {
    let scoped = frame.who.need_fleet(Act::See).is_err();
    let body = html! {
        a.skip href="#main" { "Skip to content" }
        header.side {
            p.brand-line { (brand()) }
            nav aria-label="Main" {
                @for (group, places) in PLACES {
                    p.group { (group) }
                    ul { (links(places, page.place, frame.badges, scoped)) }
                }
            }
            (foot(frame))
        }
        main #main tabindex="-1" data-follow[page.live] {
            @if let Some(said) = frame.said {
                p.said role="status" { (icon("completed")) (said) }
            }
            div.head {
                div {
                    h1 { (page.title) }
                    p.about { (page.about) }
                }
                div.acts { (page.acts) }
            }
            (page.body)
        }
    };
    document(&page.title, frame.theme, &body)
}

fn links(places: &[Entry], here: Place, badges: Badges, scoped: bool) -> Markup {
    html! {
        @for (place, name, href, fleet) in places {
            @if !(scoped && *fleet) {
                li {
                    a href=(href) aria-current=[(*place == here).then_some("page")] {
                        (name) (number(*place, badges))
                    }
                }
            }
        }
    }
}

/// A page without navigation: login, trouble.
pub(crate) fn bare(title: &str, theme: &str, inner: &Markup) -> Response {
    let body = html! {
        main.alone #main {
            p.brand-line { (brand()) }
            (inner)
        }
    };
    document(title, theme, &body)
}

fn document(title: &str, theme: &str, body: &Markup) -> Response {
    let page = html! {
        (DOCTYPE)
        html lang="en" data-theme=[(!theme.is_empty()).then_some(theme)] {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Flotilla" }
                link rel="icon" href="/assets/mark.svg" type="image/svg+xml";
                link rel="stylesheet" href=(assets::stamped("console.css"));
                script type="module" src=(assets::stamped("console.js")) {}
            }
            body { (body) }
        }
    };
    Html(page.into_string()).into_response()
}

fn brand() -> Markup {
    html! {
        span.brand {
            img src="/assets/mark.svg" alt="" width="20" height="20";
            "Flotilla"
        }
    }
}

fn number(place: Place, badges: Badges) -> Markup {
    let (n, what) = match place {
        Place::Overview => (badges.attention, "need attention"),
        Place::Dead => (badges.dead, "dead letters"),
        _ => (0, ""),
    };
    html! {
        @if n > 0 {
            span.number title={ (text::count(n)) " " (what) } { (text::count(n)) }
        }
    }
}

/// Who is here, light or dark, the way out.
fn foot(frame: &Frame<'_>) -> Markup {
    let themes = [("", "Auto"), ("light", "Light"), ("dark", "Dark")];
    html! {
        div.foot {
            form.theme method="post" action="/theme" {
                input type="hidden" name="back" value=(frame.here);
                fieldset {
                    legend.unseen { "Theme" }
                    @for (value, word) in themes {
                        button name="theme" value=(value)
                            aria-pressed=(if value == frame.theme { "true" } else { "false" }) { (word) }
                    }
                }
            }
            p.who { (frame.who.name) span.faint { " · " (frame.who.role) } }
            @if !frame.open {
                form method="post" action="/logout" {
                    (crate::forms::hidden(frame.who, "/"))
                    button.link { "Log out" }
                }
            }
        }
    }
}
