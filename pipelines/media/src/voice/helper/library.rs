//! What speaks with libespeak-ng and tells when each word begins.
//!
//! The program `espeak-ng` gives no word times, its library does. The library is under the GPL, so
//! it is opened at run time by a process of its own and never linked into Flotilla. One request
//! per process: a line of JSON on the input; a line of JSON, then samples (s16le), on the output.

#![expect(unsafe_code, reason = "libespeak-ng is a C library; its few calls stand here alone")]

use std::ffi::{CString, c_char, c_int, c_short, c_uint, c_void};
use std::io::{BufRead, Read, Write};
use std::sync::{Mutex, PoisonError};

use libloading::Library;

use super::{Answer, Mark, Request};

const SYNCHRONOUS: c_int = 2;
const CHARS_UTF8: c_uint = 1;
const END_PAUSE: c_uint = 0x1000;
const POSITION_CHARACTER: c_int = 1;
const EVENT_LIST_END: c_int = 0;
const EVENT_WORD: c_int = 1;
const PARAMETER_RATE: c_int = 1;
const PARAMETER_PITCH: c_int = 3;
/// The longest request in bytes.
const MAX_REQUEST: u64 = 1 << 20;

/// `espeak_EVENT` of `speak_lib.h`.
#[repr(C)]
struct Event {
    kind: c_int,
    unique: c_uint,
    text_position: c_int,
    length: c_int,
    audio_position: c_int,
    sample: c_int,
    user: *mut c_void,
    id: [u8; 8],
}

/// `espeak_VOICE` of `speak_lib.h`.
#[repr(C)]
struct Wanted {
    name: *const c_char,
    languages: *const c_char,
    identifier: *const c_char,
    gender: u8,
    age: u8,
    variant: u8,
    reserved: u8,
    score: c_int,
    spare: *mut c_void,
}

#[derive(Default)]
struct Gathered {
    samples: Vec<i16>,
    marks: Vec<Mark>,
    max_samples: usize,
}

static GATHERED: Mutex<Gathered> =
    Mutex::new(Gathered { samples: Vec::new(), marks: Vec::new(), max_samples: 0 });

/// Called by the library with each piece of sound; 1 tells it to stop.
extern "C" fn take(samples: *mut c_short, count: c_int, mut event: *mut Event) -> c_int {
    let mut gathered = GATHERED.lock().unwrap_or_else(PoisonError::into_inner);
    if !samples.is_null()
        && let Ok(count) = usize::try_from(count)
    {
        // SAFETY: the library hands over `count` samples that live for this call.
        gathered.samples.extend_from_slice(unsafe { std::slice::from_raw_parts(samples, count) });
    }
    while !event.is_null() {
        // SAFETY: events are an array that ends with one of kind LIST_TERMINATED.
        let here = unsafe { &*event };
        if here.kind == EVENT_LIST_END {
            break;
        }
        if here.kind == EVENT_WORD {
            gathered.marks.push(Mark {
                at_ms: u32::try_from(here.audio_position).unwrap_or(0),
                character: u32::try_from(here.text_position - 1).unwrap_or(0),
                length: u32::try_from(here.length).unwrap_or(0),
            });
        }
        // SAFETY: the end was not reached, so there is a next one.
        event = unsafe { event.add(1) };
    }
    c_int::from(gathered.samples.len() > gathered.max_samples)
}

