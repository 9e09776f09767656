//! What a page answers when it cannot do what was asked: in words, with a way on.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use flotilla_admin::Problem;
use flotilla_admin::auth::Refused;
use flotilla_core::ids::InvalidName;
use flotilla_core::queue::{QueueError, QueueErrorKind};
use maud::html;

use crate::shell;

/// Why there is no page.
#[derive(Debug)]
pub(crate) struct Trouble {
    status: StatusCode,
    title: &'static str,
    says: String,
    /// Where to go instead of reading this.
    to: Option<String>,
}

impl Trouble {
    /// Something in the request does not hold.
    pub(crate) fn wrong(says: impl ToString) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "That does not work", says)
    }

    /// There is no such thing, or not for this person.
    pub(crate) fn missing(says: impl ToString) -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not found", says)
    }

    /// The same, said by what holds too many already.
    pub(crate) fn busy(says: impl ToString) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "Busy", says)
    }

    /// Log in first, then go on there.
    pub(crate) fn log_in(back: &str) -> Self {
        let mut to = String::from("/login");
        if back != "/" {
            to.push_str("?to=");
            to.extend(url::form_urlencoded::byte_serialize(back.as_bytes()));
        }
        let says = "show a token or log in";
        Self { to: Some(to), ..Self::new(StatusCode::UNAUTHORIZED, "Log in", says) }
    }

    fn new(status: StatusCode, title: &'static str, says: impl ToString) -> Self {
        Self { status, title, says: says.to_string(), to: None }
    }
}

impl From<Refused> for Trouble {
    fn from(refused: Refused) -> Self {
        Self::new(refused.status(), "Not allowed", refused)
    }
}

impl From<Problem> for Trouble {
    fn from(problem: Problem) -> Self {
        Self::new(problem.status(), "That does not work", problem.detail())
    }
}

impl From<QueueError> for Trouble {
    fn from(error: QueueError) -> Self {
        tracing::warn!(error = %error, "a page could not be made");
        match error.kind {
            QueueErrorKind::Invalid => Self::wrong(error),
            _ => Self::new(StatusCode::SERVICE_UNAVAILABLE, "The store does not answer", error),
        }
    }
}

impl From<InvalidName> for Trouble {
    fn from(error: InvalidName) -> Self {
        Self::wrong(error)
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        if let Some(to) = self.to {
            return (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response();
        }
        let body = html! {
            h1 { (self.title) }
            p.lead { (self.says) }
            p { a.button href="/" { "To the overview" } }
        };
        (self.status, shell::bare(self.title, "", &body)).into_response()
    }
}
