"""Backend reads of pages, on behalf of the signed-in admin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from pydantic import ValidationError
from starlette.requests import Request

from trr_pipelines.admin.backend import Backend, BackendRequestError, Query
from trr_pipelines.admin.sessions import Session
from trr_pipelines.web.payloads import Gallery


@dataclass(frozen=True)
class BackendReader:
    """The backend, for one request of one admin."""

    request: Request
    session: Session

    @classmethod
    def of(cls, request: Request) -> BackendReader:
        """The reader for the request's session. Raises SignInRequired without one."""
        return cls(request, request.app.state.authenticator.session(request))

    async def read(self, *parts: str, query: Query = ()) -> dict[str, Any]:
        """The JSON object at the path below `/api/v1/admin` with these parts. Raises BackendRequestError."""
        backend: Backend = self.request.app.state.backend
        path = "/api/v1/admin/" + "/".join(quote(part, safe="") for part in parts)
        return await backend.read(path, self.session.email, self.request.scope["request_id"], query)

    async def read_gallery(self, *parts: str, query: Query) -> Gallery:
        """The gallery page at that path. Raises BackendRequestError: 502 for a page of another shape."""
        page = await self.read(*parts, query=query)
        try:
            return Gallery.model_validate(page)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            detail = f"The backend's gallery page is not valid: {field}: {first['msg']}."
            raise BackendRequestError(502, detail) from None
