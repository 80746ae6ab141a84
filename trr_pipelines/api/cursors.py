"""Cursors of keyset pages: the sort key of a page's last row, opaque to callers."""

from __future__ import annotations

import base64
import binascii
import json
from uuid import UUID

from trr_pipelines.errors import InputError

MAX_CURSOR = 500


def encode_cursor(*key: str | int) -> str:
    """The cursor that `key` is read from again."""
    return base64.urlsafe_b64encode(json.dumps(key, separators=(",", ":")).encode()).decode().rstrip("=")


def decode_cursor(cursor: str, *types: type[str] | type[int]) -> tuple[str | int, ...]:
    """The values of a cursor of ours, one for each of `types`. Raises InputError for anything else."""
    try:
        if len(cursor) > MAX_CURSOR:
            raise ValueError
        padded = cursor + "=" * (-len(cursor) % 4)
        key = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        if not isinstance(key, list) or [type(value) for value in key] != list(types):
            raise ValueError
    except (ValueError, binascii.Error, RecursionError):
        raise InputError("cursor: not one that this server gave") from None
    return tuple(key)


def decode_id(cursor: str) -> UUID:
    """The id of a cursor that holds nothing else. Raises InputError for anything else."""
    (value,) = decode_cursor(cursor, str)
    try:
        return UUID(str(value))
    except ValueError:
        raise InputError("cursor: not one that this server gave") from None
