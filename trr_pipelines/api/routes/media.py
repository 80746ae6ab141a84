"""The media files of a directory store over HTTP, with ranges, validators and a year of caching, as a CDN expects.

Starlette's FileResponse does not fit: it opens a path (and follows links) while sending, where the store opens a
descriptor without following any, and it answers unknown ranges with 400 instead of the whole file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BufferedReader
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from trr_pipelines.api.auth import ANYONE, GuardedRoute, open_to
from trr_pipelines.api.dependencies import CurrentArchive, CurrentOriginals
from trr_pipelines.api.original_urls import WINDOW_SECONDS
from trr_pipelines.api.problems import Refusal
from trr_pipelines.catalogue import photos
from trr_pipelines.errors import InputError, MediaError, PermanentError
from trr_pipelines.imaging.formats import FILE_TYPES, sniff
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.storage.directory import DirectoryStore, OpenObject
from trr_pipelines.storage.keys import is_derived
from trr_pipelines.storage.store import IMMUTABLE

router = APIRouter(route_class=GuardedRoute, tags=["media"])

CHUNK_BYTES = 32 * 1024
SNIFFED_BYTES = 4096
# At most 18 digits, more than any object needs: Python refuses to parse 4,300 of them.
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True)
class ByteRange:
    """The bytes from `start` up to but excluding `end`."""

    start: int
    end: int


@router.api_route("/media/{key:path}", methods=["GET", "HEAD"], include_in_schema=False, **open_to(ANYONE))
def media(key: str, request: Request, archive: CurrentArchive, originals: CurrentOriginals) -> Response:
    """An object of the directory store. Its content type follows from its key; that of an external original, from its
    bytes."""
    if not originals.may_read(key, request):
        raise Refusal(403, "this original requires a signed URL that has not expired")
    opened = _own(archive, key)
    is_external = opened is None
    if opened is None:
        opened = _external(archive, key)
    if opened is None:
        raise Refusal(404, "no such object")
    headers = {
        "Cache-Control": IMMUTABLE,
        "ETag": f'"{opened.bytes:x}-{round(opened.last_modified.timestamp() * 1e6):x}"',
        "Accept-Ranges": "bytes",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cross-Origin-Resource-Policy": "cross-origin",
    }
    if is_external:  # its program may put other bytes there
        headers["Cache-Control"] = f"public, max-age={WINDOW_SECONDS}"
    if not is_derived(key):
        if originals.is_signed:
            headers["Cache-Control"] = f"private, max-age={WINDOW_SECONDS}"
        headers["Content-Disposition"] = f"inline; filename*=UTF-8''{quote(key.rpartition('/')[2], safe='')}"
    try:
        return _response(request, opened, headers)
    except Refusal:
        opened.file.close()
        raise


def _own(archive: Archive, key: str) -> OpenObject | None:
    try:
        return archive.store.open_object(key) if isinstance(archive.store, DirectoryStore) else None
    except InputError:
        return None


def _external(archive: Archive, key: str) -> OpenObject | None:
    """An image that a photo has as its external original; no other file of the directory."""
    store = archive.store
    if not isinstance(store, DirectoryStore) or "\0" in key or not key.isprintable():
        return None
    if not archive.database.read(lambda conn: photos.is_external(conn, store.bucket, key)):
        return None
    try:
        opened = store.open_external(store.bucket, key)
    except MediaError:
        return None
    if opened is None:
        return None
    file, status = opened
    try:
        content_type = FILE_TYPES[sniff(file.read(SNIFFED_BYTES))].content_type
    except PermanentError:
        file.close()
        return None
    file.seek(0)
    return OpenObject(file, status.st_size, content_type, datetime.fromtimestamp(status.st_mtime, UTC))


def _response(request: Request, opened: OpenObject, headers: dict[str, str]) -> Response:
    if _is_cached(request, headers["ETag"]):
        opened.file.close()
        return Response(status_code=304, headers=headers)
    part = _requested_range(request, headers["ETag"], opened.bytes)
    status = 200
    if part is not None:
        status = 206
        headers["Content-Range"] = f"bytes {part.start}-{part.end - 1}/{opened.bytes}"
    sent = part or ByteRange(0, opened.bytes)
    headers["Content-Length"] = str(sent.end - sent.start)
    if request.method == "HEAD":
        opened.file.close()
        return Response(status_code=status, headers=headers, media_type=opened.content_type)
    return SentFile(opened.file, sent, status, headers, opened.content_type)


def _is_cached(request: Request, etag: str) -> bool:
    """Whether the caller has this object already (RFC 9110, 13.1.2)."""
    tags = request.headers.get("if-none-match", "")
    return tags.strip() == "*" or etag in {tag.strip().removeprefix("W/") for tag in tags.split(",")}


def _requested_range(request: Request, etag: str, size: int) -> ByteRange | None:
    """The requested range (RFC 9110, 14.2); None for several ranges and for unknown forms, which get the whole file.

    Raises Refusal with 416 for a range beyond the end.
    """
    match = _RANGE.fullmatch(request.headers.get("range", "").replace(" ", ""))
    if match is None or match.group(1) == match.group(2) == "":
        return None
    if request.headers.get("if-range", etag) != etag:
        return None
    first, last = match.group(1), match.group(2)
    if first:
        start, end = int(first), min(int(last) + 1 if last else size, size)
        if last and int(last) < start:
            return None
    else:
        start, end = max(0, size - int(last)), size
    if start >= size or end <= start:
        raise Refusal(416, f"the object has {size} bytes", {"Content-Range": f"bytes */{size}"})
    return ByteRange(start, end)


class SentFile(StreamingResponse):
    """A part of a file. The file is closed however sending ends, even before the first byte is read."""

    def __init__(
        self, file: BufferedReader, part: ByteRange, status: int, headers: dict[str, str], content_type: str
    ) -> None:
        super().__init__(_chunks(file, part), status, headers, content_type)
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._file.close()


def _chunks(file: BufferedReader, part: ByteRange) -> Iterator[bytes]:
    with file:
        file.seek(part.start)
        left = part.end - part.start
        while left > 0 and (chunk := file.read(min(CHUNK_BYTES, left))):
            left -= len(chunk)
            yield chunk
