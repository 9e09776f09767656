//! Which format a file has, decided by its first bytes and never by its name; formats that are known
//! but not read are refused by name before any parser sees them.

use crate::ImageError;

/// Formats that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceFormat {
    /// Baseline or progressive, grey, YCbCr, RGB, CMYK or YCCK, 8 bits a sample.
    Jpeg,
    /// Every colour type and depth; of an animated one the default picture.
    Png,
    /// Lossy or lossless; of an animated one the first frame.
    Webp,
    /// The first frame.
    Gif,
    /// With or without a palette or alpha.
    Bmp,
    /// The first page: grey, palette, RGB, CMYK or Lab, up to 16 bits a sample.
    Tiff,
    /// The still picture, 8 to 12 bits a sample.
    Avif,
}

impl SourceFormat {
    /// The name used in results and errors.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jpeg => "jpeg",
            Self::Png => "png",
            Self::Webp => "webp",
            Self::Gif => "gif",
            Self::Bmp => "bmp",
            Self::Tiff => "tiff",
            Self::Avif => "avif",
        }
    }
}

/// Reads the signature.
pub(crate) fn sniff(source: &[u8]) -> Result<SourceFormat, ImageError> {
    if source.is_empty() {
        return Err(ImageError::broken("image", "the file is empty"));
    }
    if source.starts_with(&[0xff, 0xd8, 0xff]) {
        return Ok(SourceFormat::Jpeg);
    }
    if source.starts_with(b"\x89PNG\r\n\x1a\n") {
        return Ok(SourceFormat::Png);
    }
    if source.starts_with(b"RIFF") && source.get(8..12) == Some(b"WEBP") {
        return Ok(SourceFormat::Webp);
    }
    if source.starts_with(b"GIF87a") || source.starts_with(b"GIF89a") {
        return Ok(SourceFormat::Gif);
    }
    if is_bmp(source) {
        return Ok(SourceFormat::Bmp);
    }
    if TIFF.iter().any(|start| source.starts_with(start)) && !is_camera_raw(source) {
        return Ok(SourceFormat::Tiff);
    }
    if is_avif(source) {
        return Ok(SourceFormat::Avif);
    }
    Err(match other_format(source) {
        Some("svg") => ImageError::Unsupported {
            format: "svg".into(),
            advice: "drawings may load files and run scripts, so they are not opened here; \
                     send it drawn, as PNG",
        },
        Some(name) => ImageError::source_format(name),
        None => ImageError::source_format("unknown (not a picture, or its start is damaged)"),
    })
}

/// Both byte orders, with offsets of 32 and of 64 bits.
const TIFF: [&[u8]; 4] = [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"];

/// Two letters prove little: the size of the second header must be a known one.
fn is_bmp(source: &[u8]) -> bool {
    source.starts_with(b"BM")
        && matches!(source.get(14..18), Some([12 | 40 | 52 | 56 | 64 | 108 | 124, 0, 0, 0]))
}

/// Canon's raw files start as TIFF, but their first page is a preview.
fn is_camera_raw(source: &[u8]) -> bool {
    source.get(8..10) == Some(b"CR")
}

/// The major brand, or for the brands of the container in general any of the compatible ones.
fn is_avif(source: &[u8]) -> bool {
    let Some(&[a, b, c, d, b'f', b't', b'y', b'p']) = source.first_chunk() else { return false };
    let end = (u32::from_be_bytes([a, b, c, d]) as usize).clamp(8, 256).min(source.len());
    source[8..end].chunks_exact(4).any(|brand| matches!(brand, b"avif" | b"avis"))
}

fn other_format(source: &[u8]) -> Option<&'static str> {
    const SIGNATURES: [(&[u8], &str); 7] = [
        (b"II*\0", "cr2"),
        (b"\0\0\x01\0", "ico"),
        (b"\xff\x0a", "jxl"),
        (b"\0\0\0\x0cJXL ", "jxl"),
        (b"\0\0\0\x0cjP  ", "jp2"),
        (b"8BPS", "psd"),
        (b"%PDF", "pdf"),
    ];
    if let Some((_, name)) = SIGNATURES.iter().find(|(start, _)| source.starts_with(start)) {
        return Some(name);
    }
    if source.get(4..8) == Some(b"ftyp") {
        return Some(match source.get(8..12) {
            Some(b"heic" | b"heix" | b"hevc" | b"hevx" | b"mif1" | b"msf1") => "heic",
            _ => "mp4",
        });
    }
    let head = String::from_utf8_lossy(&source[..source.len().min(1024)]);
    head.contains("<svg").then_some("svg")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_formats_are_found_by_content() {
        assert_eq!(sniff(b"\xff\xd8\xff\xe0..").unwrap(), SourceFormat::Jpeg);
        assert_eq!(sniff(b"\x89PNG\r\n\x1a\n..").unwrap(), SourceFormat::Png);
        assert_eq!(sniff(b"RIFF\0\0\0\0WEBPVP8 ").unwrap(), SourceFormat::Webp);
        assert_eq!(sniff(b"GIF89a..").unwrap(), SourceFormat::Gif);
        assert_eq!(sniff(b"BM............\x28\0\0\0").unwrap(), SourceFormat::Bmp);
        assert_eq!(sniff(b"II*\0....").unwrap(), SourceFormat::Tiff);
        assert_eq!(sniff(b"MM\0*....").unwrap(), SourceFormat::Tiff);
        assert_eq!(sniff(b"\0\0\0\x14ftypavif\0\0\0\0mif1").unwrap(), SourceFormat::Avif);
        assert_eq!(sniff(b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif").unwrap(), SourceFormat::Avif);
    }

    #[test]
    fn others_are_refused_by_name() {
        for (bytes, name) in [
            (&b"\0\0\0\x20ftypheic\0"[..], "heic"),
            (b"II*\0\x10\0\0\0CR\x02\0", "cr2"),
            (b"BMW and other cars", "unknown"),
            (b"<?xml version='1.0'?><svg>", "svg"),
            (b"hello", "unknown"),
        ] {
            let message = sniff(bytes).unwrap_err().to_string();
            assert!(message.starts_with(&format!("unsupported format {name}")), "{message}");
        }
        assert!(sniff(b"").unwrap_err().to_string().contains("empty"));
    }
}
