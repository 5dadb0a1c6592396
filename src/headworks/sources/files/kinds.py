"""What kind of file some first bytes are of, so that a file of another kind than was declared is refused by name."""

from __future__ import annotations

_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bzip2 (bz2)",
    b"\xfd7zXZ\x00": "xz",
    b"\x04\x22\x4d\x18": "lz4",
    b"\x1f\x9d": "compress (Z)",
    b"\xff\x06\x00\x00sNaPpY": "snappy",
}
_READ = {"gzip": "gz", "zstd": "zst"}
_OTHERS = {
    b"PK\x03\x04": "a zip archive (xlsx is one, too)",
    b"PK\x05\x06": "an empty zip archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!": "a rar archive",
    b"\xd0\xcf\x11\xe0": "an old Office document, such as xls",
    b"%PDF": "a PDF document",
    b"PAR1": "a Parquet file",
    b"Obj\x01": "an Avro file",
    b"ORC": "an ORC file",
    b"ARROW1": "an Arrow file",
    b"SQLite format 3": "an SQLite database",
    b"{\\rtf": "an RTF document",
}
_MARKS = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_HTML = (b"<!doctype html", b"<html")
_SAMPLE = 64
_TAR_AT = 257


def unexpected(head: bytes, form: str, codec: str | None, encoding: str) -> str | None:
    """Return what is wrong with a file that begins like this and was declared as that, None where nothing is."""
    compressed = next((kind for magic, kind in _COMPRESSED.items() if head.startswith(magic)), None)
    if codec is not None:
        if compressed == codec or not head:
            return None
        found = compressed or _other(head) or _wide(head) or "not compressed"
        return f"it should be {codec} by its name or its declaration, and is {found}: set compression to what it is"
    if compressed is not None:
        word = _READ.get(compressed)
        do = (
            f'set compression to "{word}", or give its name that ending'
            if word
            else "unpack it, or use gz or zst"
        )
        return f"it is compressed by {compressed}, which was not declared: {do}"
    if form == "parquet":
        if head.startswith(b"PAR1"):
            return None
        return f"it is no Parquet file: it is {_other(head) or 'something else'}" if head else None
    other = _other(head)
    if other is not None:
        return f"it is {other}, and {form} was declared"
    if encoding.startswith(("utf-16", "utf-32", "utf_16", "utf_32")):
        return None
    wide = _wide(head)
    if wide is None:
        return None
    do = "write it as UTF-8" if form != "csv" else f'set csv.encoding to "{wide}"'
    return f"its text is {wide}, and {encoding} was declared: {do}"


def _other(head: bytes) -> str | None:
    if head[_TAR_AT : _TAR_AT + 5] == b"ustar":
        return "a tar archive"
    if head.lstrip()[:_SAMPLE].lower().startswith(_HTML):
        return "an HTML page"
    return next((kind for magic, kind in _OTHERS.items() if head.startswith(magic)), None)


def _wide(head: bytes) -> str | None:
    """Return the encoding of several bytes a character that a text seems to have."""
    marked = next((name for mark, name in _MARKS if head.startswith(mark)), None)
    if marked is not None:
        return marked
    sample = head[:_SAMPLE]
    if len(sample) < 4:
        return None
    for name, first in (("utf-16-le", 1), ("utf-16-be", 0)):
        if not any(sample[first::2]) and all(sample[1 - first :: 2]):
            return name
    return None
