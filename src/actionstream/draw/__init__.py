"""Pictures for people: a reading on a frame, a timeline of what happens when.

Everything here takes and gives RGB uint8 [H, W, 3] and leaves its input untouched. All functions
are pure and may be called from several threads at once.
"""

from actionstream.draw.enlarge import enlarge, enlargement
from actionstream.draw.labels import colour_of, percent, spoken
from actionstream.draw.reading import draw_reading
from actionstream.draw.timeline import draw_timeline

__all__ = [
    "colour_of",
    "draw_reading",
    "draw_timeline",
    "enlarge",
    "enlargement",
    "percent",
    "spoken",
]
