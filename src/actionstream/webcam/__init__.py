"""The `webcam` program: a camera or network stream on a page of this machine, or as text."""
