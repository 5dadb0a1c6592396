"""Reading ahead: an iterator runs in a thread of its own, a bounded number of items before its consumer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from queue import Empty, Full, Queue
from typing import Generic, TypeVar

T = TypeVar("T")

_POLL_S = 0.1


class Ended(Exception):
    """The consumer wants no more; raised in the producer so that it ends at its next item."""


class _Failed:
    """A failure on its way from the producer to the consumer."""

    def __init__(self, problem: BaseException) -> None:
        self.problem = problem


_DONE = object()


class Channel(Generic[T]):
    """A bounded queue between two threads that either side can end.

    ``silence_s`` is the longest time that `items` waits for the next one; ``on_silence`` makes the error for more.
    """

    def __init__(
        self,
        depth: int,
        silence_s: float | None = None,
        on_silence: Callable[[], Exception] = TimeoutError,
    ) -> None:
        self._queue: Queue[object] = Queue(depth)
        self._stopped = threading.Event()
        self._silence_s = silence_s
        self._on_silence = on_silence

    def put(self, item: T) -> None:
        """Hand an item on, waiting for room; raises `Ended` once the consumer has stopped."""
        self._put(item)

    def run(self, produce: Callable[[], None]) -> None:
        """Call ``produce``, and hand on how it ended: all items given, or its failure."""
        end: object = _DONE
        try:
            produce()
        except Ended:
            return
        except BaseException as problem:  # noqa: BLE001 - it is raised again, in the consumer's thread
            end = _Failed(problem)
        try:
            self._put(end)
        except Ended:
            return

    def items(self) -> Iterator[T]:
        """Yield the items until the producer ended; a failure of its is raised here."""
        while True:
            try:
                item = self._queue.get(timeout=self._silence_s)
            except Empty:
                raise self._on_silence() from None
            if item is _DONE:
                return
            if isinstance(item, _Failed):
                raise item.problem
            yield item  # type: ignore[misc]  # what is neither of the two marks was given to put()

    def stop(self) -> None:
        """Let the producer end at its next item."""
        self._stopped.set()

    @property
    def stopped(self) -> bool:
        """Return whether the consumer has stopped."""
        return self._stopped.is_set()

    def _put(self, item: object) -> None:
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=_POLL_S)
            except Full:
                continue
            return
        raise Ended


def prefetched(items: Iterator[T], depth: int = 1) -> Generator[T]:
    """Yield ``items`` in order, reading up to ``depth`` of them ahead in a thread.

    A failure is raised where its item would have come. Closing this generator closes ``items``.
    """
    channel: Channel[T] = Channel(depth)

    def produce() -> None:
        try:
            for item in items:
                channel.put(item)
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()

    thread = threading.Thread(target=channel.run, args=(produce,), name="headworks-prefetch", daemon=True)
    thread.start()
    try:
        yield from channel.items()
    finally:
        channel.stop()
        thread.join()
