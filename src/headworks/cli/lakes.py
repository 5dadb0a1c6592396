"""The lake's part of ``headworks upgrade``."""

from __future__ import annotations

import argparse

from headworks.cli.shared import NothingWritten, open_any_lake


def upgrade_lake(options: argparse.Namespace) -> int:
    """Bring the chosen lake to this version's format, or with ``--dry-run`` say what would be done; the exit code."""
    from headworks.storage.format import FORMAT, format_of, migrate, pending

    try:
        lake = open_any_lake(options)
    except NothingWritten as nothing:
        print(f"Lake: {nothing}")
        return 0
    found = format_of(lake)
    if found is not None and found > FORMAT:
        print(
            f"Lake: it has format {found}, which is newer than the {FORMAT} of this version; nothing was changed."
        )
        return 1
    steps = pending(lake) or ([f"note that it has format {FORMAT}"] if found is None else [])
    if not steps:
        print(f"Lake: it has format {FORMAT}; nothing to do.")
    elif options.dry_run:
        print(f"Lake: would be done: {'; '.join(steps)}.")
    else:
        print(f"Lake: done: {'; '.join(migrate(lake))}.")
    return 0
