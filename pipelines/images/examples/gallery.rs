//! Writes an HTML page that shows every picture of some folders with every option, beside the picture as
//! the browser itself scales it: what only eyes can judge. `make gallery` runs it.
//!
//! Usage: `gallery OUT DIR...`

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flotilla_images::text::Fonts;
use flotilla_images::{Limits, Overlay, Request, Thumbnails, Workshop};
use serde_json::{Value, json};

const STYLE: &str = "body{font:14px system-ui,sans-serif;margin:24px;background:#f4f4f2;color:#222}\
h2{margin:36px 0 8px;font-size:16px}section{display:flex;flex-wrap:wrap;gap:14px}\
figure{margin:0;width:240px}figure img{display:block;background:\
repeating-conic-gradient(#ddd 0 25%,#fff 0 50%) 0 0/16px 16px}\
figcaption{padding:4px 0;font-size:12px;color:#555}\
.reference{width:240px;height:240px;object-fit:cover;image-orientation:from-image}\
.swatch{display:inline-block;width:28px;height:28px}.error{color:#b00}";

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let out = arguments.next().ok_or("usage: gallery OUT DIR...")?;
    std::fs::create_dir_all(&out)?;
    let logo = std::fs::read(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/demo/badge.png"),
    )?;
    let fonts = Fonts::new(vec!["/usr/share/fonts".into(), "/usr/local/share/fonts".into()]);
    let mut gallery = Gallery {
        workshop: Workshop::with_fonts(Arc::new(fonts)),
        logo: logo.into(),
        page: format!(
            "<!doctype html><meta charset=utf-8><title>Gallery</title><style>{STYLE}</style><h1>Gallery</h1>"
        ),
        out,
        made: 0,
    };
    for folder in arguments {
        let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()?;
        files.sort();
        for file in files.iter().filter(|file| is_picture(file)) {
            gallery.show(file)?;
        }
    }
    let page = gallery.out.join("index.html");
    std::fs::write(&page, gallery.page)?;
    println!("{} pictures: {}", gallery.made, page.display());
    if gallery.made == 0 { Err("no picture was made; see the page for why".into()) } else { Ok(()) }
}

fn is_picture(file: &Path) -> bool {
    let extension = file.extension().and_then(|e| e.to_str()).unwrap_or_default();
    ["jpg", "jpeg", "png", "webp", "avif", "gif", "tif", "tiff", "bmp"].contains(&extension)
}

struct Gallery {
    workshop: Workshop,
    logo: Arc<[u8]>,
    page: String,
    out: PathBuf,
    made: usize,
}

impl Gallery {
    /// A row for one file: the browser's own scaling, then what each request makes of it.
    fn show(&mut self, file: &Path) -> Result<(), Box<dyn Error>> {
        let source = std::fs::read(file)?;
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let copy = format!("source-{}-{name}", self.made);
        std::fs::write(self.out.join(&copy), &source)?;
        write!(
            self.page,
            "<h2>{name} · {} KB</h2><section><figure><img class=reference src='{copy}'>\
             <figcaption>by the browser</figcaption></figure>",
            source.len() / 1024
        )?;
        for (request, overlays) in requests() {
            let mut request: Request = serde_json::from_value(request)?;
            let overlays: Vec<Overlay<bool>> = serde_json::from_value(overlays)?;
            for overlay in overlays {
                let image = overlay.image.map(|_| Arc::clone(&self.logo));
                request.overlays.push(overlay.with_image(image));
            }
            match self.workshop.thumbnails(&source, &request, &Limits::default(), &|| false) {
                Ok(made) => self.add(&made)?,
                Err(error) => {
                    write!(self.page, "<p class=error>{error}</p>")?;
                    break;
                }
            }
        }
        write!(self.page, "</section>")?;
        Ok(())
    }

    fn add(&mut self, made: &Thumbnails) -> Result<(), Box<dyn Error>> {
        for output in &made.outputs {
            self.made += 1;
            let file = format!("{}-{}.{}", self.made, output.name, output.format);
            std::fs::write(self.out.join(&file), &output.bytes)?;
            let score = output.score.map_or(String::new(), |score| format!(" · score {score}"));
            write!(
                self.page,
                "<figure><img src='{file}' width={}><figcaption>{} · {} · {}×{} · {} bytes{score}</figcaption></figure>",
                output.width.min(240),
                output.name,
                output.format,
                output.width,
                output.height,
                output.bytes.len()
            )?;
        }
        if let Some(colours) = &made.colours {
            write!(self.page, "<figure>")?;
            for colour in colours {
                write!(self.page, "<span class=swatch style='background:{colour}'></span>")?;
            }
            write!(
                self.page,
                "<figcaption>colours · focus {:?}</figcaption></figure>",
                made.focus
            )?;
        }
        for warning in &made.warnings {
            write!(self.page, "<p class=error>{warning}</p>")?;
        }
        Ok(())
    }
}

/// Requests and their overlays; `true` stands for the logo.
fn requests() -> Vec<(Value, Value)> {
    let square = |name: &str, format: &str| json!({"name": name, "width": 240, "height": 240, "fit": "cover", "format": format});
    let with = |name: &str, key: &str, value: Value| {
        let mut output = square(name, "jpeg");
        output[key] = value;
        output
    };
    vec![
        (
            json!({"outputs": [
                square("cover", "jpeg"), square("cover-webp", "webp"),
                square("cover-avif", "avif"), square("cover-png", "png"), with("sharpen", "sharpen", json!(0.6)),
                with("target-50", "target", json!(50)), with("target-80", "target", json!(80)),
                with("contain", "fit", json!("contain")),
            ]}),
            json!([]),
        ),
        (
            json!({"outputs": [{"name": "animated", "width": 240, "height": 240, "fit": "cover",
                "format": "webp", "animated": true}]}),
            json!([{"badge": {"text": "-30%", "shape": "circle"}, "gravity": "top-left"}]),
        ),
        (
            json!({"outputs": [square("focus-auto", "jpeg")], "focus": "auto", "placeholder": true}),
            json!([]),
        ),
        (
            json!({"outputs": [with("pad", "fit", json!("pad"))], "background": "#1c3f5e"}),
            json!([]),
        ),
        (
            json!({"outputs": [square("offer", "jpeg")]}),
            json!([
                {"image": true, "scale": 0.22, "gravity": "bottom-right", "opacity": 0.9},
                {"badge": {"text": "19,99 €", "was": "29,99 €"}},
                {"badge": {"text": "-30%", "shape": "circle", "background": "#0a7d38", "size": 0.07}, "gravity": "top-left"},
            ]),
        ),
        (
            json!({"outputs": [square("outlined", "jpeg")]}),
            json!([{"text": {"text": "Fresh from the oven 🥐🔥", "size": 0.11, "outline": {"colour": "#000", "width": 0.1}}}]),
        ),
        (
            json!({"outputs": [square("right-to-left", "jpeg")]}),
            json!([
                {"text": {"text": "خصم ٣٠٪ اليوم فقط", "size": 0.1, "background": {"colour": "#111"}}, "gravity": "top"},
                {"text": {"text": "מבצע קיץ – 50 ₪ בלבד", "size": 0.09, "background": {"colour": "#fff", "opacity": 0.85}, "colour": "#222"}},
            ]),
        ),
    ]
}
