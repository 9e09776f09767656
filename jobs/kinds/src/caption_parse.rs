//! `caption.parse`: what a social caption says, with the place of everything found.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use flotilla_core::job::{Job, Policy};
use flotilla_core::{Handler, JobContext, JobError, Kind, Lane};
use flotilla_language::caption::{self, Caption, Request};
use flotilla_models::Model;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::services::Services;

/// The payload: the caption and what is known about it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CaptionParse(pub Request);

impl JsonSchema for CaptionParse {
    fn schema_name() -> Cow<'static, str> {
        "CaptionParse".into()
    }

    /// The fields themselves, not a reference to another type's.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Request::json_schema(generator)
    }
}

impl Job for CaptionParse {
    const KIND: Kind = Kind::from_static("caption.parse");
    type Output = Caption;

    fn policy() -> Policy {
        Policy {
            lane: Lane::from_static("language"),
            max_attempts: 3,
            timeout: Duration::from_secs(10),
            ..Policy::default()
        }
    }
}

/// Parses in place: microseconds, no I/O. A model, where there is one, adds to that.
#[derive(Debug)]
pub struct CaptionHandler {
    max_bytes: usize,
    max_catalogue: usize,
    model: Option<Arc<Model>>,
}

impl CaptionHandler {
    /// Takes the bounds of a caption and the model.
    pub fn new(services: &Services) -> Self {
        Self {
            max_bytes: services.max_caption,
            max_catalogue: services.max_catalogue,
            model: services.models.of(CaptionParse::KIND),
        }
    }
}

impl Handler<CaptionParse> for CaptionHandler {
    async fn run(&self, job: CaptionParse, cx: &JobContext) -> Result<Caption, JobError> {
        let length = job.0.text.len();
        if length > self.max_bytes {
            let max = self.max_bytes;
            return Err(JobError::invalid(format!(
                "text has {length} bytes; at most {max} are allowed (captions.max_bytes)"
            )));
        }
        let items = job.0.catalogue.len();
        if items > self.max_catalogue {
            let max = self.max_catalogue;
            return Err(JobError::invalid(format!(
                "catalogue has {items} items; at most {max} are allowed (captions.max_catalogue)"
            )));
        }
        let local = caption::parse(&job.0);
        match &self.model {
            Some(model) => flotilla_models::caption::refine(model, cx, &job.0, local).await,
            None => Ok(local),
        }
    }
}
