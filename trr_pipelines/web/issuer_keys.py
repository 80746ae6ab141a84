"""The public keys of the sign-in's issuer, fetched beside the requests that need them and kept while it is away.

What a token must hold is decided in `tokens`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import time

import httpx
import jwt

from trr_pipelines.errors import SetupError
from trr_pipelines.loopback import is_loopback_url

FETCH_SECONDS = 5.0  # from the request to the last byte
FRESH_SECONDS = 300.0  # older keys are used while newer ones are fetched
PAUSE_SECONDS = 10.0  # between fetches: a token with an unknown key id costs the issuer no more
MAX_BYTES = 1_000_000

_log = logging.getLogger("trr.sign-in")


class IssuerUnreachableError(Exception):
    """The issuer's keys cannot be fetched, so no token can be verified now."""


class IssuerKeys:
    """The keys of one issuer by key id, for one event loop. At most one fetch is under way, whoever needs it."""

    def __init__(self, url: str) -> None:
        """Raises SetupError for a URL that is neither https nor http on this machine."""
        if not _is_safe(url):
            raise SetupError("TRR_JWKS_URL must be an https URL, or an http URL of this machine")
        self._url = url
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at = self._tried_at = float("-inf")
        self._fetch: asyncio.Task[bool] | None = None
        self._tls = ssl.create_default_context()

    async def key(self, key_id: str) -> jwt.PyJWK | None:
        """The key with this id, or None; an unknown one is looked for at the issuer.

        Raises IssuerUnreachableError if the issuer does not answer and the key is not known from before.
        """
        key = self._keys.get(key_id)
        if key is None and (fetch := self._started()) is not None:
            # Shielded: the fetch goes on for the others when the client of this request leaves.
            has_keys = await asyncio.shield(fetch)
            key = self._keys.get(key_id)
            if key is None and not has_keys:
                raise IssuerUnreachableError("the keys of the sign-in cannot be fetched")
        elif time.monotonic() - self._fetched_at > FRESH_SECONDS:
            self._started()
        if key is None and not self._keys:
            raise IssuerUnreachableError("the keys of the sign-in cannot be fetched")
        return key

    def _started(self) -> asyncio.Task[bool] | None:
        """The fetch that is under way, else a new one, unless the last began a moment ago."""
        if self._fetch is not None and not self._fetch.done():
            return self._fetch
        if time.monotonic() - self._tried_at < PAUSE_SECONDS:
            return None
        self._tried_at = time.monotonic()
        self._fetch = asyncio.create_task(self._replace_keys())
        return self._fetch

    async def _replace_keys(self) -> bool:
        """Fetch the keys; False, with the old ones kept, if that fails."""
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                keys = _parsed(await self._read())
        except (OSError, httpx.HTTPError, ValueError, jwt.PyJWTError) as error:  # a timeout is an OSError
            _log.warning("the keys of the sign-in cannot be fetched: %s", type(error).__name__)
            return False
        self._keys, self._fetched_at = keys, time.monotonic()
        return True

    async def _read(self) -> bytes:
        content = bytearray()
        async with (
            httpx.AsyncClient(verify=self._tls, timeout=FETCH_SECONDS) as client,
            client.stream("GET", self._url, headers={"Accept": "application/json"}) as response,
        ):
            response.raise_for_status()
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > MAX_BYTES:
                    raise ValueError(f"more than {MAX_BYTES:,} bytes of keys")
        return bytes(content)


def _is_safe(url: str) -> bool:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return False
    return (parsed.scheme == "https" and bool(parsed.host)) or is_loopback_url(url)


def _parsed(content: bytes) -> dict[str, jwt.PyJWK]:
    """Keys for signatures by id. Raises ValueError or PyJWTError if there is none: it would lock all admins out."""
    given = json.loads(content)
    if not isinstance(given, dict):
        raise ValueError("the keys are not a JSON object")
    keys = jwt.PyJWKSet.from_dict(given).keys
    usable = {key.key_id: key for key in keys if key.key_id and key.public_key_use in (None, "sig")}
    if not usable:
        raise ValueError("no key for signatures")
    return usable
