"""Heads on the stored features of a frozen encoder: encode once, then train in minutes."""
