//! The programs beside this one: what they are called, whether they are there and new enough.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::child::{Program, Stop, run};
use crate::error::MediaError;
use crate::voice::helper;

/// The oldest ffmpeg whose options are used.
const OLDEST_FFMPEG: u32 = 4;

/// Which programs are run, and where they may write.
#[derive(Clone, Debug)]
pub struct Tools {
    /// Encodes and decodes.
    pub ffmpeg: Program,
    /// The local voice with all languages.
    pub espeak: Program,
    /// Speaks as `espeak` does, and tells when each word begins: this program once more, which
    /// must call [`helper::main`] when [`helper::COMMAND`] is its first word.
    pub espeak_words: Program,
    /// The second local voice, English.
    pub flite: Program,
    /// Where work in progress is kept; the system's place for such things when not set.
    pub scratch: Option<PathBuf>,
    /// Threads of an encoder; 0: as it likes.
    pub threads: usize,
}

/// The file of this program; on Linux also when a newer one has taken its place meanwhile.
fn this_program() -> PathBuf {
    let own = PathBuf::from("/proc/self/exe");
    if own.exists() { own } else { std::env::current_exe().unwrap_or_default() }
}

impl Tools {
    /// Programs under their usual names, looked for along `path` (as in `PATH`).
    #[must_use]
    pub fn along(path: OsString) -> Self {
        let program = |name: &str, package, setting| Program {
            name: name.into(),
            first: Vec::new(),
            path: path.clone(),
            package,
            setting,
        };
        Self {
            ffmpeg: program("ffmpeg", "ffmpeg", "video.ffmpeg"),
            espeak: program("espeak-ng", "espeak-ng", "speech.espeak"),
            espeak_words: Program {
                name: this_program().into(),
                first: vec![helper::COMMAND.into()],
                ..program("", "espeak-ng", "speech.espeak")
            },
            flite: program("flite", "flite", "speech.flite"),
            scratch: None,
            threads: 0,
        }
    }

    /// The version of ffmpeg, as in `5.1.9`, when it can do what is asked of it.
    ///
    /// # Errors
    /// When it is missing, too old or without H.264, in words that say what to do.
    pub fn probe_ffmpeg(&self) -> Result<String, MediaError> {
        let said = run(&self.ffmpeg, &["-version"], Vec::new(), 1 << 20, &Stop::default())?;
        let said = String::from_utf8_lossy(&said);
        let version = said.split_whitespace().nth(2).unwrap_or("unknown");
        let short: String = version.chars().take_while(|c| *c != '-').collect();
        let major: Option<u32> =
            short.trim_start_matches('n').split('.').next().and_then(|m| m.parse().ok());
        let fault = |status: String| MediaError::Child {
            program: self.ffmpeg.name.to_string_lossy().into_owned(),
            status,
            stderr: String::new(),
        };
        if major.is_some_and(|major| major < OLDEST_FFMPEG) {
            let status = format!("version {short} is too old: install {OLDEST_FFMPEG}.0 or newer");
            return Err(fault(status));
        }
        if !said.contains("--enable-libx264") {
            return Err(fault("built without libx264: install one with it".to_owned()));
        }
        Ok(short)
    }

    /// The version of espeak-ng.
    ///
    /// # Errors
    /// When it is missing, in words that say what to do.
    pub fn probe_espeak(&self) -> Result<String, MediaError> {
        let said = run(&self.espeak, &["--version"], Vec::new(), 1 << 16, &Stop::default())?;
        let said = String::from_utf8_lossy(&said);
        let version = said.split(':').nth(1).and_then(|rest| rest.split_whitespace().next());
        Ok(version.unwrap_or("unknown").to_owned())
    }

    /// The first words of every call of ffmpeg.
    pub(crate) fn ffmpeg_args(&self) -> Vec<OsString> {
        ["-hide_banner", "-nostdin", "-loglevel", "error", "-y"].map(OsString::from).to_vec()
    }

    /// A folder for work in progress that goes away by itself.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn work_folder(&self) -> Result<tempfile::TempDir, MediaError> {
        let made = match &self.scratch {
            Some(dir) => std::fs::create_dir_all(dir).and_then(|()| tempfile::tempdir_in(dir)),
            None => tempfile::tempdir(),
        };
        made.map_err(MediaError::io("make a folder for work in progress"))
    }
}
