"""From a frame to an answer: which frames, what the network is shown, what its numbers mean."""
