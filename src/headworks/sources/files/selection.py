"""Which files of a location are read, and as what: the declaration that a flow's parameters become."""

from __future__ import annotations

from hashlib import blake2b

from pydantic import Field

from headworks.settings import Settings
from headworks.sources.files.formats import Compression, CsvOptions, Format, ParquetOptions

HIDDEN = (".[!.]*", "_*", "*.tmp", "*.part", "*.crdownload", "*.filepart")


class Files(Settings):
    """Which files are read, and what is in them.

    Example:
        >>> Files(format="csv", pattern="orders-*.csv", csv={"delimiter": ";"}).csv.delimiter
        ';'
    """

    format: Format = Field(description="csv, ndjson (one JSON record a line), json (an array), or parquet.")
    pattern: str = Field(
        default="**",
        description="Paths below the location: * and ? within a folder, ** over any folders, [a-c], {csv,txt}.",
    )
    hidden: tuple[str, ...] = Field(
        default=HIDDEN, description="Names of files and folders that are left out, as patterns."
    )
    csv: CsvOptions = Field(default_factory=CsvOptions, description="How CSV files are written.")
    parquet: ParquetOptions = Field(default_factory=ParquetOptions, description="How Parquet files are read.")
    compression: Compression = Field(
        default="auto", description="gz, zst, none, or auto: by the ending of the file's name."
    )
    settle_s: float | None = Field(
        default=None,
        ge=0,
        description="Files modified less than so many seconds ago may still be written and are left for the next run. "
        "By default 5 in a folder, and 0 in an object store, whose objects appear whole.",
    )
    retake_refused: bool = Field(
        default=False,
        description="Try files again that were refused whole. Where what is declared of the files has changed they "
        "are tried again anyway.",
    )

    def declared(self) -> str:
        """Return a short name of what is declared of the files' content."""
        content = self.model_dump_json(include={"format", "csv", "parquet", "compression"})
        return blake2b(content.encode(), digest_size=4).hexdigest()
