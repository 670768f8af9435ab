"""Engines run a bundle's two networks: encode(images) and read(features)."""
