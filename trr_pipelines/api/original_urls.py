"""URLs of originals: plain, or with `TRR_ORIGINALS=signed` valid for one to two hours, since originals keep metadata.

Derivatives have no metadata, and their URLs never expire.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from urllib.parse import urlencode

from fastapi import Request

from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.settings import Settings
from trr_pipelines.storage.s3 import S3Store

PREFIX = "originals/"
# URLs expire at a full hour, one to two hours from now: within an hour the URL stays the same and can be cached.
WINDOW_SECONDS = 3600


class OriginalUrls:
    """Creates and checks URLs of originals. Safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        self.is_signed = settings.originals == "signed"
        secret = settings.internal_admin_shared_secret
        base = secret.get_secret_value().encode() if secret is not None else b""
        self._key = hmac.digest(base, b"originals", hashlib.sha256)

    def url(self, archive: Archive, hosted_key: str, hosted_url: str) -> str:
        """A URL at which the original at `hosted_key` can be read now."""
        if not self.is_signed:
            return hosted_url
        expires = self._expiry()
        if isinstance(archive.store, S3Store):
            return archive.store.signed_url(hosted_key, expires - int(time.time()))
        return f"{hosted_url}?{urlencode({'expires': expires, 'signature': self._signature(hosted_key, expires)})}"

    def may_read(self, key: str, request: Request) -> bool:
        """Whether the request may read the object: originals need a valid signature unless they are public."""
        if not self.is_signed or not key.startswith(PREFIX):
            return True
        expires, signature = request.query_params.get("expires", ""), request.query_params.get("signature", "")
        if not (expires.isascii() and expires.isdigit() and len(expires) <= 12) or int(expires) < time.time():
            return False
        return hmac.compare_digest(signature.encode(), self._signature(key, int(expires)).encode())

    def _expiry(self) -> int:
        return (int(time.time()) // WINDOW_SECONDS + 2) * WINDOW_SECONDS

    def _signature(self, key: str, expires: int) -> str:
        return hmac.digest(self._key, f"{key}\n{expires}".encode(), hashlib.sha256).hex()
