//! Makes the five usual thumbnails of every picture in a folder and prints what they cost: the
//! program that benchmarks compare with other tools.
//!
//! `thumbs DIR [--out DIR] [--format jpeg|webp|avif|png] [--quality N] [--repeat N]`

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use flotilla_images::{Fit, Limits, Output, OutputFormat, Request, Workshop};

struct Arguments {
    folder: PathBuf,
    out: Option<PathBuf>,
    format: OutputFormat,
    quality: Option<u8>,
    repeat: u32,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = arguments()?;
    let mut files: Vec<PathBuf> = std::fs::read_dir(&arguments.folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.retain(|path| path.is_file());
    files.sort();
    if let Some(out) = &arguments.out {
        std::fs::create_dir_all(out)?;
    }
    let request = request(&arguments);
    let mut workshop = Workshop::default();
    let (mut photos, mut total, mut bytes) = (0, 0.0, 0);
    for path in &files {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let mut best = f64::INFINITY;
        for _ in 0..arguments.repeat {
            let start = Instant::now();
            let source = std::fs::read(path)?;
            let made = workshop.thumbnails(&source, &request, &Limits::default(), &|| false);
            let made = match made {
                Ok(made) => made,
                Err(error) => {
                    println!("{name}: {error}");
                    break;
                }
            };
            if let Some(out) = &arguments.out {
                for output in &made.outputs {
                    let file = format!("{name}.{}.{}", output.name, output.format);
                    std::fs::write(out.join(file), &output.bytes)?;
                }
            }
            let spent = start.elapsed().as_secs_f64() * 1000.0;
            if best.is_infinite() {
                photos += 1;
                bytes += made.outputs.iter().map(|o| o.bytes.len()).sum::<usize>();
                best = spent;
            }
            best = best.min(spent);
        }
        if best.is_finite() {
            total += best;
            println!("{best:8.2} ms  {name}");
        }
    }
    let mean = total / f64::from(photos.max(1));
    println!("{photos} photos, {mean:.2} ms each, {bytes} bytes");
    Ok(())
}

fn request(arguments: &Arguments) -> Request {
    let output = |name: &str, width, height, fit| Output {
        width: Some(width),
        height,
        quality: arguments.quality,
        ..Output::new(name, fit, arguments.format)
    };
    Request {
        outputs: vec![
            output("1080x1920", 1080, Some(1920), Fit::Cover),
            output("720x720", 720, Some(720), Fit::Cover),
            output("480x480", 480, Some(480), Fit::Cover),
            output("320w", 320, None, Fit::Width),
            output("150x150", 150, Some(150), Fit::Cover),
        ],
        ..Request::default()
    }
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    const USAGE: &str =
        "thumbs DIR [--out DIR] [--format jpeg|webp|avif|png] [--quality N] [--repeat N]";
    let mut words = std::env::args().skip(1);
    let mut arguments = Arguments {
        folder: words.next().ok_or(USAGE)?.into(),
        out: None,
        format: OutputFormat::Jpeg,
        quality: None,
        repeat: 1,
    };
    while let Some(word) = words.next() {
        let value = words.next().ok_or(USAGE)?;
        match word.as_str() {
            "--out" => arguments.out = Some(value.into()),
            "--format" => {
                arguments.format = match value.as_str() {
                    "jpeg" => OutputFormat::Jpeg,
                    "webp" => OutputFormat::Webp,
                    "avif" => OutputFormat::Avif,
                    "png" => OutputFormat::Png,
                    _ => return Err(USAGE.into()),
                }
            }
            "--quality" => arguments.quality = Some(value.parse()?),
            "--repeat" => arguments.repeat = value.parse()?,
            _ => return Err(USAGE.into()),
        }
    }
    Ok(arguments)
}
