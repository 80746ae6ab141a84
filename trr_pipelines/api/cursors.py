"""Cursors for keyset pagination: the sort key of a page's last row, opaque to callers."""

from __future__ import annotations

import base64
import binascii
import json
from uuid import UUID

from trr_pipelines.errors import InputError

MAX_CURSOR = 4_000  # one with a snapshot names every transaction that was under way


def encode_cursor(*key: str | int) -> str:
    """The cursor for a sort key."""
    return base64.urlsafe_b64encode(json.dumps(key, separators=(",", ":")).encode()).decode().rstrip("=")


def decode_cursor(cursor: str, *types: type[str] | type[int]) -> tuple[str | int, ...]:
    """The values of a cursor, one for each of `types`. Raises InputError for any other string."""
    try:
        if len(cursor) > MAX_CURSOR:
            raise ValueError
        padded = cursor + "=" * (-len(cursor) % 4)
        key = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        if not isinstance(key, list) or [type(value) for value in key] != list(types):
            raise ValueError
    except (ValueError, binascii.Error, RecursionError):
        raise InputError("cursor: not a cursor of this server") from None
    return tuple(key)


def decode_id(cursor: str) -> UUID:
    """The id in a cursor of one id. Raises InputError for any other string."""
    (value,) = decode_cursor(cursor, str)
    try:
        return UUID(str(value))
    except ValueError:
        raise InputError("cursor: not a cursor of this server") from None
