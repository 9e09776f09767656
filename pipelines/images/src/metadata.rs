//! Metadata that outlives the resizing because somebody asked for it: a few EXIF texts, and the profile
//! that says the pixels are sRGB. Everything else of the source is gone: places and serial numbers of
//! cameras are nobody's business.

use moxcms::ColorProfile;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::request::OutputFormat;

/// Longest text that is kept, in bytes.
const MAX_TEXT: usize = 2_000;
/// Entries of a directory that are looked at.
const MAX_ENTRIES: usize = 500;
const ASCII: u16 = 2;
/// Where the first directory names the one with the dates.
const EXIF_DIRECTORY: u16 = 0x8769;

/// What may be kept of a source's metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Keep {
    /// Who made it and whose it is: EXIF `Artist` and `Copyright`.
    Copyright,
    /// What it shows: EXIF `ImageDescription`.
    Description,
    /// When it was taken: EXIF `DateTimeOriginal`.
    Date,
    /// A colour profile in each output. Outputs are sRGB, so it is that of sRGB, not the source's.
    Icc,
}

/// What goes into every output.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Kept {
    exif: Option<Vec<u8>>,
    icc: Option<Vec<u8>>,
}

impl Kept {
    /// `exif`: the block of the source, from its byte order on.
    pub(crate) fn of(keep: &[Keep], exif: Option<&[u8]>) -> Self {
        let tags: Vec<u16> = keep
            .iter()
            .flat_map(|keep| match keep {
                Keep::Copyright => &[0x013b, 0x8298][..],
                Keep::Description => &[0x010e],
                Keep::Date => &[0x9003],
                Keep::Icc => &[],
            })
            .copied()
            .collect();
        let texts = exif.filter(|_| !tags.is_empty()).map(|exif| texts(exif, &tags));
        let icc = keep.contains(&Keep::Icc).then(|| ColorProfile::new_srgb().encode().ok());
        Self {
            exif: texts.filter(|texts| !texts.is_empty()).map(|t| block(&t)),
            icc: icc.flatten(),
        }
    }

    /// The file with it; `Err`: the file as it was, the format has no place for it here.
    pub(crate) fn put_into(&self, format: OutputFormat, file: Vec<u8>) -> Result<Vec<u8>, Vec<u8>> {
        if self.exif.is_none() && self.icc.is_none() {
            return Ok(file);
        }
        let made = match format {
            OutputFormat::Jpeg => self.in_jpeg(&file),
            OutputFormat::Png => self.in_png(&file),
            OutputFormat::Webp => self.in_webp(&file),
            OutputFormat::Avif => None,
        };
        made.ok_or(file)
    }

    /// Segments after the start of the image and the JFIF segment.
    fn in_jpeg(&self, file: &[u8]) -> Option<Vec<u8>> {
        let mut at = 2;
        if file.get(2..4) == Some(&[0xff, 0xe0]) {
            at += 2 + usize::from(u16::from_be_bytes([*file.get(4)?, *file.get(5)?]));
        }
        let mut made = file.get(..at)?.to_vec();
        let mut segment = |marker: u8, name: &[u8], body: &[u8]| {
            let length = u16::try_from(2 + name.len() + body.len()).ok()?;
            made.extend([0xff, marker]);
            made.extend(length.to_be_bytes());
            made.extend_from_slice(name);
            made.extend_from_slice(body);
            Some(())
        };
        if let Some(exif) = &self.exif {
            segment(0xe1, b"Exif\0\0", exif)?;
        }
        if let Some(icc) = &self.icc {
            segment(0xe2, b"ICC_PROFILE\0\x01\x01", icc)?;
        }
        made.extend_from_slice(&file[at..]);
        Some(made)
    }

    /// Chunks after the header; that the colours are sRGB takes a chunk of one byte.
    fn in_png(&self, file: &[u8]) -> Option<Vec<u8>> {
        let header = 8 + 25;
        let mut made = file.get(..header)?.to_vec();
        let mut chunk = |name: &[u8; 4], body: &[u8]| {
            made.extend((body.len() as u32).to_be_bytes());
            made.extend_from_slice(name);
            made.extend_from_slice(body);
            made.extend(crc32(&[name, body]).to_be_bytes());
        };
        if self.icc.is_some() {
            chunk(b"sRGB", &[0]);
        }
        if let Some(exif) = &self.exif {
            chunk(b"eXIf", exif);
        }
        made.extend_from_slice(&file[header..]);
        Some(made)
    }

