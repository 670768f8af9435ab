"""Many videos: worker processes with limits, files of answers that a later run goes on with."""
