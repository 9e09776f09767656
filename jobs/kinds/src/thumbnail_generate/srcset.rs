//! What a web page needs to choose among the thumbnails itself: outputs of one format and one shape as
//! the `srcset` of a `<source>` element.

use flotilla_images::OutputFormat;
use schemars::JsonSchema;
use serde::Serialize;

use super::Made;

/// Shapes that differ by less than this are one: rounding to whole pixels does as much.
const SAME_SHAPE: f64 = 0.02;

/// Outputs of one format and shape.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct SrcSet {
    /// The media type, for the attribute `type`.
    #[serde(rename = "type")]
    pub media_type: String,
    /// Keys with widths, narrowest first, for the attribute `srcset`: `KEY 320w, KEY 640w`. Put the
    /// address of the blobs before each key.
    pub srcset: String,
    /// The narrowest, for the attributes `width` and `height` of `<img>`.
    pub width: u32,
    /// Its height.
    pub height: u32,
}

/// The sets with at least two widths; the better compressed formats first, as a page lists them.
pub(super) fn sets(outputs: &[Made]) -> Vec<SrcSet> {
    let mut groups: Vec<Vec<&Made>> = Vec::new();
    let shape = |made: &Made| f64::from(made.width) / f64::from(made.height.max(1));
    for made in outputs {
        let same = |group: &&mut Vec<&Made>| {
            group.first().is_some_and(|first| {
                first.format == made.format && (shape(first) / shape(made) - 1.0).abs() < SAME_SHAPE
            })
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(made),
            None => groups.push(vec![made]),
        }
    }
    let rank = |group: &Vec<&Made>| {
        let order = ["avif", "webp", "png", "jpeg"];
        order.iter().position(|format| *format == group[0].format)
    };
    groups.sort_by_key(rank);
    groups.into_iter().filter_map(set).collect()
}

fn set(mut group: Vec<&Made>) -> Option<SrcSet> {
    group.sort_by_key(|made| made.width);
    group.dedup_by_key(|made| made.width);
    let first = group.first().filter(|_| group.len() > 1)?;
    let entries: Vec<String> =
        group.iter().map(|made| format!("{} {}w", made.key, made.width)).collect();
    let formats = [OutputFormat::Jpeg, OutputFormat::Webp, OutputFormat::Avif, OutputFormat::Png];
    let format = formats.into_iter().find(|format| format.as_str() == first.format)?;
    Some(SrcSet {
        media_type: format.media_type().to_owned(),
        srcset: entries.join(", "),
        width: first.width,
        height: first.height,
    })
}

#[cfg(test)]
mod tests {
    use flotilla_core::blob::BlobKey;

    use super::*;

    fn made(name: &str, format: &str, width: u32, height: u32) -> Made {
        let key = BlobKey::new(format!("content/t/{name}.{format}")).unwrap();
        let format = format.to_owned();
        Made { name: name.into(), key, width, height, format, bytes: 1, frames: 1, score: None }
    }

    #[test]
    fn sets_hold_one_format_and_one_shape() {
        let outputs = [
            made("big", "jpeg", 640, 427),
            made("small", "jpeg", 320, 213),
            made("square", "jpeg", 100, 100),
            made("w", "webp", 640, 427),
            made("v", "webp", 320, 214),
        ];
        let found = sets(&outputs);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].media_type, "image/webp");
        assert_eq!(
            (found[1].srcset.as_str(), found[1].width),
            ("content/t/small.jpeg 320w, content/t/big.jpeg 640w", 320)
        );
    }
}
