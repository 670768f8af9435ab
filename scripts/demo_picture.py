"""Make docs/demo.webp, the README's moving picture: clips with the model's answers drawn on them.

    python scripts/demo_picture.py CLIP... [--out docs/demo.webp]

Each clip is recognised and annotated as `actionstream predict --annotate` does; some seconds of its
middle are shown. The picture stays under 2 MB: the quality is lowered until it does.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

import actionstream
from actionstream.draw.annotate import annotate
from actionstream.video import VideoReader

LARGEST_BYTES = 2_000_000
QUALITIES = (70, 60, 50, 40, 30)
SIZE = (480, 270)  # of the picture; a clip of another shape stands on black


def main() -> int:
    """Recognise, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("clips", nargs="+", type=Path, metavar="CLIP")
    parser.add_argument("--out", type=Path, default=Path("docs/demo.webp"))
    parser.add_argument("--model", help="a bundle's folder or a shipped variant")
    parser.add_argument("--rate", type=float, default=10.0, help="pictures a second")
    parser.add_argument("--seconds", type=float, default=2.5, help="from the middle of each clip")
    args = parser.parse_args()
    model = actionstream.load(args.model)
    pictures: list[Image.Image] = []
    with tempfile.TemporaryDirectory() as folder:
        for clip in args.clips:
            drawn = Path(folder) / f"{clip.stem}.mp4"
            answer = model.recognize(clip)
            annotate(clip, answer, drawn)
            pictures += shown(drawn, args.rate, args.seconds)
            print(f"{clip.name}: {answer.label}, {answer.confidence:.0%}")
    quality = write(pictures, args.out, args.rate)
    size = args.out.stat().st_size
    print(f"{args.out}: {len(pictures)} pictures, quality {quality}, {size / 1e6:.2f} MB")
    return 0 if size < LARGEST_BYTES else 1


def shown(video: Path, rate: float, seconds: float) -> Iterator[Image.Image]:
    """Pictures from the middle of the video, `rate` a second."""
    with VideoReader(video) as reader:
        start = due = max(((reader.probe.duration_seconds or 0.0) - seconds) / 2, 0.0)
        for frame in reader:
            if frame.time_seconds >= due and due < start + seconds:
                due += 1 / rate
                yield fitted(Image.fromarray(frame.to_rgb()))


def fitted(picture: Image.Image) -> Image.Image:
    """The picture as large as SIZE allows, in its middle."""
    picture.thumbnail(SIZE, Image.Resampling.LANCZOS)
    if picture.width < SIZE[0] and picture.height < SIZE[1]:
        factor = min(SIZE[0] / picture.width, SIZE[1] / picture.height)
        size = (round(picture.width * factor), round(picture.height * factor))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    ground = Image.new("RGB", SIZE)
    ground.paste(picture, ((SIZE[0] - picture.width) // 2, (SIZE[1] - picture.height) // 2))
    return ground


def write(pictures: list[Image.Image], out: Path, rate: float) -> int:
    """An endless animated WebP; returns the quality that keeps it small enough, or the lowest."""
    first, *rest = pictures
    for quality in QUALITIES:
        first.save(
            out,
            save_all=True,
            append_images=rest,
            duration=round(1000 / rate),
            loop=0,
            quality=quality,
            method=6,
        )
        if out.stat().st_size < LARGEST_BYTES:
            break
    return quality


if __name__ == "__main__":
    sys.exit(main())
