"""URLs of originals: plain, or with `TRR_ORIGINALS=signed` valid for one to two hours, since originals keep metadata.

Derivatives have no metadata, and their URLs never expire.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from typing import Protocol
from urllib.parse import urlencode

from fastapi import Request

from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.settings import Settings
from trr_pipelines.storage.keys import is_derived
from trr_pipelines.storage.s3 import S3Store
from trr_pipelines.storage.store import public_url

# URLs expire at a full hour, one to two hours from now: within an hour the URL stays the same and can be cached.
WINDOW_SECONDS = 3600


class HostedOriginal(Protocol):
    """The columns of a photo that say where its original is; None without one."""

    @property
    def hosted_bucket(self) -> str | None: ...
    @property
    def hosted_key(self) -> str | None: ...
    @property
    def hosted_url(self) -> str | None: ...
    @property
    def is_external(self) -> bool: ...


class OriginalUrls:
    """Creates and checks URLs of originals. Safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        self.is_signed = settings.originals == "signed"
        secret = settings.internal_admin_shared_secret
        base = secret.get_secret_value().encode() if secret is not None else b""
        self._key = hmac.digest(base, b"originals", hashlib.sha256)

    def url(self, archive: Archive, original: HostedOriginal) -> str | None:
        """A URL at which the original can be read now; None for a photo without one."""
        hosted_key, hosted_url = original.hosted_key, original.hosted_url
        if not self.is_signed or hosted_key is None or hosted_url is None:
            return hosted_url
        expires = self._expiry()
        if isinstance(archive.store, S3Store):
            external_bucket = (original.hosted_bucket or "") if original.is_external else ""
            return archive.store.signed_url(hosted_key, expires - int(time.time()), external_bucket=external_bucket)
        url = public_url(archive.settings.base_url, hosted_key) if original.is_external else hosted_url
        return f"{url}?{urlencode({'expires': expires, 'signature': self._signature(hosted_key, expires)})}"

    def may_read(self, key: str, request: Request) -> bool:
        """Whether the request may read the object: originals need a valid signature unless they are public."""
        if not self.is_signed or is_derived(key):
            return True
        expires, signature = request.query_params.get("expires", ""), request.query_params.get("signature", "")
        if not (expires.isascii() and expires.isdigit() and len(expires) <= 12) or int(expires) < time.time():
            return False
        return hmac.compare_digest(signature.encode(), self._signature(key, int(expires)).encode())

    def _expiry(self) -> int:
        return (int(time.time()) // WINDOW_SECONDS + 2) * WINDOW_SECONDS

    def _signature(self, key: str, expires: int) -> str:
        return hmac.digest(self._key, f"{key}\n{expires}".encode(), hashlib.sha256).hex()
