//! Which face draws which character: the family that was asked for, then the fonts that come with this
//! program (Noto Sans Bold for Latin, Greek, Cyrillic, Arabic and Hebrew), then whatever the machine has.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, OnceLock};

use super::face::Face;

/// Fonts looked at in all folders together.
const MAX_FILES: usize = 4_000;
const MAX_DEPTH: usize = 8;

static BUNDLED: LazyLock<Vec<Arc<Face>>> = LazyLock::new(|| {
    let files: [&'static [u8]; 3] = [
        include_bytes!("../../fonts/NotoSans-Bold.ttf"),
        include_bytes!("../../fonts/NotoSansArabic-Bold.ttf"),
        include_bytes!("../../fonts/NotoSansHebrew-Bold.ttf"),
    ];
    files.into_iter().filter_map(Face::of_bytes).map(Arc::new).collect()
});

/// The fonts that text is drawn with. Folders are read when first needed, once.
#[derive(Default)]
pub struct Fonts {
    folders: Vec<PathBuf>,
    found: OnceLock<Vec<Arc<Face>>>,
}

impl std::fmt::Debug for Fonts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fonts").field("folders", &self.folders).finish_non_exhaustive()
    }
}

impl Fonts {
    /// The fonts that come with the program, and those below `folders` (files that end in ttf, otf,
    /// ttc and otc; such a file may be named itself). What is not there is passed over.
    #[must_use]
    pub fn new(folders: Vec<PathBuf>) -> Self {
        Self { folders, found: OnceLock::new() }
    }

    /// Whether a font of this family is there, whatever its case.
    #[must_use]
    pub fn has_family(&self, family: &str) -> bool {
        let family = family.to_lowercase();
        self.all().any(|face| face.family == family)
    }

    /// The face for a cluster of characters that are drawn as one, best first: the family asked for, the
    /// face before it, a bundled one, any. Emoji go to faces with colours first.
    pub(super) fn pick(
        &self,
        cluster: &str,
        asked: Option<&Arc<Face>>,
        before: Option<&Arc<Face>>,
        (weight, italic): (f32, bool),
    ) -> Option<Arc<Face>> {
        let covers = |face: &&Arc<Face>| face.covers(cluster);
        if is_emoji(cluster)
            && let Some(face) = self.all().filter(|face| face.colour).find(covers)
        {
            return Some(Arc::clone(face));
        }
        let first =
            [asked, before].into_iter().flatten().find(|face| !face.colour && face.covers(cluster));
        if let Some(face) = first.or_else(|| BUNDLED.iter().find(covers)) {
            return Some(Arc::clone(face));
        }
        let all = self.found().iter().filter(covers);
        all.min_by_key(|face| distance(face, weight, italic)).map(Arc::clone)
    }

    /// The face of a family that is nearest to a weight and slope.
    pub(super) fn family(&self, name: &str, weight: f32, italic: bool) -> Option<Arc<Face>> {
        let name = name.to_lowercase();
        let faces = self.all().filter(|face| face.family == name);
        faces.min_by_key(|face| distance(face, weight, italic)).map(Arc::clone)
    }

    /// The face that gives a block its line height where no other is named.
    pub(super) fn first() -> Option<Arc<Face>> {
        BUNDLED.first().map(Arc::clone)
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Face>> {
        BUNDLED.iter().chain(self.found())
    }

    fn found(&self) -> &[Arc<Face>] {
        self.found.get_or_init(|| {
            let mut files = Vec::new();
            for named in &self.folders {
                if named.is_file() {
                    files.push(named.clone());
                } else {
                    walk(named, MAX_DEPTH, &mut files);
                }
            }
            files.sort();
            files.dedup();
            files.iter().flat_map(|path| Face::of_file(path)).map(Arc::new).collect()
        })
    }
}

fn distance(face: &Face, weight: f32, italic: bool) -> u32 {
    let slope = if face.italic == italic { 0 } else { 500 };
    let colour = if face.colour { 2_000 } else { 0 };
    (face.weight - weight).abs() as u32 + slope + colour
}

/// Shown in colour unless said otherwise: the pictographs of the higher planes and flags, and what a
/// variation selector marks so.
fn is_emoji(cluster: &str) -> bool {
    cluster.contains('\u{fe0f}')
        || cluster.chars().any(|c| matches!(c, '\u{1f000}'..='\u{1faff}' | '\u{231a}' | '\u{231b}'
            | '\u{23e9}'..='\u{23f3}' | '\u{2705}' | '\u{2728}' | '\u{274c}' | '\u{2b50}' | '\u{26a1}'))
}

fn walk(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if files.len() >= MAX_FILES {
            return;
        }
        let path = entry.path();
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        if path.is_dir() && depth > 0 && !path.is_symlink() {
            walk(&path, depth - 1, files);
        } else if ["ttf", "otf", "ttc", "otc"].iter().any(|e| extension.eq_ignore_ascii_case(e)) {
            files.push(path);
        }
    }
}
