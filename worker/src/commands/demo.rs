//! `flotilla demo`: the main job on real input. Photos become thumbnails and captions become
//! insights, through a durable queue, with a live view; one job is retried on the way and one
//! ends among the dead letters.

mod assets;
mod flaky;
mod page;
mod view;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use flotilla_config::{Config, LoadOptions};
use flotilla_core::records::{Filter, JobRecord, Page};
use flotilla_core::{Envelope, JobId, Kind, Payload, State};
use flotilla_engine::Report;
use serde_json::{Value, json};

use self::assets::Material;
use self::flaky::Flaky;
use crate::cli::Demo;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::wire::{self, Access, Ports};

const THUMBNAIL: Kind = Kind::from_static("thumbnail.generate");
const CAPTION: Kind = Kind::from_static("caption.parse");

pub(super) async fn run(args: &Demo, _: &Config) -> Result<Exit, Failure> {
    let dir = folder(args.dir.as_deref())?;
    let material = Material::gather(args, &dir)?;
    let flaky = Flaky::start(assets::bundled("fig.jpg")).await?;
    let config = config(&dir, &material, &flaky)?;
    let ports = wire::ports(&config).await?;
    let outcome = work(&config, &ports, &material, &flaky).await;
    let told = match outcome {
        Ok((report, took, ids)) => tell(&ports, &dir, &report, took, &ids).await,
        Err(failure) => Err(failure),
    };
    ports.close().await;
    told
}

/// A folder that stays: the outputs are there to be looked at.
fn folder(given: Option<&Path>) -> Result<PathBuf, Failure> {
    let dir = match given {
        Some(dir) => {
            std::fs::create_dir_all(dir).map_err(|e| {
                Failure::usage(format!("cannot make the folder {}: {e}", dir.display()))
            })?;
            dir.to_owned()
        }
        None => tempfile::Builder::new().prefix("flotilla-demo-").tempdir()?.keep(),
    };
    Ok(dir.canonicalize()?)
}

/// The embedded profile in that folder. The photos may be read, and so may the one stand-in for
/// a busy server, which is on this machine and would be refused otherwise.
fn config(dir: &Path, material: &Material, flaky: &Flaky) -> Result<Config, Failure> {
    let text = |path: &Path| {
        path.to_str()
            .map(str::to_owned)
            .ok_or_else(|| Failure::usage("the folder's name is not UTF-8"))
    };
    let overrides = vec![
        ("data.dir".into(), text(dir)?),
        (
            "sources.roots".into(),
            json!([text(&material.photos)?, text(&material.bundled)?]).to_string(),
        ),
        ("sources.allow_hosts".into(), json!([flaky.host()]).to_string()),
    ];
    Config::load(LoadOptions { overrides, ..LoadOptions::default() }).map_err(Failure::config)
}

/// Enqueues everything, runs a worker until all is done, shows how it goes.
async fn work(
    config: &Config,
    ports: &Ports,
    material: &Material,
    flaky: &Flaky,
) -> Result<(Report, Duration, Vec<JobId>), Failure> {
    let mut settings = wire::engine::settings(config)?;
    settings.until_idle = true;
    let vault = wire::vault::open(config, ports)?;
    let registry = Arc::new(wire::kinds(config, Access::Worker { vault }).await?);
    let before = ports.records.lanes().await?;
    let ids: Vec<JobId> = wire::ops(config, ports)?
        .enqueue(envelopes(material, flaky)?)
        .await?
        .into_iter()
        .map(|accepted| accepted.id)
        .collect();
    let begin = Instant::now();
    let running = wire::engine::start(ports, registry, settings, prometheus::Registry::new())?;
    let view = tokio::spawn(view::follow(Arc::clone(&ports.records), running.events(), before));
    let report = running.finished().await;
    let took = begin.elapsed();
    view.await.map_err(Failure::bug)?;
    Ok((report, took, ids))
}

