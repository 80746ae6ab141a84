"""An HTTP client of the backend, with the credentials that browsers never get.

Which routes a browser may reach through it is decided in `proxy`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import httpx

from trr_pipelines.settings import Settings

READ_SECONDS = 10.0  # as long as the backend waits for its catalogue
WRITE_SECONDS = 60.0  # the backend decodes a replacement before it responds
CONNECT_SECONDS = 2.0

Query = Sequence[tuple[str, str]]


class BackendRequestError(Exception):
    """A backend request failed; `status` is the status of our own response, `detail` the reason."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class Backend:
    """A client of the backend that acts for one admin per request. Opened and closed with the app."""

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
        response = await self.send("GET", path, admin, {"X-Request-Id": request_id}, query=query)
        if response.status_code != HTTPStatus.OK:
            raise request_error(response)
        try:
            content = response.json()
        except ValueError:
            content = None
        if not isinstance(content, dict):
            raise BackendRequestError(502, "The backend's response is not a JSON object.")
        return content

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
        """The backend's response, whatever its status. Raises BackendRequestError (503, 504) if there is none."""
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


def request_error(response: httpx.Response) -> BackendRequestError:
    """The error of a page whose backend request got this unsuccessful response."""
    detail = _detail_of(response)
    if response.status_code in (404, 422):
        return BackendRequestError(response.status_code, detail or "The backend does not have this.")
    if response.status_code in (401, 403):
        return BackendRequestError(502, f"The backend refuses this app: {detail or 'its credentials are wrong'}.")
    if response.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
        return BackendRequestError(503, f"The backend is not ready: {detail or 'no reason given'}.")
    return BackendRequestError(502, f"The backend failed with {response.status_code}{f': {detail}' if detail else ''}.")


def _detail_of(response: httpx.Response) -> str:
    """The `detail` of a problem; empty for any other response."""
    try:
        content = response.json()
    except ValueError:
        return ""
    return str(content.get("detail", "")) if isinstance(content, dict) else ""