    /// The extended form: a header that says what follows, the profile before the picture, EXIF behind.
    fn in_webp(&self, file: &[u8]) -> Option<Vec<u8>> {
        let first = file.get(12..16)?;
        let (mut extended, rest) = if first == b"VP8X" {
            (file.get(20..30)?.to_vec(), file.get(30..)?)
        } else {
            // a lossy frame: its size stands after its tag and start code
            let side =
                |at: usize| Some(u16::from_le_bytes([*file.get(at)?, *file.get(at + 1)?]) & 0x3fff);
            let (width, height) = (u32::from(side(26)?), u32::from(side(28)?));
            let mut extended = vec![0; 4];
            extended.extend_from_slice(&width.checked_sub(1)?.to_le_bytes()[..3]);
            extended.extend_from_slice(&height.checked_sub(1)?.to_le_bytes()[..3]);
            (extended, file.get(12..)?)
        };
        extended[0] |= u8::from(self.icc.is_some()) << 5 | u8::from(self.exif.is_some()) << 3;
        let mut made = b"RIFF\0\0\0\0WEBP".to_vec();
        let chunk = |made: &mut Vec<u8>, name: &[u8; 4], body: &[u8]| {
            made.extend_from_slice(name);
            made.extend((body.len() as u32).to_le_bytes());
            made.extend_from_slice(body);
            made.resize(made.len().next_multiple_of(2), 0);
        };
        chunk(&mut made, b"VP8X", &extended);
        if let Some(icc) = &self.icc {
            chunk(&mut made, b"ICCP", icc);
        }
        made.extend_from_slice(rest);
        made.resize(made.len().next_multiple_of(2), 0);
        if let Some(exif) = &self.exif {
            chunk(&mut made, b"EXIF", exif);
        }
        let length = u32::try_from(made.len() - 8).ok()?.to_le_bytes();
        made[4..8].copy_from_slice(&length);
        Some(made)
    }
}

/// Reads numbers of a block in its byte order, never beyond its end.
struct Block<'a> {
    bytes: &'a [u8],
    little: bool,
}

impl Block<'_> {
    fn short(&self, at: usize) -> Option<u16> {
        let pair = *self.bytes.get(at..)?.first_chunk()?;
        Some(if self.little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) })
    }

    fn long(&self, at: usize) -> Option<usize> {
        let four = *self.bytes.get(at..)?.first_chunk()?;
        Some(if self.little { u32::from_le_bytes(four) } else { u32::from_be_bytes(four) } as usize)
    }

    /// The entries of a directory: tag, type, count, and where the value stands.
    fn entries(&self, at: usize) -> impl Iterator<Item = (u16, u16, usize, usize)> {
        let count = usize::from(self.short(at).unwrap_or(0)).min(MAX_ENTRIES);
        (0..count).map_while(move |n| {
            let entry = at + 2 + n * 12;
            Some((self.short(entry)?, self.short(entry + 2)?, self.long(entry + 4)?, entry + 8))
        })
    }
}

/// The texts of these tags.
fn texts(exif: &[u8], tags: &[u16]) -> Vec<(u16, Vec<u8>)> {
    let block = Block { bytes: exif, little: exif.starts_with(b"II") };
    let Some(first) = block.long(4) else { return Vec::new() };
    let inner = block.entries(first).find(|entry| entry.0 == EXIF_DIRECTORY);
    let inner = inner.and_then(|(.., value)| block.long(value));
    let mut found: Vec<(u16, Vec<u8>)> = Vec::new();
    for (tag, kind, count, value) in
        block.entries(first).chain(inner.into_iter().flat_map(|at| block.entries(at)))
    {
        let wanted = kind == ASCII && tags.contains(&tag);
        if !wanted || found.iter().any(|(known, _)| *known == tag) {
            continue;
        }
        let at = if count <= 4 { Some(value) } else { block.long(value) };
        let text = at.and_then(|at| exif.get(at..at.checked_add(count)?));
        let text = text.unwrap_or_default().split(|byte| *byte == 0).next().unwrap_or_default();
        let text: Vec<u8> =
            text.iter().copied().filter(|byte| *byte >= 0x20).take(MAX_TEXT).collect();
        if !text.is_empty() {
            found.push((tag, text));
        }
    }
    found.sort_unstable();
    found
}

