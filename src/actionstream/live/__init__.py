"""Live recognition for many streams: the worker that serves them, and events for programs."""

from actionstream.live.session import Session
from actionstream.live.statistics import SessionStatistics
from actionstream.live.worker import Worker, WorkerStatistics

__all__ = ["Session", "SessionStatistics", "Worker", "WorkerStatistics"]
