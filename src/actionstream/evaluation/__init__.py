"""How good a model is, and whether it does what it says."""
