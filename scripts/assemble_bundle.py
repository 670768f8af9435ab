#!/usr/bin/env python3
"""A bundle from graphs that are there as files, such as a head that was trained elsewhere.

    python scripts/assemble_bundle.py --encoder encoder.onnx --head head.onnx --card card.json \\
        [--pose FOLDER] [--memory memory.safetensors] [--float16] --to FOLDER [--overwrite]

FOLDER of --pose holds pose.onnx and person.onnx, as scripts/convert_pose.py writes them; their
licence is LICENSES/BlazePose.txt. card.json holds the card's fields but for those that follow from
the graphs (see `actionstream.training.assemble`); `--set name=lite2-v2` sets one of them, `--like
BUNDLE` takes those that it lacks from the card of another bundle. `--float16` stores the encoder's
and the head's weights as float16: train the head on features of such an encoder. Give `--frames`,
videos, to see the answers of the new bundle.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import onnx

import actionstream
from actionstream.bundle.folder import open_bundle, resolve
from actionstream.training.assemble import assemble, with_float16_storage
from actionstream.training.common.export import library_versions

LICENCE = Path(__file__).parents[1] / "LICENSES" / "BlazePose.txt"


def card_fields(args: argparse.Namespace) -> dict[str, Any]:
    """The card's fields: those of --like, over them those of --card, over them those of --set."""
    fields: dict[str, Any] = {}
    if args.like is not None:
        card = open_bundle(resolve(args.like)).card
        fields = card.model_dump(mode="json", exclude={"files", "pose", "taught"})
    fields |= json.loads(args.card.read_text(encoding="utf-8"))
    fields |= {"versions": library_versions()}
    for key, value in args.set or ():
        fields[key] = value
    return fields


def setting(text: str) -> tuple[str, Any]:
    key, _, value = text.partition("=")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name in ("encoder", "head", "card", "to"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("pose", "memory", "weights"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--like", metavar="BUNDLE")
    parser.add_argument("--set", type=setting, action="append", metavar="KEY=VALUE")
    parser.add_argument("--float16", action="store_true")
    parser.add_argument("--overwrite", action="store_true")
    parser.add_argument("--frames", nargs="*", default=[], metavar="VIDEO")
    args = parser.parse_args()
    files = {"encoder.onnx": args.encoder, "head.onnx": args.head}
    if args.pose is not None:
        files |= {name: args.pose / name for name in ("pose.onnx", "person.onnx")}
        files["LICENSE-pose.txt"] = LICENCE
    for name, path in (("memory", args.memory), ("weights", args.weights)):
        files |= {} if path is None else {f"{name}.safetensors": path}
    with tempfile.TemporaryDirectory() as place:
        for name in ("encoder.onnx", "head.onnx") if args.float16 else ():
            small = Path(place, name)
            model = with_float16_storage(onnx.load(files[name]))
            small.write_bytes(model.SerializeToString(deterministic=True))
            files[name] = small
        bundle = assemble(args.to, files, card_fields(args), overwrite=args.overwrite)
    size = sum(path.stat().st_size for path in bundle.path.iterdir())
    print(f"{bundle.path}: {bundle.card.name} ({bundle.fingerprint}), {size / 1e6:.1f} MB")
    model = actionstream.load(bundle.path)
    for answer in model.recognize_many(args.frames):
        print(answer)
    return 0


if __name__ == "__main__":
    sys.exit(main())
