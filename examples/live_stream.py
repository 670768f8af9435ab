"""A camera in the network, in your own program: python examples/live_stream.py ADDRESS

The address is one that `actionstream webcam` takes: rtsp://, http://, a camera's number, ...
"""

import sys

import actionstream
from actionstream.video import LiveSource


def main(address: str) -> None:
    """Say when an action begins and when it ends, until the stream does."""
    with (
        actionstream.Worker(actionstream.load()) as worker,
        worker.open() as session,
        LiveSource(address, on_state=lambda state, detail: print(state, detail)) as camera,
    ):
        shown = None
        for frame in camera:  # always the newest; the model looks in a thread of its own
            session.offer(frame)
            reading = session.latest
            if reading is None or reading.shown == shown:
                continue
            if shown is not None:
                print(f"{reading.time_seconds:.1f} s: end of {shown}", flush=True)
            shown = reading.shown
            if shown is not None:
                print(f"{reading.time_seconds:.1f} s: begin of {shown}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
