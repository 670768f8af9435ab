"""Data sets as splits of clips that do not leak."""

from actionstream.datasets.clips import SIDES, Clip, Side, Split, fingerprint
from actionstream.datasets.groups import carve_folds, carve_validation, random_split
from actionstream.datasets.ucf101 import UCF101_LABELS, load_ucf101

__all__ = [
    "SIDES",
    "UCF101_LABELS",
    "Clip",
    "Side",
    "Split",
    "carve_folds",
    "carve_validation",
    "fingerprint",
    "load_ucf101",
    "random_split",
]
