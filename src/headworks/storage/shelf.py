"""Where sources keep what is too large for a position: objects in the lake that are written once and never changed.

They are named by their content, and count only if the position of a committed batch names them. Whoever collects
checkpoints must leave them alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from headworks.names import check_dataset
from headworks.storage.store import Json, Lake


@dataclass
class LakeShelf:
    """Objects of one dataset's source in the lake; with ``dry_run`` new ones are kept in memory and forgotten."""

    lake: Lake
    dataset: str
    dry_run: bool = False
    _new: dict[str, Json] = field(default_factory=dict, repr=False)

    def put(self, name: str, content: Json) -> None:
        """Keep an object."""
        if self.dry_run:
            self._new[name] = content
        else:
            self.lake.put_object(self._path(name), content)

    def get(self, name: str) -> Json:
        """Return an object; raises `LakeUnusable` where it is not there."""
        return self._new[name] if name in self._new else self.lake.get_object(self._path(name))

    def _path(self, name: str) -> str:
        return f"_headworks/shelves/{check_dataset(self.dataset).replace('.', '/')}/{name}.json"
