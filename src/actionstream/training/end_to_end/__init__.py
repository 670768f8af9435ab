"""Encoder and head trained together, end to end, on frames that are decoded in every epoch."""
