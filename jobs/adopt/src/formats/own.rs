//! Our own envelope, wherever it was found.

use flotilla_core::broker::Unreadable;
use flotilla_core::envelope::Envelope;

use crate::message::{Read, Reading, unreadable};

pub(super) fn read(reading: Reading<'_>, body: &[u8]) -> Result<Read, Unreadable> {
    let envelope = Envelope::from_json(body).map_err(|e| unreadable(e.to_string()))?;
    let name = if envelope.id.is_some() { String::new() } else { reading.name(body) };
    Ok(Read::Own(Box::new(envelope), name))
}
