//! What goes wrong with the broker, and how it is told at the port. No message holds the address:
//! it carries a password.

use std::time::Duration;

use flotilla_core::queue::{QueueError, QueueErrorKind};
use lapin::{Error, ErrorKind};

/// A failure of the client library.
pub(crate) fn told(error: Error) -> QueueError {
    let message = match error.kind() {
        ErrorKind::ProtocolError(error) => match error.get_id() {
            403 => "RabbitMQ refuses: check user, password, vhost and the user's permissions",
            404 => "RabbitMQ has no such queue",
            406 => {
                "RabbitMQ closed the channel; another is opened (flotilla doctor looks at the queues)"
            }
            320 | 541 => "RabbitMQ is going down; try again",
            530 => "RabbitMQ does not allow it: check the vhost",
            _ => "RabbitMQ refuses; its log says more",
        },
        ErrorKind::IOError(_) | ErrorKind::MissingHeartbeatError => {
            "RabbitMQ cannot be reached: check that it runs and the address is right"
        }
        ErrorKind::AuthProviderError(_) => "RabbitMQ refuses: check user and password",
        ErrorKind::InvalidConnectionState(_) | ErrorKind::InvalidChannelState(..) => {
            "the connection to RabbitMQ is gone; it is made anew"
        }
        _ => "RabbitMQ or the connection to it failed; try again",
    };
    QueueError::new(QueueErrorKind::Unavailable, message, error)
}

/// No answer in time.
pub(crate) fn late(what: &str, after: Duration) -> QueueError {
    let message = format!("RabbitMQ did not {what} within {after:?}; try again");
    QueueError::plain(QueueErrorKind::Unavailable, message)
}

/// The broker has a queue that is not what this build declares.
pub(crate) fn is_other_arguments(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::ProtocolError(e) if e.get_id() == 406)
}

/// There is no such queue.
pub(crate) fn is_missing(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::ProtocolError(e) if e.get_id() == 404)
}

/// A setting that does not hold.
pub(crate) fn invalid(message: String) -> QueueError {
    QueueError::plain(QueueErrorKind::Invalid, message)
}
