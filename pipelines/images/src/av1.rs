//! The size that AV1 data really claims: the sequence headers of all pictures in an AVIF container, read
//! before libaom sees them, because libaom allocates what they say and not what the container says.

use std::borrow::Cow;

use crate::ImageError;

/// Bytes walked over in all, as a multiple of the file: items may share their data.
const WALK: usize = 8;

/// Width × height of the largest AV1 frame that any item of the file may unfold to.
pub(crate) fn largest_frame(source: &[u8]) -> Result<(u32, u32), ImageError> {
    let mut largest = (0, 0);
    let mut walked = 0;
    let meta = boxes(source).find(|(name, _)| name == b"meta").map(|(_, body)| body);
    let meta =
        meta.and_then(|body| body.get(4..)).ok_or_else(|| broken("it has no still picture"))?;
    let types = find(meta, b"iinf").map(item_types).unwrap_or_default();
    let idat = find(meta, b"idat").unwrap_or_default();
    let locations =
        find(meta, b"iloc").and_then(locations).ok_or_else(|| broken("its index is damaged"))?;
    for item in locations {
        if !types.iter().any(|(id, name)| *id == item.id && name == b"av01") {
            continue;
        }
        let data = item.data(if item.inside { idat } else { source })?;
        walked += data.len();
        if walked > source.len().saturating_mul(WALK) {
            return Err(broken("its items overlap too often"));
        }
        for (width, height) in sequences(&data) {
            let pixels = |(w, h): (u32, u32)| u64::from(w) * u64::from(h);
            if pixels((width, height)) > pixels(largest) {
                largest = (width, height);
            }
        }
    }
    if largest.0 == 0 { Err(broken("it has no still picture")) } else { Ok(largest) }
}

fn broken(detail: &str) -> ImageError {
    ImageError::broken("avif", detail)
}

/// Name and body of each box; ends quietly where the bytes do.
fn boxes(bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (size, after) = rest.split_first_chunk::<4>()?;
        let (name, after) = after.split_first_chunk::<4>()?;
        let (header, size) = match u32::from_be_bytes(*size) {
            0 => (8, rest.len()),
            1 => (16, usize::try_from(u64::from_be_bytes(*after.first_chunk()?)).ok()?),
            size => (8, size as usize),
        };
        let body = rest.get(header..size.min(rest.len()))?;
        rest = rest.get(size..).unwrap_or_default();
        Some((*name, body))
    })
}

fn find<'a>(bytes: &'a [u8], wanted: &[u8; 4]) -> Option<&'a [u8]> {
    boxes(bytes).find(|(name, _)| name == wanted).map(|(_, body)| body)
}

/// Number and type of each item.
fn item_types(iinf: &[u8]) -> Vec<(u32, [u8; 4])> {
    let entries = if iinf.first() == Some(&0) { 6 } else { 8 };
    boxes(iinf.get(entries..).unwrap_or_default())
        .filter(|(name, _)| name == b"infe")
        .filter_map(|(_, body)| {
            let mut reader = Bytes(body);
            let version = reader.number(4)? >> 24;
            let id = reader.number(if version < 3 { 2 } else { 4 })? as u32;
            reader.number(2)?;
            Some((id, *reader.0.first_chunk()?))
        })
        .collect()
}

struct Location {
    id: u32,
    /// In the `idat` box; else in the file.
    inside: bool,
    extents: Vec<(usize, usize)>,
}

impl Location {
    fn data<'a>(&self, from: &'a [u8]) -> Result<Cow<'a, [u8]>, ImageError> {
        let part = |&(start, length): &(usize, usize)| {
            let end = if length == 0 { from.len() } else { start.checked_add(length)? };
            from.get(start..end)
        };
        let cut = || broken("it is cut off before its end");
        if let [only] = &self.extents[..] {
            return part(only).map(Cow::Borrowed).ok_or_else(cut);
        }
        let mut all = Vec::new();
        for extent in &self.extents {
            all.extend_from_slice(part(extent).ok_or_else(cut)?);
            if all.len() > from.len() {
                return Err(broken("its items overlap"));
            }
        }
        Ok(Cow::Owned(all))
    }
}

