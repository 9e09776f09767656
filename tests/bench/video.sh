#!/usr/bin/env bash
# A 60-second narrated video: `flotilla try video.render` in turn with the same scenes as one ffmpeg
# filter graph (zoompan on twice the size, xfade, libass), as moviepy (its first scene: the whole takes
# minutes) and as editly (lines instead of words), with the same encoder settings.
#
#   tests/bench/video.sh [RUNS]    default 3; FLOTILLA names the binary (an optimised one)
#
# Prints CPU seconds per second of video, wall time, peak memory and size of each, medians and ratios, what
# one changed scene costs, and how far a zoom strays from its path (jitter, in pixels). Peers are installed
# at their pinned versions into .cache/video; one that cannot be installed is left out, and said to be.
set -euo pipefail
cd "$(dirname "$0")/../.."

runs=${1:-3}
flotilla=$(realpath "${FLOTILLA:-target/release/flotilla}")
[[ -x $flotilla ]] || { echo "video.sh: build first: cargo build --release --bin flotilla" >&2; exit 1; }
worker/scripts/media.sh

cache=$PWD/.cache/video
mkdir -p "$cache"
cp tests/bench/video/* "$cache/"
if [[ ! -x $cache/venv/bin/python ]]; then
    python3 -m venv "$cache/venv" && "$cache/venv/bin/pip" -q install moviepy==2.2.1 || rm -rf "$cache/venv"
fi
# editly draws with headless-gl: it needs an X server and, to be built, headers of cairo and OpenGL
if [[ ! -d $cache/node_modules/editly ]] && command -v npm >/dev/null && command -v xvfb-run >/dev/null; then
    (cd "$cache" && npm install --no-package-lock --no-audit --no-fund --silent) || rm -rf "$cache/node_modules"
fi

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# Five stills, deliberately hard to encode: soft noise, grain, shapes.
for n in 1 2 3 4 5; do
    ffmpeg -hide_banner -loglevel error -y -f lavfi \
        -i "mandelbrot=size=1024x1792:start_scale=0.$((n * 3)):rate=1,noise=alls=12:all_seed=$n,hue=h=$((n * 60))" \
        -frames:v 1 -q:v 3 "$dir/$n.jpg"
done

python3 - "$dir" "$flotilla" "$runs" "$cache" <<'PYTHON'
import json, os, re, resource, shutil, statistics, subprocess, sys, threading, time

folder, flotilla, runs, cache = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
words = ("the quick brown fox jumps over the lazy dog while seven bright lanterns drift along the quiet river "
         "and every window in the little town begins to glow as evening settles softly on the hills").split()
texts = [" ".join(words[(n * 5 + k) % len(words)] for k in range(34)).capitalize() + "." for n in range(5)]

def payload(last=texts[4]):
    scenes = [{"text": text, "image": {"path": f"{folder}/{n + 1}.jpg"}, "motion": "zoom_in"}
              for n, text in enumerate(texts[:4] + [last])]
    return {"scenes": scenes, "fps": 30, "captions": {"max_words": 4}}

def memory(session):
    """MiB that all processes of a session hold, shared pages divided among those who share them."""
    total = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[3]) == session:
                total += int(re.search(r"^Pss: +(\d+)", open(f"/proc/{pid}/smaps_rollup").read(), re.M).group(1))
        except (OSError, AttributeError):
            pass  # it has ended meanwhile
    return total / 1024

def measured(command, **more):
    """CPU seconds of the command and all below it, wall seconds, peak MiB, output."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, **more)
    peak, ended = [0], threading.Event()
    def watch():
        while not ended.wait(0.25):
            peak[0] = max(peak[0], memory(child.pid))
    watcher = threading.Thread(target=watch)
    watcher.start()
    out, said = child.communicate()
    ended.set()
    watcher.join()
    if child.returncode:
        sys.exit(f"video.sh: {command[0]} failed: {said[-2000:]}")
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - begun
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, wall, peak[0], out

def ours(job, out, fresh=True):
    if fresh:
        shutil.rmtree(out, ignore_errors=True)
    file = f"{folder}/job.json"
    json.dump(job, open(file, "w"))
    env = dict(os.environ, FLOTILLA__VIDEO__HARDWARE="off")
    cpu, wall, peak, said = measured([flotilla, "try", "video.render", "--out", out, "--payload", f"@{file}"], env=env)
    return cpu, wall, peak, json.loads(said.splitlines()[-1])["result"]

def graph(result, out):
    """The same in one filter graph: the captions and the sound are those of our video."""
    command = ["ffmpeg", "-hide_banner", "-nostdin", "-loglevel", "error", "-y"]
    parts, lengths = [], [scene["seconds"] for scene in result["scenes"]]
    for n, seconds in enumerate(lengths):
        frames = round((seconds + (0.4 if n + 1 < len(lengths) else 0)) * 30)
        command += ["-i", f"{folder}/{n + 1}.jpg"]
        parts.append(f"[{n}:v]scale=2160:3840:force_original_aspect_ratio=increase,crop=2160:3840,"
                     f"zoompan=z='1+0.15*on/{frames}':x='iw/2-iw/zoom/2':y='ih/2-ih/zoom/2':d={frames}:"
                     f"s=1080x1920:fps=30,format=yuv420p,setsar=1[s{n}]")
    last, at = "s0", 0.0
    for n in range(1, len(lengths)):
        at += lengths[n - 1]
        parts.append(f"[{last}][s{n}]xfade=transition=fade:duration=0.4:offset={at:.4f}[x{n}]")
        last = f"x{n}"
    parts.append(f"[{last}]ass={folder}/captions.ass,format=yuv420p[v]")
    shutil.copy(f"{folder}/ours/{result['ass']}", f"{folder}/captions.ass")
    command += ["-i", f"{folder}/ours/{result['video']}", "-filter_complex", ";".join(parts), "-map", "[v]",
                "-map", f"{len(lengths)}:a", "-c:a", "copy", "-c:v", "libx264", "-preset", "veryfast", "-crf", "21",
                "-profile:v", "high", "-color_primaries", "bt709", "-color_trc", "bt709", "-colorspace", "bt709",
                "-movflags", "+faststart", out]
    cpu, wall, peak, _ = measured(command)
    return cpu, wall, peak, os.path.getsize(out)

def moviepy(result, out):
    """The first scene alone."""
    seconds = result["scenes"][0]["seconds"]
    command = [f"{cache}/venv/bin/python", f"{cache}/moviepy_scene.py", f"{folder}/1.jpg", f"{folder}/captions.ass", str(seconds), out]
    cpu, wall, peak, _ = measured(command)
    return cpu / seconds, wall, peak, os.path.getsize(out)

def editly(result, out):
    clock = lambda text: sum(float(part) * 60**n for n, part in enumerate(reversed(text.split(":"))))
    lines = []
    for line in open(f"{folder}/captions.ass", encoding="utf-8"):
        if line.startswith("Dialogue:"):
            _, start, end, _, text = line.split(",", 4)
            lines.append((clock(start), clock(end), re.sub(r"\{[^}]*\}", "", text.strip())))
    scenes = []
    for n, scene in enumerate(result["scenes"]):
        begin, seconds = scene["start"], scene["seconds"]
        own = [{"text": text, "start": a - begin, "stop": b - begin} for a, b, text in lines if begin <= a < begin + seconds]
        scenes.append({"image": f"{folder}/{n + 1}.jpg", "seconds": seconds, "lines": own})
    spec = {"out": out, "sound": f"{folder}/ours/{result['video']}", "scenes": scenes}
    json.dump(spec, open(f"{folder}/editly.json", "w"))
    cpu, wall, peak, _ = measured(["xvfb-run", "-a", "node", "editly.mjs", f"{folder}/editly.json"], cwd=cache)
    return cpu / result["seconds"], wall, peak, os.path.getsize(out)

def smooth(values):
    """The cubic nearest to some values: a zoom at an even pace moves an edge along a slight curve."""
    count = len(values)
    powers = [[(2 * n / (count - 1) - 1) ** k for k in range(4)] for n in range(count)]
    rows = [[sum(p[i] * p[j] for p in powers) for j in range(4)] + [sum(p[i] * v for p, v in zip(powers, values))]
            for i in range(4)]
    for i in range(4):
        for j in range(4):
            if i != j:
                factor = rows[j][i] / rows[i][i]
                rows[j] = [a - factor * b for a, b in zip(rows[j], rows[i])]
    return [sum(rows[k][4] / rows[k][k] * p[k] for k in range(4)) for p in powers]

def jitter(file, seconds):
    """Places of an edge in a zoom, frame by frame, against a smooth curve: rms in pixels."""
    raw = subprocess.run(["ffmpeg", "-hide_banner", "-loglevel", "error", "-i", file, "-vf", "crop=iw:2:0:ih/2,format=gray",
                          "-t", str(seconds), "-f", "rawvideo", "-"], check=True, capture_output=True).stdout
    width = 1080
    rows = [raw[n * width * 2:n * width * 2 + width] for n in range(len(raw) // (width * 2))]
    low, high = (statistics.median(end(row) for row in rows) for end in (min, max))
    places = []
    for row in rows:
        crossing = next(x for x in range(width) if row[x] > (low + high) / 2)
        left = max(crossing - 64, 0)
        near = row[left:crossing + 64]
        places.append(left + sum((high - value) / (high - low) for value in near))
    return (sum((place - line) ** 2 for place, line in zip(places, smooth(places))) / len(places)) ** 0.5

peers = {}
if os.path.exists(f"{cache}/venv/bin/python"):
    peers["moviepy"] = moviepy
if os.path.isdir(f"{cache}/node_modules/editly"):
    peers["editly"] = editly
for name in {"moviepy", "editly"} - set(peers):
    print(f"{name} could not be installed and is left out")
rows = {name: [] for name in ["flotilla", "filter graph", *peers]}
for run in range(runs):
    cpu, wall, peak, result = ours(payload(), f"{folder}/ours")
    length = result["seconds"]
    rows["flotilla"].append((cpu / length, wall, peak, result["bytes"]))
    cpu, wall, peak, size = graph(result, f"{folder}/graph.mp4")
    rows["filter graph"].append((cpu / length, wall, peak, size))
    for name, peer in peers.items():
        rows[name].append(peer(result, f"{folder}/{name}.mp4"))
print(f"{length:.1f} s of video, {runs} runs each, load {os.getloadavg()[0]:.1f}")
middle = {}
for name, found in rows.items():
    middle[name] = [statistics.median(values) for values in zip(*found)]
    cpu, wall, peak, size = middle[name]
    spread = f"{min(f[0] for f in found):.3f}-{max(f[0] for f in found):.3f}"
    scene = " (one scene)" if name == "moviepy" else ""
    ratio = cpu / middle["flotilla"][0]
    print(f"{name:14} {cpu:.3f} CPU s/s ({spread}), {ratio:.2f} x ours; {wall:.1f} s wall, {peak:.0f} MiB, {size / 1e6:.1f} MB{scene}")
print(f"loudness {result['loudness']['lufs']:.2f} LUFS, {result['loudness']['true_peak']:.2f} dBTP; {result['encoder']['why']}")
whole = middle["flotilla"][1]
_, wall, _, again = ours(payload(texts[4].replace("quick", "swift").replace("lazy", "tired")), f"{folder}/ours", fresh=False)
made = sum(not scene["kept"] for scene in again["scenes"])
print(f"one changed scene: {made} segment rendered, {wall / whole:.2f} of the whole time")

# Jitter: an edge right of the middle moves outwards while the view zooms in.
edge = f"{folder}/edge.png"
subprocess.run(["ffmpeg", "-hide_banner", "-loglevel", "error", "-y", "-f", "lavfi", "-i",
                "color=black:size=1242x2208,format=gray,geq=lum='128+100*tanh((X-900)/8)'", "-frames:v", "1", edge], check=True)
job = {"scenes": [{"image": {"path": edge}, "motion": "zoom_in", "seconds": 4}], "fps": 30}
_, _, _, result = ours(job, f"{folder}/edge")
zoompan = ("scale=2160:3840,zoompan=z='1+0.15*on/120':x='iw/2-iw/zoom/2':y='ih/2-ih/zoom/2':d=120:s=1080x1920:fps=30,format=yuv420p")
subprocess.run(["ffmpeg", "-hide_banner", "-loglevel", "error", "-y", "-i", edge, "-vf", zoompan, "-c:v", "libx264", "-preset", "veryfast",
                "-crf", "21", f"{folder}/edge.mp4"], check=True)
own, theirs = jitter(f"{folder}/edge/{result['video']}", 4), jitter(f"{folder}/edge.mp4", 4)
print(f"jitter of a zoom, coded: ours {own:.3f} px rms, the filter graph's {theirs:.3f}")
PYTHON
