"""The models of one server: each loaded once, shared by all visitors, with one live worker each."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

from actionstream.app.work import NICENESS
from actionstream.batch.worker import Setup
from actionstream.bundle.card import CARD_NAME
from actionstream.bundle.folder import resolve, shipped
from actionstream.errors import BusyError
from actionstream.live import Session, Worker
from actionstream.recognizer import Recognizer, load


@dataclass(slots=True)
class Models:
    """What visitors can choose from, by name; never by path.

    Loading takes seconds, so each name has a gate of its own and `_lock` is held for moments only:
    who waits for one model holds up nobody with another.

    folder:       the owner's folder of further bundles, None for the shipped ones only.
    max_sessions: cameras served at once, over all models.
    """

    folder: Path | None
    max_sessions: int
    _recognizers: dict[str, Recognizer] = field(default_factory=dict)
    _workers: dict[str, Worker] = field(default_factory=dict)
    _gates: dict[str, threading.Lock] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def names(self) -> tuple[str, ...]:
        """The shipped variants, the default one first, then the owner's bundles by name.

        One with a shipped one's name is left out: settings that have such a folder are refused.

        Raises:
            BundleError: there is not one.
        """
        own = sorted(card.parent.name for card in self._cards())
        first = [resolve().name] if shipped() or not own else []
        return tuple(dict.fromkeys((*first, *shipped(), *own)))

    def _cards(self) -> list[Path]:
        """Hidden folders are bundles that are still being written."""
        found = [] if self.folder is None else self.folder.glob(f"*/{CARD_NAME}")
        return [card for card in found if not card.parent.name.startswith(".")]

    def recognizer(self, name: str) -> Recognizer:
        """The model of this name, loaded at the first call.

        Raises:
            KeyError: there is no such name.
            BundleError: the bundle does not keep its contract.
        """
        if name not in self._recognizers:
            place = self._place(name)  # so that only names that exist get a gate
            with self._lock:
                gate = self._gates.setdefault(name, threading.Lock())
            with gate:
                if name not in self._recognizers:
                    self._recognizers[name] = load(place)
        return self._recognizers[name]

    def setup(self, name: str) -> Setup:
        """How a worker process loads the model of this name.

        Raises:
            KeyError: there is no such name.
        """
        return Setup(model=self._place(name), niceness=NICENESS)

    def is_loaded(self, name: str) -> bool:
        return name in self._recognizers

    def _place(self, name: str) -> str | Path:
        if name in shipped():
            return name
        for card in self._cards():
            if card.parent.name == name:
                return card.parent
        raise KeyError(name)

    def open_session(self, name: str) -> Session:
        """A place on the live worker of this model.

        Raises:
            BusyError: `max_sessions` cameras are being served.
        """
        model = self.recognizer(name)
        with self._lock:
            if self.is_full():
                raise BusyError(f"all {self.max_sessions} live sessions are in use")
            if name not in self._workers or self._workers[name].failed:
                self._workers[name] = Worker(model)
            return self._workers[name].open()

    def live_sessions(self) -> int:
        """Cameras being served now."""
        with self._lock:
            return sum(worker.statistics().sessions for worker in self._workers.values())

    def is_full(self) -> bool:
        return self.live_sessions() >= self.max_sessions

    def close(self) -> None:
        """End all workers."""
        with self._lock:
            workers = list(self._workers.values())
            self._workers.clear()
        for worker in workers:
            worker.close()
