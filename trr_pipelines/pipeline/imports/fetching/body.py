"""Reading a response body: decoded in small pieces, counted, and aborted at the size limit.

Pure over an iterable of chunks; connections and timeouts are in `network`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import Final

from trr_pipelines.errors import PermanentError, Reason, RetryableError

_PIECE: Final = 65536
"""Maximum output of one decoding step in bytes; a compressed chunk of 64 KB can expand to 64 MB."""

_GZIP_OR_ZLIB: Final = zlib.MAX_WBITS | 32


def read_body(chunks: Iterable[bytes], encoding: str, max_bytes: int, source: str) -> bytes:
    """The decoded content of `chunks` from `source`, sent with this `Content-Encoding` ("" for none).

    Raises:
        PermanentError: `too_many_bytes` as soon as the decoded bytes pass `max_bytes`, `empty_file` for none at all.
        RetryableError: `fetch_failed` for an unrequested encoding, or a damaged or truncated compressed body.
    """
    content = BytesIO()
    for piece in _decoded(chunks, encoding, source):
        content.write(piece)
        if content.tell() > max_bytes:
            raise too_many_bytes(source, f"more than {max_bytes}", max_bytes)
    if not content.tell():
        raise PermanentError(Reason.EMPTY_FILE, f"{source} has 0 bytes")
    return content.getvalue()


def too_many_bytes(source: str, size: object, max_bytes: int) -> PermanentError:
    """The error for a `source` whose `size` in bytes is above the limit."""
    return PermanentError(Reason.TOO_MANY_BYTES, f"{source} has {size} bytes, the limit is {max_bytes}")


def _decoded(chunks: Iterable[bytes], encoding: str, source: str) -> Iterator[bytes]:
    if encoding in ("", "identity"):
        return iter(chunks)
    if encoding in ("gzip", "x-gzip", "deflate"):
        return _inflated(chunks, encoding, source)
    raise RetryableError(Reason.FETCH_FAILED, f"{source} is encoded as {encoding[:40]!r}, which was not requested")


def _inflated(chunks: Iterable[bytes], encoding: str, source: str) -> Iterator[bytes]:
    inflater = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        for chunk in chunks:
            rest = chunk
            while rest and not inflater.eof:
                yield inflater.decompress(rest, _PIECE)
                rest = inflater.unconsumed_tail
    except zlib.error as error:
        raise RetryableError(Reason.FETCH_FAILED, f"{source} is damaged as {encoding}: {error}") from error
    if not inflater.eof:
        raise RetryableError(Reason.FETCH_FAILED, f"{source} is truncated: its {encoding} body has no end")
