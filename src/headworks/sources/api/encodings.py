"""An answer's body in plain bytes, whatever it was compressed as, with an end to its size.

What a body is compressed as is seen in its first bytes, since headers are often wrong about it: a proxy that unpacked
it left them, or ``none``, ``utf-8`` or the same name twice is written there. A header is believed only about what has
no mark of its own.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterator, Mapping

from headworks.errors import PageUnreadable, ResponseTooLarge

_CHUNK_BYTES = 256 * 1024
_GZIP = b"\x1f\x8b"
_MOST_LAYERS = 3
_PLAIN = frozenset({"", "identity", "none", "null", "binary", "utf-8", "utf8", "text", "json"})
_OURS = frozenset({"gzip", "x-gzip", "deflate"})
_TEXT = frozenset(b'{["<-0123456789tfn \t\r\n\xef\xfe\xff')
"""First bytes of what is plain: JSON, HTML, or a mark of its encoding."""


async def read_body(chunks: AsyncIterator[bytes], headers: Mapping[str, str], most: int) -> bytes:
    """Return the decompressed body; raises `ResponseTooLarge` as soon as it is larger than ``most`` bytes."""
    plain = [chunk async for chunk in unpacked(chunks, headers, most)]
    return plain[0] if len(plain) == 1 else b"".join(plain)


async def unpacked(
    chunks: AsyncIterator[bytes], headers: Mapping[str, str], most: int
) -> AsyncIterator[bytes]:
    """Yield the decompressed body piece by piece; raises `ResponseTooLarge` as soon as it is larger than ``most``."""
    named = [one.strip().lower() for one in headers.get("content-encoding", "").split(",")]
    named = [one for one in named if one not in _PLAIN]
    length = headers.get("content-length", "")
    if not named and length.isascii() and length.isdigit() and int(length[:18]) > most:
        raise _too_large(most)
    async for chunk in _unpacked(_bounded(chunks, most), named, most, _MOST_LAYERS):
        yield chunk


async def _unpacked(
    chunks: AsyncIterator[bytes], named: list[str], most: int, layers: int
) -> AsyncIterator[bytes]:
    """Yield what is inside one layer after another, until it is compressed no more."""
    head = b""
    async for chunk in chunks:
        head += chunk
        if len(head) >= len(_GZIP):
            break
    wbits = _compression(head, named)
    if wbits is None:
        if head:
            yield head
        async for chunk in chunks:
            yield chunk
        return
    if layers == 0:
        raise PageUnreadable(f"The answer is compressed more than {_MOST_LAYERS} times over.")
    inside = _bounded(_inflated(_rejoined(head, chunks), wbits), most)
    async for chunk in _unpacked(inside, named[:-1], most, layers - 1):
        yield chunk


def _compression(head: bytes, named: list[str]) -> int | None:
    """Return how zlib opens what begins like this, None where it is plain; raises `PageUnreadable` for other kinds."""
    if head.startswith(_GZIP):
        return 31
    if not named or not head or (head[0] in _TEXT and not _is_zlib(head)):
        return None
    if named[-1] == "deflate":
        # By the letter it is zlib's; some servers send it bare.
        return 15 if _is_zlib(head) else -15
    if named[-1] in _OURS:
        raise PageUnreadable(f"The answer's compression is damaged: it does not begin as {named[-1]} does.")
    raise PageUnreadable(f"The answer is compressed as {named[-1][:40]!r}, which was not asked for.")


def _is_zlib(head: bytes) -> bool:
    return len(head) >= 2 and head[0] & 15 == 8 and (head[0] * 256 + head[1]) % 31 == 0


async def _inflated(chunks: AsyncIterator[bytes], wbits: int) -> AsyncIterator[bytes]:
    """Yield what compressed chunks hold; where one member of gzip follows another, all of them."""
    inflating, begun = zlib.decompressobj(wbits), False
    async for chunk in chunks:
        left = chunk
        try:
            while left:
                if inflating.eof:
                    if wbits != 31 or not left.startswith(_GZIP[:1]):
                        # Padding, or whatever else follows the end.
                        break
                    inflating = zlib.decompressobj(wbits)
                begun = True
                for plain in _some(inflating, left):
                    yield plain
                left = inflating.unused_data
        except zlib.error as problem:
            raise PageUnreadable(f"The answer's compression is damaged: {problem}.") from problem
    if begun and not inflating.eof:
        raise PageUnreadable("The answer's compression ends in the middle.")


def _some(inflating: zlib._Decompress, chunk: bytes) -> Iterator[bytes]:
    """Yield what a chunk holds, a bounded number of bytes at a time: a small one can hold a thousand times as much."""
    while chunk:
        plain = inflating.decompress(chunk, _CHUNK_BYTES)
        chunk = inflating.unconsumed_tail
        if plain:
            yield plain
        elif not chunk:
            return


async def _bounded(chunks: AsyncIterator[bytes], most: int) -> AsyncIterator[bytes]:
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > most:
            raise _too_large(most)
        yield chunk


async def _rejoined(head: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield head
    async for chunk in chunks:
        yield chunk


def _too_large(most: int) -> ResponseTooLarge:
    return ResponseTooLarge(
        f"The answer is larger than {most:,} bytes.",
        do="ask for smaller pages, or raise the limit response_bytes in the API's block.",
    )
