"""The backend as this app sees it: JSON over HTTP, with credentials that no browser ever holds.

Which routes a browser may reach through it is `proxy`'s.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import httpx

from trr_pipelines.settings import Settings

READ_SECONDS = 10.0  # the backend itself gives up on its catalogue after that
WRITE_SECONDS = 60.0  # a better original is decoded before it is answered
CONNECT_SECONDS = 2.0

Query = Sequence[tuple[str, str]]


class BackendRequestError(Exception):
    """The backend did not give what was asked for; `status` is what our own answer has, `detail` says why."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class Backend:
    """A client of the backend that acts for one admin at a time. Opened and closed with the app."""

    def __init__(self, settings: Settings) -> None:
        assert settings.service_role_key is not None
        assert settings.internal_admin_shared_secret is not None
        self._credentials = {
            "Authorization": f"Bearer {settings.service_role_key.get_secret_value()}",
            "X-TRR-Internal-Admin-Secret": settings.internal_admin_shared_secret.get_secret_value(),
        }
        self._client = httpx.AsyncClient(
            base_url=settings.backend_url,
            timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
            limits=httpx.Limits(max_connections=64),
            trust_env=False,  # a proxy of the environment must not see the credentials
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def read(self, path: str, admin: str, request_id: str, query: Query = ()) -> dict[str, Any]:
        """The JSON object at `path`. Raises BackendRequestError: 404 for an unknown id, 422 for an invalid query,
        502, 503 or 504 for a backend that is broken, down or slow."""
        answer = await self.send("GET", path, admin, {"X-Request-Id": request_id}, query=query)
        if answer.status_code != HTTPStatus.OK:
            raise refused(answer)
        try:
            found = answer.json()
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise BackendRequestError(502, "The backend answered with something else than JSON.")
        return found

    async def send(
        self,
        method: str,
        path: str,
        admin: str,
        headers: Mapping[str, str],
        *,
        query: Query = (),
        body: bytes | AsyncIterator[bytes] | None = None,
    ) -> httpx.Response:
        """Whatever the backend answers. Raises BackendRequestError where it does not answer."""
        acting = {"X-TRR-Acting-Admin": admin.encode(), "Accept": "application/json"}
        all_headers: dict[str, Any] = {**headers, **self._credentials, **acting}
        seconds = READ_SECONDS if method == "GET" else WRITE_SECONDS
        try:
            return await self._client.request(
                method,
                path,
                params=list(query),
                headers=all_headers,
                content=body,
                timeout=httpx.Timeout(seconds, connect=CONNECT_SECONDS),
            )
        except httpx.TimeoutException:
            raise BackendRequestError(504, f"The backend did not answer within {seconds:.0f} seconds.") from None
        except httpx.TransportError:
            raise BackendRequestError(503, "The backend cannot be reached.") from None


def refused(answer: httpx.Response) -> BackendRequestError:
    """What an answer that is no success means for the page that needs it."""
    detail = detail_of(answer)
    if answer.status_code in (404, 422):
        return BackendRequestError(answer.status_code, detail or "The backend knows nothing of this.")
    if answer.status_code in (401, 403):
        return BackendRequestError(502, f"The backend refuses this app: {detail or 'its credentials are wrong'}.")
    if answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
        return BackendRequestError(503, f"The backend is not ready: {detail or 'it does not say why'}.")
    return BackendRequestError(502, f"The backend failed with {answer.status_code}{f': {detail}' if detail else ''}.")


def detail_of(answer: httpx.Response) -> str:
    """What a problem says of itself; empty for anything else."""
    try:
        told = answer.json()
    except ValueError:
        return ""
    return str(told.get("detail", "")) if isinstance(told, dict) else ""
