"""What is known of the files of a source: which version of which file was taken, and the positions in half-read ones.

The position in the checkpoint stays small with any number of files. It names segments: objects on a shelf, each with
the versions of many files, and holds only the files that were taken since the last segment. Segments are named by
their content and never changed, so that writing one means nothing until a committed position names it. Like the digits
of a counter, small segments are merged into ever larger ones: their number grows with the logarithm of the files'.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Literal, Protocol

from headworks.sources.base import Position

RECENT_FILES = 200
"""So many taken files are named in the position itself before they go into a segment."""


class Shelf(Protocol):
    """Keeps small JSON objects under names that are given once."""

    def put(self, name: str, content: dict[str, Any]) -> None:
        """Keep an object; the same name always comes with the same content."""
        ...

    def get(self, name: str) -> dict[str, Any]:
        """Return an object that is there."""
        ...


@dataclass(frozen=True)
class FileVersion:
    """One version of one file, as the listing shows it; ``modified_us`` are microseconds since 1970 in UTC.

    ``stamp`` changes with each writing of a file on a disk, even where its size and its time stay the same, but also
    where its owner or its name do.
    """

    path: str
    version: str
    size: int
    modified_us: int
    e_tag: str | None = None
    stamp: str = ""


@dataclass(frozen=True)
class Place:
    """A place in a file between two records.

    ``offset`` counts bytes of the text (or rows of a Parquet file), ``line`` is the number of the line (or record) that
    comes next. ``skipping`` says that the place is inside of a record too long to be one. ``state`` is the format's.
    """

    offset: int = 0
    line: int = 1
    skipping: bool = False
    state: tuple[str, ...] = ()


START = Place()


_REFUSED = "!"
State = Literal["new", "known", "written again"]


@dataclass(frozen=True)
class Taken:
    """What is noted of a file that was taken.

    ``under`` is the declaration under which the whole file was refused; under another one it is tried again. ``digest``
    is of a small file's content.
    """

    version: str
    stamp: str = ""
    digest: str = ""
    under: str = ""

    @classmethod
    def of(cls, text: str) -> Taken:
        """Return what a text says that `text` made."""
        under = ""
        if text.startswith(_REFUSED):
            under, _, text = text[1:].partition(" ")
        version, stamp, digest = (*text.split(" "), "", "")[:3]
        return cls(version, stamp, digest, under)

    def text(self) -> str:
        """Return it as one text, which is the version alone where there is nothing more."""
        found = " ".join((self.version, self.stamp, self.digest)).rstrip()
        return f"{_REFUSED}{self.under} {found}" if self.under else found


@dataclass
class Progress:
    """The files that were taken, and the places in those that were taken in part.

    ``declared`` names the declaration that files are read by, and ``again`` has refused files tried whatever it is.
    """

    shelf: Shelf
    declared: str = ""
    again: bool = False
    taken: dict[str, str] = field(default_factory=dict)
    segments: list[tuple[str, int]] = field(default_factory=list)
    recent: dict[str, str] = field(default_factory=dict)
    parts: dict[str, tuple[str, Place]] = field(default_factory=dict)

    @classmethod
    def at(
        cls, position: Position | None, shelf: Shelf, declared: str = "", *, again: bool = False
    ) -> Progress:
        """Return what a position says, with the segments that it names read from the shelf."""
        progress = cls(shelf, declared, again)
        if position is None:
            return progress
        progress.segments = [(name, count) for name, count in position["segments"]]
        for name, _ in progress.segments:
            progress.taken.update(shelf.get(name)["files"])
        progress.recent = dict(position["recent"])
        progress.taken.update(progress.recent)
        for path, (version, offset, line, skipping, state) in position["parts"].items():
            progress.parts[path] = (version, Place(offset, line, skipping, tuple(state)))
        return progress

    def position(self) -> Position:
        """Return the position that says all this, writing a segment first if too much would be in it."""
        if len(self.recent) >= RECENT_FILES:
            self._write_segment()
        return {
            "segments": [list(segment) for segment in self.segments],
            "recent": dict(self.recent),
            "parts": {
                path: [version, place.offset, place.line, place.skipping, list(place.state)]
                for path, (version, place) in self.parts.items()
            },
        }

    def missing(self, listed: Iterable[FileVersion]) -> list[FileVersion]:
        """Return the listed files that were not taken in this version, the oldest first."""
        new = [file for file in listed if self.state(file) != "known"]
        return sorted(new, key=lambda file: (file.modified_us, file.path))

    def state(self, file: FileVersion) -> State:
        """Return whether a version of a file was taken, and whether the file was written again since."""
        text = self.taken.get(file.path)
        if text is None or text == file.version:
            return "new" if text is None else "known"
        taken = Taken.of(text)
        if taken.version != file.version:
            return "new"
        if taken.under and (self.again or taken.under != self.declared):
            return "new"
        return "written again" if taken.stamp and file.stamp and taken.stamp != file.stamp else "known"

    def is_same(self, file: FileVersion, digest: str) -> bool | None:
        """Return whether a file that was written again has the content that was taken; None where that is not known."""
        known = Taken.of(self.taken[file.path]).digest
        return known == digest if known and digest else None

    def place(self, file: FileVersion) -> Place:
        """Return where to continue in a file: after the part that was taken of this version, else at its start."""
        version, place = self.parts.get(file.path, ("", START))
        return place if version == file.version else START

    def half_read(self, file: FileVersion) -> int | None:
        """Return the line up to which another version of the file was taken; None where none was taken in part."""
        version, place = self.parts.get(file.path, (file.version, START))
        return place.line - 1 if version != file.version else None

    def reached(self, file: FileVersion, place: Place) -> None:
        """Note that a file was taken up to a place."""
        self.parts[file.path] = (file.version, place)

    def finished(self, file: FileVersion, digest: str = "", *, refused: bool = False) -> None:
        """Note that a file was taken to its end, or refused as a whole."""
        self.parts.pop(file.path, None)
        taken = Taken(file.version, file.stamp, digest, self.declared if refused else "")
        self.taken[file.path] = self.recent[file.path] = taken.text()

    def _write_segment(self) -> None:
        files = self.recent
        # Later segments win, so only neighbours are merged, the older one first.
        while self.segments and self.segments[-1][1] < 2 * len(files):
            name, _ = self.segments.pop()
            files = {**self.shelf.get(name)["files"], **files}
        name = _content_name(files)
        self.shelf.put(name, {"files": files})
        self.segments.append((name, len(files)))
        self.recent = {}


def _content_name(files: dict[str, str]) -> str:
    return blake2b(json.dumps(files, sort_keys=True).encode(), digest_size=16).hexdigest()
