"""The layouts in which data sets are published."""
