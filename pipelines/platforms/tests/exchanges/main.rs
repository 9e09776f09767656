//! The exchanges of the platforms' documents: what we send, header by header, and what we make of
//! their answers. The answers are copied from the documents, whatever our sandbox thinks.

mod canned;
mod documented;
