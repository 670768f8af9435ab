"""The pages, each a table of contents of what it shows."""
