"""Training: from clips to a bundle. Needs the extra `train`."""
