"""Runs the thumbnail programs in turns and prints medians and ratios; images.sh calls it.

    measure.py --thumbs PROGRAM --peer DIR --photos DIR --scratch DIR [--rounds N] [--repeat N]
               [--format jpeg|webp|avif]
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

PICTURES = {".jpg", ".jpeg", ".png", ".webp"}


def run(command):
    """Wall and CPU seconds, peak RSS in MiB, photos and bytes of one run."""
    start = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    output = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.monotonic() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"images: {command[0]} failed: {output[-500:]}")
    photos, made = re.search(r"^(\d+) photos,(?:.*,)? (\d+) bytes$", output, re.M).groups()
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, int(photos), int(made)


def main():
    arguments = argparse.ArgumentParser()
    for name in ("thumbs", "peer", "photos", "scratch"):
        arguments.add_argument(f"--{name}", type=Path, required=True)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--repeat", type=int, default=3)
    arguments.add_argument("--format", choices=["jpeg", "webp", "avif"], default="jpeg")
    options = arguments.parse_args()

    shutil.rmtree(options.scratch, ignore_errors=True)
    photos, out = options.scratch / "photos", options.scratch / "out"
    photos.mkdir(parents=True)
    out.mkdir()
    for path in sorted(options.photos.iterdir()):
        if path.suffix.lower() in PICTURES:
            (photos / path.name).symlink_to(path.resolve())
    repeat = str(options.repeat)
    script = options.peer / "bench.mjs"
    commands = {
        "flotilla": [options.thumbs, photos, "--out", out, "--repeat", repeat, "--format", options.format],
        "sharp best": ["node", script, "best", photos, out, repeat, options.format],
        "sharp naive": ["node", script, "naive", photos, out, repeat, options.format],
        "node start": ["node", script, "start", photos, out, repeat, options.format],
    }
    results = {name: [] for name in commands}
    for _ in range(options.rounds):
        for name, command in commands.items():
            results[name].append(run(command))
    shutil.rmtree(options.scratch)

    medians = {name: [statistics.median(column) for column in zip(*rows)] for name, rows in results.items()}
    ours = medians["flotilla"]
    print(f"{ours[3]:.0f} photos, five {options.format} each, {repeat} times; medians of {options.rounds} rounds in turns, starts included")
    print(f"{'':12} {'wall s':>8} {'CPU s':>8} {'RSS MiB':>8} {'bytes':>10} {'wall':>6} {'CPU':>6} {'RSS':>6} {'bytes':>6}")
    for name, row in medians.items():
        wall, cpu, rss, found, made = row
        figures = f"{name:12} {wall:8.2f} {cpu:8.2f} {rss:8.0f} {made:10.0f}"
        if found == 0:
            print(figures)
            continue
        ratios = [theirs / mine for theirs, mine in zip((wall, cpu, rss, made), (*ours[:3], ours[4]))]
        print(figures, *(f"{ratio:5.2f}x" for ratio in ratios))
        if found != ours[3]:
            print(f"images: {name} made thumbnails of {found:.0f} photos: the rows do not compare")


if __name__ == "__main__":
    main()
