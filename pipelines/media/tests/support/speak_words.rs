//! The process that tells when words begin, alone: the tests of this package start it, as the binary
//! `flotilla` starts itself.

use std::process::ExitCode;

fn main() -> ExitCode {
    flotilla_media::voice::helper::main()
}
