//! WAV with 16-bit samples, in and out. Other forms go through ffmpeg.

use super::Mono;

/// A WAV file of 16-bit samples; `channels` of them stand side by side.
#[must_use]
pub fn write_wav(samples: &[f32], rate: u32, channels: u16) -> Vec<u8> {
    let data = u32::try_from(samples.len() * 2).unwrap_or(u32::MAX - 36);
    let mut out = Vec::with_capacity(44 + samples.len() * 2);
    out.extend_from_slice(b"RIFF");
    out.extend_from_slice(&(data + 36).to_le_bytes());
    out.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0");
    out.extend_from_slice(&channels.to_le_bytes());
    out.extend_from_slice(&rate.to_le_bytes());
    out.extend_from_slice(&(rate * u32::from(channels) * 2).to_le_bytes());
    out.extend_from_slice(&(channels * 2).to_le_bytes());
    out.extend_from_slice(b"\x10\0data");
    out.extend_from_slice(&data.to_le_bytes());
    out.extend(samples.iter().flat_map(|s| to_i16(*s).to_le_bytes()));
    out
}

/// Reads a WAV file of 16-bit samples, mixed down to one channel; `None`: it is something else. A
/// length that says more than is there, as streams have, is taken as far as it goes.
#[must_use]
pub fn read_wav(bytes: &[u8]) -> Option<Mono> {
    let mut rest = bytes.strip_prefix(b"RIFF")?.get(4..)?.strip_prefix(b"WAVE")?;
    let mut form = None;
    loop {
        let (id, after) = rest.split_at_checked(4)?;
        let (length, body) = after.split_at_checked(4)?;
        let length = u32::from_le_bytes(length.try_into().ok()?) as usize;
        let body_here = &body[..length.min(body.len())];
        match id {
            b"fmt " => {
                let field = |at: usize| {
                    Some(u16::from_le_bytes(body_here.get(at..at + 2)?.try_into().ok()?))
                };
                let rate = u32::from_le_bytes(body_here.get(4..8)?.try_into().ok()?);
                form = Some((field(0)?, field(2)?, rate, field(14)?));
            }
            b"data" => {
                let (1, channels @ 1..=8, rate @ 4000..=192_000, 16) = form? else { return None };
                let channels = usize::from(channels);
                let samples = from_i16(body_here);
                let mixed = samples.chunks_exact(channels);
                let samples = mixed.map(|frame| frame.iter().sum::<f32>() / channels as f32);
                return Some(Mono { rate, samples: samples.collect() });
            }
            _ => {}
        }
        rest = body.get(length + length % 2..)?;
    }
}

/// Samples of s16le bytes.
pub(crate) fn from_i16(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(2).map(|b| f32::from(i16::from_le_bytes([b[0], b[1]])) / 32_768.0).collect()
}

pub(crate) fn to_i16(sample: f32) -> i16 {
    (sample * 32_768.0).round().clamp(-32_768.0, 32_767.0) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let samples = [0.0, 0.5, -0.5, 0.25];
        let bytes = write_wav(&samples, 16_000, 1);
        assert_eq!(read_wav(&bytes), Some(Mono { rate: 16_000, samples: samples.to_vec() }));
        let stereo = read_wav(&write_wav(&samples, 16_000, 2)).unwrap();
        assert_eq!(stereo.samples, [0.25, -0.125]);
        let mut streamed = bytes.clone();
        streamed[40..44].fill(255);
        assert_eq!(read_wav(&streamed).unwrap().samples.len(), 4);
        for end in 0..44 {
            assert!(read_wav(&bytes[..end]).is_none_or(|m| m.samples.is_empty()));
        }
    }
}