/// A block with nothing but these texts; dates stand in a directory of their own.
fn block(texts: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let (dates, plain): (Vec<_>, Vec<_>) = texts.iter().partition(|(tag, _)| *tag >= 0x9000);
    let links = usize::from(!dates.is_empty());
    let size = |entries: usize| if entries == 0 { 0 } else { 2 + entries * 12 + 4 };
    let inner = 8 + size(plain.len() + links);
    let mut values = inner + size(dates.len());
    let mut made = b"II*\0\x08\0\0\0".to_vec();
    let mut tail = Vec::new();
    let mut directory = |made: &mut Vec<u8>, entries: &[&(u16, Vec<u8>)], link: bool| {
        made.extend(((entries.len() + usize::from(link)) as u16).to_le_bytes());
        for (tag, text) in entries {
            entry(made, &mut tail, &mut values, *tag, text);
        }
        // the tags of all texts that stand here are lower
        if link {
            made.extend(EXIF_DIRECTORY.to_le_bytes());
            made.extend([4, 0, 1, 0, 0, 0]);
            made.extend((inner as u32).to_le_bytes());
        }
        made.extend([0; 4]);
    };
    directory(&mut made, &plain, links == 1);
    if links == 1 {
        directory(&mut made, &dates, false);
    }
    made.append(&mut tail);
    made
}

/// One entry of a directory; a text of more than four bytes stands behind all directories.
fn entry(made: &mut Vec<u8>, tail: &mut Vec<u8>, values: &mut usize, tag: u16, text: &[u8]) {
    let count = text.len() + 1;
    made.extend(tag.to_le_bytes());
    made.extend(ASCII.to_le_bytes());
    made.extend((count as u32).to_le_bytes());
    if count <= 4 {
        let mut short = [0; 4];
        short[..text.len()].copy_from_slice(text);
        made.extend(short);
        return;
    }
    made.extend((*values as u32).to_le_bytes());
    tail.extend_from_slice(text);
    tail.resize(tail.len() + 1 + count % 2, 0);
    *values += count + count % 2;
}

/// The check sum of PNG's chunks.
fn crc32(parts: &[&[u8]]) -> u32 {
    let bytes = parts.iter().flat_map(|part| part.iter());
    !bytes.fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else_is_kept() {
        let all = [
            (0x010e_u16, b"A fig".to_vec()),
            (0x013b, b"Ann".to_vec()),
            (0x8298, b"(c) Ann, 2026".to_vec()),
            (0x9003, b"2026:11:21 10:00:00".to_vec()),
        ];
        let exif = block(&all);
        let tags: Vec<u16> = all.iter().map(|(tag, _)| *tag).collect();
        assert_eq!(texts(&exif, &tags), all);
        let kept = Kept::of(&[Keep::Copyright], Some(&exif)).exif.unwrap();
        assert_eq!(texts(&kept, &tags), all[1..3]);
        assert_eq!(Kept::of(&[Keep::Date], Some(&block(&all[..1]))).exif, None);
        assert_eq!(Kept::of(&[], Some(&exif)), Kept::default());
    }

    #[test]
    fn damaged_blocks_give_what_they_have_and_never_a_panic() {
        let exif = block(&[(0x8298, b"copyright of somebody".to_vec()), (0x9003, vec![b'1'; 19])]);
        for end in 0..exif.len() {
            let _ = texts(&exif[..end], &[0x8298, 0x9003]);
        }
        for at in 0..exif.len() {
            let mut odd = exif.clone();
            odd[at] = 0xff;
            let _ = texts(&odd, &[0x8298, 0x9003]);
        }
    }

    #[test]
    fn a_check_sum_is_that_of_png() {
        assert_eq!(crc32(&[b"IE", b"ND"]), 0xae42_6082);
    }
}
