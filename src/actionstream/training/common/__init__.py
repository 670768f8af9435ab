"""What both ways of training share: recipes, looks, train state, calibration, card, export."""
