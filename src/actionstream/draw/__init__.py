"""Readings on pictures, for people.

Everything here takes and gives RGB uint8 [H, W, 3] and leaves its input untouched. All functions
are pure and may be called from several threads at once.
"""

from actionstream.draw.labels import colour_of, display_name, headline, percent
from actionstream.draw.layout import Corner, CornerName, enlarge, enlargement
from actionstream.draw.reading import draw_reading
from actionstream.draw.skeleton import draw_skeleton

__all__ = [
    "Corner",
    "CornerName",
    "colour_of",
    "display_name",
    "draw_reading",
    "draw_skeleton",
    "enlarge",
    "enlargement",
    "headline",
    "percent",
]
