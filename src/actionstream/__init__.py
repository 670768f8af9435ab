"""actionstream names the human action in a video or in front of a camera."""

__version__ = "0.1.0"
