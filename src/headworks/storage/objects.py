"""Whole objects in the store that delta-rs reaches with the same options, a local disk included.

Not by pyarrow's streams: pyarrow hands over a buffer where delta-rs' stream takes bytes alone, and raises.
"""

from __future__ import annotations

from typing import Any, Self

from deltalake.fs import DeltaStorageHandler


class Objects(DeltaStorageHandler):
    """The objects below one root."""

    def write(self, path: str, data: bytes) -> None:
        """Write an object; it is there when all of it is, and not before."""
        with self.writer(path) as stream:
            stream.write(data)

    def writer(self, path: str) -> ObjectWriter:
        """Begin an object that is written piece by piece; it is there once the writer is closed."""
        return ObjectWriter(self._handler.open_output_stream(path, None))

    def read(self, path: str) -> bytes:
        """Read an object."""
        with self.open_input_file(path) as stream:
            return bytes(stream.readall())


class ObjectWriter:
    """A file to write to, as pyarrow takes one; ``size`` is what was written, in bytes.

    Left by an error it stays unfinished, and no object is there.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.size = 0
        self.closed = False

    def write(self, data: Any) -> int:
        """Write a piece; returns its size."""
        piece = bytes(data)
        self._stream.write(piece)
        self.size += len(piece)
        return len(piece)

    def tell(self) -> int:
        """Return where the next piece goes."""
        return self.size

    def flush(self) -> None:
        """Do nothing: pieces are handed on as they come."""

    def close(self) -> None:
        """Finish the object."""
        if not self.closed:
            self.closed = True
            self._stream.close()

    def readable(self) -> bool:
        """Say that it is for writing."""
        return False

    def writable(self) -> bool:
        """Say that it is for writing."""
        return True

    def seekable(self) -> bool:
        """Say that there is no way back."""
        return False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *more: object) -> None:
        if kind is None:
            self.close()
        else:
            self.closed = True
