"""The classic way, as student projects do it: a window of 16 frames from scratch for each answer.

OpenCV decodes; PIL transforms, ResNet18 at 112 pixels in eager PyTorch and an LSTM of 256 work on
all 16 frames. Random weights: time does not depend on them. Needs the extra `train`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn
from torchvision import transforms
from torchvision.models import resnet18

from actionstream.inference.sampling import Clock, SamplingRule, fill, step

SIZE = 112
LOOKS = 16
LABELS = 101

Pictures = Sequence[NDArray[np.uint8]]


class ClassicNetwork:
    """Pictures in, probabilities out."""

    def __init__(self, threads: int | None = None) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        self._trunk = resnet18(weights=None)
        self._trunk.fc = nn.Identity()
        self._trunk.eval()
        self._lstm = nn.LSTM(512, 256, batch_first=True).eval()
        self._linear = nn.Linear(256, LABELS).eval()
        self._prepare = transforms.Compose(
            [
                transforms.Resize((SIZE, SIZE)),
                transforms.ToTensor(),
                transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
            ]
        )

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The weights under the names that `action_recognition_model.pth` has them."""
        parts = {"cnn": self._trunk, "lstm": self._lstm, "fc": self._linear}
        return {
            f"{name}.{key}": value
            for name, part in parts.items()
            for key, value in part.state_dict().items()
        }

    @torch.inference_mode()
    def answer(self, window: Pictures) -> torch.Tensor:
        """16 pictures RGB uint8 [H, W, 3] to probabilities [101]."""
        images = torch.stack([self._prepare(Image.fromarray(picture)) for picture in window])
        sequence, _ = self._lstm(self._trunk(images)[None])
        logits: torch.Tensor = self._linear(sequence[0, -1])
        return logits.softmax(-1)


def answer_each_tick(
    network: ClassicNetwork, path: Path, rule: SamplingRule, ready_after: int
) -> int:
    """An answer at every tick from `ready_after` looks on, as the model under test gives them.

    The window holds the last 16 looks; while there are fewer, the oldest stands in for the rest.
    Only frames that are looked at are kept and turned to RGB. Returns the number of answers.
    """
    window: list[NDArray[np.uint8]] = []
    clock, answers, looks = Clock(), 0, 0
    for seconds, picture in _decode(path):
        clock, moment = step(clock, seconds, rule)
        due = moment in ("due", "reset")
        if not due:
            continue
        clock, _ = fill(clock, seconds, rule)
        looks += 1
        window = [*window, _rgb(picture)][-LOOKS:]
        if looks >= ready_after:
            network.answer([window[0]] * (LOOKS - len(window)) + window)
            answers += 1
    if looks and not answers:  # a very short clip gets one
        network.answer([window[0]] * (LOOKS - len(window)) + window)
        answers = 1
    return answers


def answer_once(network: ClassicNetwork, path: Path) -> int:
    """A single answer for the clip, from 16 frames spread evenly over it."""
    pictures = [picture for _, picture in _decode(path)]
    chosen = np.linspace(0, len(pictures) - 1, LOOKS).round().astype(int)
    network.answer([_rgb(pictures[index]) for index in chosen])
    return 1


def _decode(path: Path) -> list[tuple[float, NDArray[np.uint8]]]:
    """All frames BGR with their times in seconds, at the file's average rate."""
    capture = cv2.VideoCapture(str(path))
    rate = capture.get(cv2.CAP_PROP_FPS) or 25.0
    frames: list[tuple[float, NDArray[np.uint8]]] = []
    while True:
        there, picture = capture.read()
        if not there:
            break
        frames.append((len(frames) / rate, picture.astype(np.uint8, copy=False)))
    capture.release()
    if not frames:
        raise OSError(f"{path}: OpenCV decodes no frame of it")
    return frames


def _rgb(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
