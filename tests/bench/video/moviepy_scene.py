"""The first scene of the reference video with moviepy: a zoom over a still, the spoken word lit, as ours.

    moviepy_scene.py IMAGE CAPTIONS.ass SECONDS OUT.mp4
"""

import re
import sys

import numpy as np
from moviepy import CompositeVideoClip, ImageClip
from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT, FPS, SIZE = 1080, 1920, 30, 84


def captions(path, until):
    """(start, end, words, lit) of every moment, from karaoke times."""
    clock = lambda text: sum(float(part) * 60**n for n, part in enumerate(reversed(text.split(":"))))
    for line in open(path, encoding="utf-8"):
        if line.startswith("Dialogue:"):
            _, start, _, _, text = line.split(",", 4)
            parts = re.findall(r"\{\\k(\d+)\}([^{]*)", text.strip())
            words, at = [word.strip() for _, word in parts], clock(start)
            for lit, (hundredths, _) in enumerate(parts):
                end = min(at + int(hundredths) / 100, until)
                if at < end:
                    yield at, end, words, lit
                at = end


def picture(words, lit, font):
    space = font.getlength(" ")
    widths = [font.getlength(word) for word in words]
    image = Image.new("RGBA", (int(sum(widths) + space * len(words)) + 40, SIZE * 2))
    draw, x = ImageDraw.Draw(image), 20
    for n, (word, width) in enumerate(zip(words, widths)):
        colour = "#ffdd00" if n == lit else "white"
        draw.text((x, 20), word, font=font, fill=colour, stroke_width=10, stroke_fill="black")
        x += width + space
    return np.array(image)


def main():
    image, ass, seconds, out = sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4]
    font = ImageFont.truetype("/usr/share/fonts/truetype/dejavu/DejaVuSans-Bold.ttf", SIZE)
    still = ImageClip(image).with_duration(seconds)
    cover = max(WIDTH / still.w, HEIGHT / still.h)
    layers = [still.resized(lambda t: cover * (1 + 0.15 * t / seconds)).with_position("center")]
    for start, end, words, lit in captions(ass, seconds):
        clip = ImageClip(picture(words, lit, font)).with_start(start).with_end(end)
        layers.append(clip.with_position(("center", int(HEIGHT * 0.72))))
    video = CompositeVideoClip(layers, size=(WIDTH, HEIGHT)).with_duration(seconds)
    video.write_videofile(out, fps=FPS, codec="libx264", preset="veryfast", audio=False, threads=2,
                          ffmpeg_params=["-crf", "21", "-pix_fmt", "yuv420p"], logger=None)


main()
