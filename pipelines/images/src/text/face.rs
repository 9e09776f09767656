//! One face of a font file: read table by table when first needed, so that a catalogue of hundreds of
//! fonts costs no more than their names.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use harfrust::Tag;
use harfrust::font::attribute::Style;
use harfrust::font::name::NameId;
use harfrust::font::{Blob, Font, TableFunction};

/// Tables beyond this are not read: the largest of a known font is 30 MB of colour bitmaps.
const MAX_TABLE: u64 = 64 << 20;

/// A face that can be searched and drawn.
pub(super) struct Face {
    pub(super) font: Font,
    /// In lower case.
    pub(super) family: String,
    pub(super) weight: f32,
    pub(super) italic: bool,
    /// Its pictures have colours of their own.
    pub(super) colour: bool,
}

impl Face {
    pub(super) fn of_bytes(bytes: &'static [u8]) -> Option<Self> {
        Self::new(Font::new(bytes, 0)?)
    }

    /// All faces of a file that can be read; none where it is no font.
    pub(super) fn of_file(path: &Path) -> Vec<Self> {
        let Ok(directories) = directories(path) else { return Vec::new() };
        let open = |tables: Vec<Table>| {
            let path = path.to_owned();
            let read = move |tag: Tag| read_table(&path, &tables, tag).map(Blob::from);
            Self::new(Font::new(TableFunction::new(Arc::new(read)), 0)?)
        };
        directories.into_iter().filter_map(open).collect()
    }

    fn new(font: Font) -> Option<Self> {
        let names = font.names();
        let family = [NameId::TYPOGRAPHIC_FAMILY_NAME, NameId::FAMILY_NAME]
            .into_iter()
            .find_map(|id| names.get(id)?.english_or_first())
            .map(|name| name.name().chars().take(100).collect::<String>())?;
        let attributes = font.default_attributes();
        let colour = !font.bitmap_strikes().is_empty() || !font.color_glyphs().is_empty();
        Some(Self {
            family: family.to_lowercase(),
            weight: attributes.weight.value(),
            italic: attributes.style != Style::Normal,
            colour,
            font,
        })
    }

    /// Whether it has a glyph for every character that needs one.
    pub(super) fn covers(&self, cluster: &str) -> bool {
        let charmap = self.font.charmap();
        cluster.chars().all(|c| is_invisible(c) || charmap.map_unicode(c).is_some())
    }
}

/// Joiners and variation selectors, which shape others and need no glyph.
pub(super) fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e0020}'..='\u{e007f}')
        || c.is_control()
}

#[derive(Clone, Copy)]
struct Table {
    tag: Tag,
    offset: u64,
    length: u64,
}

/// The table directory of each font of a file.
fn directories(path: &Path) -> std::io::Result<Vec<Vec<Table>>> {
    let mut file = File::open(path)?;
    let mut start = [0; 12];
    file.read_exact(&mut start)?;
    if &start[..4] != b"ttcf" {
        return Ok(vec![directory(&mut file, 0)?]);
    }
    let count = u32::from_be_bytes([start[8], start[9], start[10], start[11]]).min(64);
    let mut offsets = vec![0; count as usize * 4];
    file.read_exact(&mut offsets)?;
    let offsets = offsets.chunks_exact(4).map(|o| u32::from_be_bytes([o[0], o[1], o[2], o[3]]));
    offsets.map(|offset| directory(&mut file, offset.into())).collect()
}

fn directory(file: &mut File, at: u64) -> std::io::Result<Vec<Table>> {
    file.seek(SeekFrom::Start(at))?;
    let mut start = [0; 12];
    file.read_exact(&mut start)?;
    let known = matches!(&start[..4], [0, 1, 0, 0] | b"OTTO" | b"true");
    let count = if known { u16::from_be_bytes([start[4], start[5]]).min(256) } else { 0 };
    let mut records = vec![0; usize::from(count) * 16];
    file.read_exact(&mut records)?;
    let number = |b: &[u8]| u64::from(u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
    Ok(records
        .chunks_exact(16)
        .map(|record| Table {
            tag: Tag::new(&[record[0], record[1], record[2], record[3]]),
            offset: number(&record[8..]),
            length: number(&record[12..]),
        })
        .collect())
}

fn read_table(path: &PathBuf, tables: &[Table], wanted: Tag) -> Option<Vec<u8>> {
    let table = tables.iter().find(|table| table.tag == wanted && table.length <= MAX_TABLE)?;
    let mut file = File::open(path).ok()?;
    file.seek(SeekFrom::Start(table.offset)).ok()?;
    let mut bytes = Vec::new();
    file.take(table.length).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 == table.length).then_some(bytes)
}