fn locations(iloc: &[u8]) -> Option<Vec<Location>> {
    let mut reader = Bytes(iloc);
    let version = reader.number(4)? >> 24;
    let sizes = reader.number(2)? as usize;
    let [offset_size, length_size, base_size, index_size] =
        [12, 8, 4, 0].map(|shift| sizes >> shift & 15);
    let wide = if version < 2 { 2 } else { 4 };
    let count = reader.number(wide)?;
    let mut found = Vec::new();
    for _ in 0..count {
        let id = reader.number(wide)? as u32;
        let method = if version == 0 { 0 } else { reader.number(2)? & 15 };
        reader.number(2)?;
        let base = reader.number(base_size)? as usize;
        let mut extents = Vec::new();
        for _ in 0..reader.number(2)? {
            if version > 0 {
                reader.number(index_size)?;
            }
            let start = base.checked_add(reader.number(offset_size)? as usize)?;
            extents.push((start, reader.number(length_size)? as usize));
        }
        found.push(Location { id, inside: method == 1, extents });
    }
    Some(found)
}

/// Big-endian numbers from the front of some bytes.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn number(&mut self, bytes: usize) -> Option<u64> {
        let (front, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(front.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }
}

/// Frame size in each sequence header among the units of an AV1 stream.
fn sequences(mut data: &[u8]) -> Vec<(u32, u32)> {
    let mut found = Vec::new();
    while let Some((&header, rest)) = data.split_first() {
        let rest = rest.get(usize::from(header >> 2 & 1)..).unwrap_or_default();
        let Some((size, used)) =
            (if header & 2 == 0 { Some((rest.len(), 0)) } else { leb128(rest) })
        else {
            break;
        };
        let body = &rest[used..];
        let body = &body[..size.min(body.len())];
        if header >> 3 & 15 == 1
            && let Some(size) = sequence(&mut Bits { data: body, at: 0 })
        {
            found.push(size);
        }
        data = &rest[used + body.len()..];
    }
    found
}

/// A number in groups of seven bits, and how many bytes it took.
fn leb128(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0_u64;
    for (index, &byte) in bytes.iter().take(8).enumerate() {
        value |= u64::from(byte & 127) << (index * 7);
        if byte < 128 {
            return Some((usize::try_from(value).ok()?, index + 1));
        }
    }
    None
}

/// The largest frame of a sequence (section 5.5 of the AV1 specification).
fn sequence(bits: &mut Bits<'_>) -> Option<(u32, u32)> {
    bits.read(4)?;
    if bits.read(1)? == 1 {
        bits.read(5)?;
    } else {
        operating_points(bits)?;
    }
    let (across, down) = (bits.read(4)? + 1, bits.read(4)? + 1);
    Some((bits.read(across)? + 1, bits.read(down)? + 1))
}

fn operating_points(bits: &mut Bits<'_>) -> Option<()> {
    let mut delay_bits = None;
    if bits.read(1)? == 1 {
        bits.read(32)?;
        bits.read(32)?;
        if bits.read(1)? == 1 {
            let mut zeros = 0;
            while bits.read(1)? == 0 {
                zeros += 1;
            }
            bits.read(zeros)?;
        }
        if bits.read(1)? == 1 {
            delay_bits = Some(bits.read(5)? + 1);
            bits.read(32)?;
            bits.read(10)?;
        }
    }
    let display_delay = bits.read(1)? == 1;
    for _ in 0..=bits.read(5)? {
        bits.read(12)?;
        if bits.read(5)? > 7 {
            bits.read(1)?;
        }
        if let Some(delay_bits) = delay_bits
            && bits.read(1)? == 1
        {
            bits.read(delay_bits)?;
            bits.read(delay_bits)?;
            bits.read(1)?;
        }
        if display_delay && bits.read(1)? == 1 {
            bits.read(4)?;
        }
    }
    Some(())
}

struct Bits<'a> {
    data: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn read(&mut self, count: u32) -> Option<u32> {
        let mut value = 0_u64;
        for _ in 0..count.min(64) {
            let byte = *self.data.get(self.at / 8)?;
            value = value << 1 | u64::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_stands_in_a_reduced_header() {
        // temporal delimiter, then a sequence header: profile 0, still, reduced, level 0, 10 bits each
        let bits = "000 1 1 00000 1001 1001 1001010111 0100101011".replace(' ', "");
        let mut header: Vec<u8> = bits
            .as_bytes()
            .chunks(8)
            .map(|byte| byte.iter().fold(0, |sum, bit| sum << 1 | (bit - b'0')) << (8 - byte.len()))
            .collect();
        let mut stream = vec![0x12, 0, 0x0a, header.len() as u8];
        stream.append(&mut header);
        assert_eq!(sequences(&stream), [(600, 300)]);
        for end in 0..stream.len() {
            sequences(&stream[..end]);
        }
    }

    #[test]
    fn nonsense_is_broken() {
        for bytes in [&b""[..], b"\0\0\0\x10meta\0\0\0\0\0\0\0\0", &[255; 64]] {
            assert!(largest_frame(bytes).is_err());
        }
    }
}
