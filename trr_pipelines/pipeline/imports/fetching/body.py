"""Reading a response body: decoded in small pieces, counted, and aborted at the size limit.

Pure over an iterable of chunks; connections and timeouts are in `network`.
"""

from __future__ import annotations

import zlib
from collections.abc import Generator, Iterable, Iterator
from io import BytesIO
from itertools import chain
from typing import Final

from trr_pipelines.errors import MediaError, PermanentError, Reason, RetryableError
from trr_pipelines.imaging.decode import inspect
from trr_pipelines.imaging.formats import sniff

_PIECE: Final = 65536
"""Maximum output of one decoding step in bytes; a compressed chunk of 64 KB can expand to 64 MB."""

_HEAD: Final = 512
"""Bytes that identify the format of a picture, with the brands of an AVIF or HEIC file."""

_GZIP_MEMBER: Final = b"\x1f\x8b"
_GZIP: Final = ("gzip", "x-gzip")
_CODINGS: Final = frozenset(
    {
        "aes128gcm",
        "br",
        "compress",
        "dcb",
        "dcz",
        "deflate",
        "exi",
        "gzip",
        "pack200-gzip",
        "x-compress",
        "x-gzip",
        "zstd",
    }
)
"""IANA's registry of content codings, without `identity`. All else that servers send there says nothing about the
bytes: `aws-chunked`, which stores leave in place of removing it, or `UTF-8`, `binary` and `none`."""


def read_body(chunks: Iterable[bytes], encoding: str, max_bytes: int, source: str) -> bytes:
    """The decoded content of `chunks` from `source`, sent with this `Content-Encoding` ("" for none).

    A body that is a picture as it came was never encoded, whatever its header says.

    Raises:
        PermanentError: `too_many_bytes` as soon as the decoded bytes pass `max_bytes`, `empty_file` for none at all.
        RetryableError: `fetch_failed` for an unrequested encoding, or a damaged or truncated compressed body.
    """
    coding = _coding(encoding)
    if not coding:
        return _read(chunks, max_bytes, source)
    head, chunks = _peek(chunks)
    if not _looks_like_a_picture(head):
        return _read(_decoded(chunks, coding, source), max_bytes, source)
    data = _read(chunks, max_bytes, source)
    try:
        inspect(data)
    except MediaError as error:
        raise RetryableError(Reason.FETCH_FAILED, f"{source} is damaged as {coding[:40]}: {error.detail}") from error
    return data


def too_many_bytes(source: str, size: object, max_bytes: int) -> PermanentError:
    """The error for a `source` whose `size` in bytes is above the limit."""
    return PermanentError(Reason.TOO_MANY_BYTES, f"{source} has {size} bytes, the limit is {max_bytes}")


def _coding(encoding: str) -> str:
    """The codings of a `Content-Encoding` that are registered, as it lists them."""
    return ", ".join(name for part in encoding.lower().split(",") if (name := part.strip()) in _CODINGS)


def _peek(chunks: Iterable[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The first bytes, and all chunks."""
    iterator, head = iter(chunks), b""
    for chunk in iterator:
        head += chunk
        if len(head) >= _HEAD:
            break
    return head, chain([head], iterator)


def _looks_like_a_picture(head: bytes) -> bool:
    try:
        sniff(head)
    except PermanentError:
        return False
    return True


def _read(pieces: Iterable[bytes], max_bytes: int, source: str) -> bytes:
    content = BytesIO()
    for piece in pieces:
        content.write(piece)
        if content.tell() > max_bytes:
            raise too_many_bytes(source, f"more than {max_bytes}", max_bytes)
    if not content.tell():
        raise PermanentError(Reason.EMPTY_FILE, f"{source} has 0 bytes")
    return content.getvalue()


def _decoded(chunks: Iterable[bytes], coding: str, source: str) -> Iterator[bytes]:
    if coding not in (*_GZIP, "deflate"):
        raise RetryableError(Reason.FETCH_FAILED, f"{source} is encoded as {coding[:40]!r}, which was not requested")
    try:
        is_whole = yield from _inflated(chunks, is_gzip=coding in _GZIP)
    except zlib.error as error:
        raise RetryableError(Reason.FETCH_FAILED, f"{source} is damaged as {coding}: {error}") from error
    if not is_whole:
        raise RetryableError(Reason.FETCH_FAILED, f"{source} is truncated: its {coding} body has no end")


def _inflated(chunks: Iterable[bytes], *, is_gzip: bool) -> Generator[bytes, None, bool]:
    """The content in pieces, of every member of a gzip body; returns whether it has an end.

    What follows the last member, such as padding, is left out.
    """
    members, inflater, rest = 0, None, b""
    for chunk in chunks:
        rest += chunk
        while True:
            if inflater is None:
                rest = rest.lstrip(b"\0") if members else rest
                if len(rest) < len(_GZIP_MEMBER):
                    break
                if members and not (is_gzip and rest.startswith(_GZIP_MEMBER)):
                    return True
                inflater = zlib.decompressobj(_window_bits(rest, is_gzip=is_gzip))
                members += 1
            piece = inflater.decompress(rest, _PIECE)
            yield piece
            rest = inflater.unconsumed_tail
            if inflater.eof:
                rest = inflater.unused_data
                inflater = None
            elif not rest and len(piece) < _PIECE:
                break
    return members > 0 and inflater is None and rest != _GZIP_MEMBER[:1]


def _window_bits(head: bytes, *, is_gzip: bool) -> int:
    """What zlib needs to know about a stream. As `deflate`, servers send a zlib stream, or one without its header."""
    has_header = head[0] & 0x0F == zlib.DEFLATED and int.from_bytes(head[:2], "big") % 31 == 0
    return zlib.MAX_WBITS | 32 if is_gzip or has_header else -zlib.MAX_WBITS
