"""A webcam read with OpenCV: python examples/webcam_opencv.py [CAMERA], a number or a file"""

import sys
import time

import cv2

import actionstream


def main(camera: str = "0") -> None:
    """Print a line whenever the action in front of the camera changes."""
    live = camera.isdecimal()
    capture = cv2.VideoCapture(int(camera) if live else camera)
    stream = actionstream.load().live(keep_readings=False)
    shown: str | None = ""
    while True:
        there, picture = capture.read()
        if not there:
            break
        # Every picture goes with its time in seconds: a camera's is now, a file's is in the file.
        seconds = time.monotonic() if live else capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        reading = stream.push(picture, seconds, order="bgr")  # OpenCV's order of colours
        if reading is None or reading.status != "ready":  # not due, or too few looks as yet
            continue
        if reading.shown != shown:
            shown = reading.shown
            print(f"{shown or 'no known action'} ({reading.shown_confidence:.0%})", flush=True)
    capture.release()


if __name__ == "__main__":
    main(*sys.argv[1:2])
