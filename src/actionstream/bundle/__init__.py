"""A folder of weights and the card that says what they are."""
