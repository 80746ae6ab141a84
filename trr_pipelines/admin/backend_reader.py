"""What pages ask the backend, as the signed-in admin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from starlette.requests import Request

from trr_pipelines.admin.backend import Backend, Query
from trr_pipelines.admin.sessions import Session


@dataclass(frozen=True)
class BackendReader:
    """The backend, for one request of one admin."""

    request: Request
    session: Session

    @classmethod
    def of(cls, request: Request) -> BackendReader:
        """Raises SignInNeeded when nobody is signed in."""
        return cls(request, request.app.state.authenticator.session(request))

    async def read(self, *parts: str, query: Query = ()) -> dict[str, Any]:
        """The JSON object at the path below `/api/v1/admin` that `parts` make. Raises BackendError."""
        backend: Backend = self.request.app.state.backend
        path = "/api/v1/admin/" + "/".join(quote(part, safe="") for part in parts)
        return await backend.read(path, self.session.email, self.request.scope["request_id"], query)