fn envelopes(material: &Material, flaky: &Flaky) -> Result<Vec<Envelope>, Failure> {
    let mut all = Vec::new();
    let mut add = |kind: Kind, payload: Value| -> Result<(), Failure> {
        all.push(Envelope::new(kind, Payload::of(&payload)?));
        Ok(())
    };
    for file in &material.files {
        add(THUMBNAIL, thumbnail(json!({"path": file})))?;
    }
    for caption in &material.captions {
        add(CAPTION, caption.clone())?;
    }
    // What a newcomer should see as well: a server that is busy at first, and a broken photo.
    add(THUMBNAIL, thumbnail(json!({"url": flaky.url()})))?;
    add(THUMBNAIL, thumbnail(json!({"path": material.bundled.join("broken.jpg")})))?;
    Ok(all)
}

/// Five sizes of one photo.
fn thumbnail(source: Value) -> Value {
    json!({"source": source, "placeholder": true, "outputs": [
        {"name": "story", "width": 1080, "height": 1920, "fit": "cover", "format": "jpeg"},
        {"name": "feed", "width": 720, "height": 720, "fit": "cover", "format": "jpeg"},
        {"name": "tile", "width": 480, "height": 480, "fit": "cover", "format": "webp"},
        {"name": "preview", "width": 320, "fit": "width", "format": "webp"},
        {"name": "icon", "width": 150, "height": 150, "fit": "cover", "format": "jpeg"},
    ]})
}

/// The end: figures, what went wrong on purpose, where everything lies, what to try next.
async fn tell(
    ports: &Ports,
    dir: &Path,
    report: &Report,
    took: Duration,
    ids: &[JobId],
) -> Result<Exit, Failure> {
    let mut jobs: Vec<JobRecord> = Vec::with_capacity(ids.len());
    for chunk in ids.chunks(500) {
        let filter = Filter { ids: chunk.to_vec(), ..Filter::default() };
        jobs.extend(ports.records.list(&filter, Page { limit: 1_000, before: None }).await?.jobs);
    }
    jobs.sort_by_key(|job| job.id);
    let index = page::write(dir, &jobs)?;
    let seconds = took.as_secs_f64();
    output::line(format!(
        "{} jobs completed in {seconds:.1} s ({:.0} jobs/s), {} retried, {} dead letter{}",
        report.completed,
        report.completed as f64 / seconds.max(0.001),
        report.retried,
        report.dead,
        if report.dead == 1 { "" } else { "s" },
    ))?;
    if let Some(job) = jobs.iter().find(|j| j.state == State::Completed && !j.errors.is_empty()) {
        let error = output::clip(&job.errors[0].error, 90);
        output::line(format!("  retried      {}  first: {error}; then it went well", job.id))?;
    }
    let dead = jobs.iter().find(|j| j.state == State::Dead);
    if let Some(job) = dead {
        let error = job.errors.last().map(|e| output::clip(&e.error, 90)).unwrap_or_default();
        output::line(format!("  dead letter  {}  {error}", job.id))?;
    }
    output::line(format!("\nEverything lies in {}", dir.display()))?;
    output::line(format!("  open {} to look at it", index.display()))?;
    output::line("\nTry next")?;
    let (program, data) = (program(), dir.display());
    output::line(format!("  {program} --data {data} jobs list --limit 10"))?;
    if let Some(job) = dead.or(jobs.first()) {
        let verb = if dead.is_some() { "dead show" } else { "jobs show" };
        output::line(format!("  {program} --data {data} {verb} {}", job.id))?;
    }
    output::line(format!("  {program} schema thumbnail.generate"))?;
    let unexpected = jobs.iter().filter(|j| j.state != State::Completed).count();
    Ok(if unexpected <= 1 { Exit::Ok } else { Exit::JobFailed })
}

/// How to call this program from here: by its bare name only where that finds it.
fn program() -> String {
    let Ok(here) = std::env::current_exe() else { return "flotilla".to_owned() };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|dir| dir.join("flotilla") == here);
    if found {
        return "flotilla".to_owned();
    }
    let cwd = std::env::current_dir().unwrap_or_default();
    here.strip_prefix(&cwd).unwrap_or(&here).display().to_string()
}
