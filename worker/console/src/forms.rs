//! Small forms: a hidden session value, a button, a reason.

use flotilla_admin::auth::Principal;
use maud::{Markup, html};

/// What every write carries: the value of the session, and the way back.
pub(crate) fn hidden(who: &Principal, back: &str) -> Markup {
    html! {
        input type="hidden" name="csrf" value=(who.csrf());
        input type="hidden" name="back" value=(back);
    }
}

/// A button that writes at once.
pub(crate) fn button(who: &Principal, action: &str, back: &str, word: &str, kind: &str) -> Markup {
    html! {
        form.inline method="post" action=(action) {
            (hidden(who, back))
            button class=(kind) { (word) }
        }
    }
}

/// A button that opens a form with a reason.
pub(crate) fn reasoned(
    who: &Principal,
    action: &str,
    back: &str,
    word: &str,
    kind: &str,
    more: &Markup,
) -> Markup {
    html! {
        details.pop {
            summary class={ "button " (kind) } { (word) }
            form.card method="post" action=(action) {
                (hidden(who, back))
                (more)
                label { span { "Why" } input name="reason" required maxlength="1000" autocomplete="off"; }
                button class=(kind) { (word) }
            }
        }
    }
}

/// What a list says when it has nothing to show.
pub(crate) fn empty(what: &str, todo: &Markup) -> Markup {
    html! {
        div.empty { p { strong { (what) } } p { (todo) } }
    }
}
