//! Errors as `application/problem+json` (RFC 9457): what is wrong, in which field, what to do.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flotilla_core::ops::EnqueueError;
use flotilla_core::queue::{QueueError, QueueErrorKind};
use serde::Serialize;

/// Most faults that one answer lists.
pub(crate) const MAX_FAULTS: usize = 20;

/// One wrong field.
#[derive(Debug, Serialize)]
pub(crate) struct Fault {
    /// Its path in the request, as in `[3].payload.text`.
    pub(crate) field: String,
    pub(crate) detail: String,
}

/// An error on its way to the caller.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    slug: &'static str,
    title: &'static str,
    detail: String,
    faults: Vec<Fault>,
    retry_after: Option<Duration>,
}

#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(skip_serializing_if = "<[Fault]>::is_empty")]
    errors: &'a [Fault],
}

impl Problem {
    pub(crate) fn new(
        status: StatusCode,
        slug: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self { status, slug, title, detail: detail.into(), faults: Vec::new(), retry_after: None }
    }

    /// What is wrong, and what to do.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The status it is answered with.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn bad_request(field: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let fault = Fault { field: field.to_owned(), detail: detail.clone() };
        let problem =
            Self::new(StatusCode::BAD_REQUEST, "bad-request", "the request is wrong", detail);
        Self { faults: vec![fault], ..problem }
    }

    /// The faults of the envelopes; the first one is the detail.
    pub(crate) fn invalid(faults: Vec<Fault>) -> Self {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        let detail = faults.first().map(|f| f.detail.clone()).unwrap_or_default();
        let problem =
            Self::new(status, "invalid-job", "a job is not valid; none was taken", detail);
        Self { faults, ..problem }
    }

    pub(crate) fn unknown_path() -> Self {
        let detail = "there is nothing here: GET /v1/openapi.json lists the paths";
        Self::new(StatusCode::NOT_FOUND, "unknown-path", "no such path", detail)
    }

    pub(crate) fn wrong_method() -> Self {
        let detail = "this path takes other methods: see the Allow header";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "wrong-method", "method not allowed", detail)
    }

    /// What is asked for is at odds with how things are.
    pub(crate) fn conflict(
        slug: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self::new(StatusCode::CONFLICT, slug, title, detail)
    }

    /// `If-Match` names another version than the present one.
    pub(crate) fn changed() -> Self {
        let detail = "it has changed since it was looked at: look again";
        let status = StatusCode::PRECONDITION_FAILED;
        Self::new(status, "changed", "it is not what it was", detail)
    }

    /// The same, naming the field.
    pub(crate) fn at(self, field: &str) -> Self {
        let fault = Fault { field: field.to_owned(), detail: self.detail.clone() };
        Self { faults: vec![fault], ..self }
    }

    pub(crate) fn too_many(after: Duration) -> Self {
        let detail = "the rate of this token is used up: wait as Retry-After says";
        let status = StatusCode::TOO_MANY_REQUESTS;
        let problem = Self::new(status, "too-many-requests", "too many requests", detail);
        Self { retry_after: Some(after), ..problem }
    }

    pub(crate) fn too_slow() -> Self {
        let detail = "the request was not whole and answered in time: send it again";
        Self::new(StatusCode::REQUEST_TIMEOUT, "too-slow", "the request took too long", detail)
    }

    pub(crate) fn too_large(max: usize) -> Self {
        let detail = format!("the body has more than {max} bytes (api.max_body): send fewer jobs");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "the body is too large", detail)
    }
}

impl From<EnqueueError> for Problem {
    fn from(error: EnqueueError) -> Self {
        match error {
            EnqueueError::Queue(error) => error.into(),
            fault => Self::invalid(vec![Fault {
                field: fault.field().unwrap_or(".").to_owned(),
                detail: fault.to_string(),
            }]),
        }
    }
}

impl From<QueueError> for Problem {
    fn from(error: QueueError) -> Self {
        match error.kind {
            QueueErrorKind::Unavailable | QueueErrorKind::Full => {
                tracing::warn!(error = %error, "the queue did not answer a request");
                let status = StatusCode::SERVICE_UNAVAILABLE;
                let detail = "the queue does not take it now: send it again, with the same id or \
                              Idempotency-Key";
                let problem = Self::new(status, "unavailable", "the queue is unavailable", detail);
                Self { retry_after: Some(Duration::from_secs(1)), ..problem }
            }
            QueueErrorKind::Invalid => Self::bad_request(".", error.to_string()),
            QueueErrorKind::Corrupt => {
                tracing::error!(error = %error, "a request met a corrupt record");
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                let detail = "the log of the worker says more, under this x-request-id";
                Self::new(status, "internal", "an internal error", detail)
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let document = Document {
            r#type: format!("urn:flotilla:problem:{}", self.slug),
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            field: self.faults.first().map(|fault| fault.field.as_str()),
            errors: &self.faults,
        };
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let content_type = HeaderValue::from_static("application/problem+json");
        let mut response =
            (self.status, [(header::CONTENT_TYPE, content_type)], body).into_response();
        let headers = response.headers_mut();
        if let Some(after) = self.retry_after {
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
