"""Live recognition for many streams on one model, in one thread."""

from actionstream.live.history import SessionStatistics
from actionstream.live.session import Session
from actionstream.live.worker import Worker, WorkerStatistics

__all__ = ["Session", "SessionStatistics", "Worker", "WorkerStatistics"]
