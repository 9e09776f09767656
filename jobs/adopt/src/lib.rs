//! flotilla-adopt: messages that strangers sent, read into jobs.
//!
//! A delivery is our own envelope, or a wrapper around something: an SNS notification, an S3
//! event, an EventBridge event, a CloudEvent, a Celery message, or plain JSON on a lane whose
//! route names the kind. [`Adopter`] unwraps it, at most [`Limits::max_depth`] deep, and asks the
//! [`Routes`] which kind it stands for and how its payload is made of the fields that came.
//!
//! Everything here is pure: the same message gives jobs of the same ids, wherever and however
//! often it is read. What cannot be understood is [`Unreadable`](flotilla_core::broker::Unreadable)
//! with a reason that says what would be right. No input makes it panic.

mod adopter;
mod formats;
mod message;
mod pick;
mod routes;
pub mod sns;

pub use adopter::{Adopter, Limits, RouteError};
pub use pick::{Pick, Target};
pub use routes::{Format, Pattern, Route, Routes};