/// Opens the library, sets the voice, speaks; the sound arrives in [`take`].
fn speak(request: &Request) -> Result<u32, String> {
    let text = CString::new(request.text.as_str()).map_err(|_| "the text has a NUL in it")?;
    let voice = CString::new(request.voice.as_str()).map_err(|_| "the voice has a NUL in it")?;
    let missing = |e: libloading::Error| format!("cannot use libespeak-ng.so.1: {e}");
    // SAFETY: the names and types are those of speak_lib.h, version 1.49 and newer; the library
    // stays open until the process ends.
    unsafe {
        let library = Library::new("libespeak-ng.so.1").map_err(missing)?;
        let initialize = library
            .get::<unsafe extern "C" fn(c_int, c_int, *const c_char, c_int) -> c_int>(
                b"espeak_Initialize",
            )
            .map_err(missing)?;
        let set_callback = library
            .get::<unsafe extern "C" fn(extern "C" fn(*mut c_short, c_int, *mut Event) -> c_int)>(
                b"espeak_SetSynthCallback",
            )
            .map_err(missing)?;
        let set_voice = library
            .get::<unsafe extern "C" fn(*const c_char) -> c_int>(b"espeak_SetVoiceByName")
            .map_err(missing)?;
        let set_by_language = library
            .get::<unsafe extern "C" fn(*mut Wanted) -> c_int>(b"espeak_SetVoiceByProperties")
            .map_err(missing)?;
        let set_parameter = library
            .get::<unsafe extern "C" fn(c_int, c_int, c_int) -> c_int>(b"espeak_SetParameter")
            .map_err(missing)?;
        let synth = library
            .get::<unsafe extern "C" fn(
                *const c_void,
                usize,
                c_uint,
                c_int,
                c_uint,
                c_uint,
                *mut c_uint,
                *mut c_void,
            ) -> c_int>(b"espeak_Synth")
            .map_err(missing)?;

        let rate = initialize(SYNCHRONOUS, 0, std::ptr::null(), 0);
        let rate = u32::try_from(rate)
            .ok()
            .filter(|rate| *rate > 0)
            .ok_or("libespeak-ng found no voice data (Debian: apt-get install espeak-ng-data)")?;
        set_callback(take);
        // As the program does: a voice of that name, else one for that language.
        let none = std::ptr::null();
        let mut wanted = Wanted {
            name: none,
            languages: voice.as_ptr(),
            identifier: none,
            gender: 0,
            age: 0,
            variant: 0,
            reserved: 0,
            score: 0,
            spare: std::ptr::null_mut(),
        };
        if set_voice(voice.as_ptr()) != 0 && set_by_language(&raw mut wanted) != 0 {
            return Err(format!("espeak-ng has no voice \"{}\"", request.voice));
        }
        set_parameter(PARAMETER_RATE, c_int::from(request.rate), 0);
        set_parameter(PARAMETER_PITCH, c_int::from(request.pitch), 0);
        let (flags, end) = (CHARS_UTF8 | END_PAUSE, 0);
        let size = text.as_bytes_with_nul().len();
        let (no_user, no_id) = (std::ptr::null_mut(), std::ptr::null_mut());
        let start = text.as_ptr().cast();
        if synth(start, size, 0, POSITION_CHARACTER, end, flags, no_id, no_user) != 0 {
            return Err("libespeak-ng could not speak the text".to_owned());
        }
        std::mem::forget(library);
        Ok(rate)
    }
}

/// Answers the one request on the standard input.
pub(super) fn answer() -> Result<(), String> {
    let mut line = String::new();
    let mut input = std::io::stdin().lock().take(MAX_REQUEST);
    input.read_line(&mut line).map_err(|e| e.to_string())?;
    let request: Request = serde_json::from_str(&line).map_err(|e| format!("bad request: {e}"))?;
    GATHERED.lock().unwrap_or_else(PoisonError::into_inner).max_samples = request.max_samples;
    let rate = speak(&request)?;
    let mut gathered = GATHERED.lock().unwrap_or_else(PoisonError::into_inner);
    if gathered.samples.len() > request.max_samples {
        return Err(format!("the speech has more than {} samples", request.max_samples));
    }
    let answer = Answer {
        rate,
        samples: gathered.samples.len(),
        marks: std::mem::take(&mut gathered.marks),
    };
    let mut out = std::io::stdout().lock();
    let said = |e: std::io::Error| e.to_string();
    serde_json::to_writer(&mut out, &answer).map_err(|e| e.to_string())?;
    out.write_all(b"\n").map_err(said)?;
    let bytes: Vec<u8> = gathered.samples.iter().flat_map(|s| s.to_le_bytes()).collect();
    out.write_all(&bytes).and_then(|()| out.flush()).map_err(said)
}
