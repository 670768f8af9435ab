"""What networks trained on frames say on held-out clips, and the temperatures fitted on it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from actionstream.datasets.split import Clip
from actionstream.errors import VideoError
from actionstream.inference import postprocess as decide
from actionstream.networks.encoders import Encoder
from actionstream.networks.heads import Head
from actionstream.training.calibrate import keeping
from actionstream.training.clip_frames import read_pictures
from actionstream.training.crossval import Report, read_clip
from actionstream.training.frame_recipe import FrameRecipe
from actionstream.training.store import Looks
from actionstream.training.temperature import fit_temperature
from actionstream.training.windows import Sample, read_ends

ENCODED_AT_ONCE = 64

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Output:
    """What the trained networks say at each reading of a clip: logits float32 [R, K]."""

    clip: Clip
    logits: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class FrameCalibration:
    """Fitted on the validation side. The known score is the largest calibrated probability."""

    temperature: float
    file_temperature: float
    threshold: float
    known_threshold: float


def read_outputs(
    encoder: Encoder,
    head: Head,
    clips: Sequence[Clip],
    recipe: FrameRecipe,
    report: Report | None = None,
) -> list[Output]:
    """Logits at every reading that serving makes of the clips; those that cannot be read are left
    out with a warning.
    """
    outputs = []
    for done, clip in enumerate(clips, start=1):
        try:
            sample = _encode(encoder, clip, recipe)
        except VideoError as error:
            _log.warning("left out: %s", error)
        else:
            outputs.append(Output(clip, read_clip(head, sample, recipe.ready_after)))
        if report is not None:
            report("reading validation clips", done, len(clips))
    return outputs


@torch.inference_mode()
def _encode(encoder: Encoder, clip: Clip, recipe: FrameRecipe) -> Sample:
    """The clip as a head reads it, its features as the feature store would keep them."""
    pictures = read_pictures(clip, recipe.geometry, recipe.rule)
    batches = torch.split(torch.from_numpy(pictures.images), ENCODED_AT_ONCE)
    features = torch.cat([encoder(batch) for batch in batches]).numpy()
    looks = Looks(features.astype(np.float16), pictures.filled)
    ticks = np.repeat(looks.features, looks.filled, axis=0)
    return Sample(clip, None, (ticks,), read_ends(looks))


def fit(outputs: Sequence[Output], labels: Sequence[str], *, thresholds: bool) -> FrameCalibration:
    """Temperatures on clips with a label; thresholds that let most right answers pass, or 0.

    Every clip counts the same, however many readings it has.
    """
    targets = np.array([labels.index(str(one.clip.label)) for one in outputs], dtype=np.int64)
    counts = [len(one.logits) for one in outputs]
    temperature = _temperature(
        np.concatenate([one.logits for one in outputs]),
        np.repeat(targets, counts),
        np.repeat(1.0 / np.array(counts), counts),
    )
    readings = [decide.calibrate(one.logits, temperature) for one in outputs]
    means = np.stack([one.mean(axis=0) for one in readings])
    ones = np.ones(len(outputs))
    file_temperature = _temperature(np.log(np.maximum(means, 1e-12)), targets, ones)
    if not thresholds:
        return FrameCalibration(temperature, file_temperature, 0.0, 0.0)
    right = [one.argmax(axis=1) == target for one, target in zip(readings, targets, strict=True)]
    scores = [one.max(axis=1) for one in readings]
    correct = means.argmax(axis=1) == targets
    return FrameCalibration(
        temperature,
        file_temperature,
        threshold=keeping(
            np.concatenate([one[hits] for one, hits in zip(scores, right, strict=True)])
        ),
        known_threshold=keeping(np.array([one.mean() for one in scores])[correct]),
    )


def _temperature(
    logits: NDArray[np.float32], targets: NDArray[np.int64], weights: NDArray[np.float64]
) -> float:
    """Fitted, but 1 where every row is right: the likelihood then grows without end as the
    temperature falls, and a handful of easy clips would make the model claim certainty.
    """
    if (logits.argmax(axis=1) == targets).all():
        return 1.0
    return fit_temperature(logits, targets, weights)
