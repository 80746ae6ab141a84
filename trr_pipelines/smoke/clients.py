"""HTTP clients of the smoke: the backend with each kind of credentials, the admin app with a session."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import jwt

from trr_pipelines.credentials import DEVELOPMENT_ADMIN
from trr_pipelines.errors import SetupError, TrrError
from trr_pipelines.settings import Settings

PHOTO_PAGES = 200
TIMEOUT = httpx.Timeout(30.0, connect=5.0)


class StepError(TrrError):
    """A smoke step failed; the message is one line."""


def expect(response: httpx.Response, status: int, what: str) -> httpx.Response:
    """The response, if it has this status. Raises StepError."""
    if response.status_code != status:
        raise StepError(f"{what}: status {response.status_code}, expected {status}")
    return response


def json_of(response: httpx.Response, what: str) -> Any:
    """The JSON body of a response with status 200. Raises StepError."""
    expect(response, httpx.codes.OK, what)
    try:
        return response.json()
    except ValueError:
        raise StepError(f"{what}: the response is not JSON") from None


@dataclass(frozen=True)
class SmokeBackend:
    """Client of the backend; `http` itself sends no credentials."""

    http: httpx.Client
    settings: Settings

    def service_role(self) -> dict[str, str]:
        """Headers with the service role's bearer token, without the second secret of the admin app."""
        return {"Authorization": f"Bearer {_secret(self.settings, 'service_role_key', 'TRR_SERVICE_ROLE_KEY')}"}

    def admin_app(self) -> dict[str, str]:
        """Headers with both secrets of the admin app."""
        secret = _secret(self.settings, "internal_admin_shared_secret", "TRR_INTERNAL_ADMIN_SHARED_SECRET")
        return {**self.service_role(), "X-TRR-Internal-Admin-Secret": secret}

    def screenalytics(self) -> dict[str, str]:
        """Headers with the bearer token of Screenalytics."""
        token = _secret(self.settings, "screenalytics_service_token", "SCREENALYTICS_SERVICE_TOKEN")
        return {"Authorization": f"Bearer {token}"}

    def read(self, path: str, **params: Any) -> Any:
        """JSON of `path` below /api/v1/admin, read with the secrets of the admin app. Raises StepError."""
        response = self.http.get(f"/api/v1/admin/{path}", params=params, headers=self.admin_app())
        return json_of(response, f"GET {path}")

    def toggle(
        self, person_id: UUID | str, link_id: UUID | str, value: bool, headers: dict[str, str] | None
    ) -> httpx.Response:
        """Send the face-bank toggle with the given credentials."""
        path = f"/api/v1/admin/person/{person_id}/gallery/{link_id}/facebank-seed"
        return self.http.patch(path, json={"facebank_seed": value}, headers=headers)

    def photos(self, person_id: UUID, *, seed_only: bool) -> list[dict[str, Any]]:
        """A person's photos as listed for Screenalytics. Raises StepError."""
        flag = "true" if seed_only else "false"
        path = f"/api/v1/screenalytics/people/{person_id}/photos?seed_only={flag}&limit=500"
        photos: list[dict[str, Any]] = []
        for _ in range(PHOTO_PAGES):
            response = self.http.get(path, headers=self.screenalytics())
            photos += json_of(response, f"photos with seed_only={flag}")
            following = response.links.get("next")
            if following is None:
                return photos
            path = following["url"]
            if not path.startswith("/api/"):  # the token goes to the backend only
                raise StepError(f"photos with seed_only={flag}: the next page is at another address, {path[:200]}")
        raise StepError(f"photos with seed_only={flag} have more than {PHOTO_PAGES} pages of 500")


@dataclass(frozen=True)
class AdminApp:
    """Client of the admin app, acting as a browser; `http` keeps the cookies."""

    http: httpx.Client
    settings: Settings

    @property
    def origin(self) -> str:
        parts = urlsplit(str(self.http.base_url))
        return f"{parts.scheme}://{parts.netloc}"

    def sign_in(self) -> None:
        """Sign in through the sign-in page. Raises StepError, and SetupError when no sign-in token is set."""
        token = self._token()
        page = self.http.get("/admin/sign-in")
        if page.status_code == httpx.codes.SEE_OTHER:  # signed in already
            return
        expect(page, httpx.codes.OK, "the sign-in page")
        fields = {"next": "/admin/trr-shows", "token": token}
        answer = self.http.post("/admin/sign-in", data=fields, headers={"Origin": self.origin})
        expect(answer, httpx.codes.SEE_OTHER, "signing in")

    def toggle(
        self, person_id: UUID | str, link_id: UUID | str, value: bool, *, origin: str | None = None
    ) -> httpx.Response:
        """Send the face-bank toggle as the app's pages do."""
        path = f"/admin/api/person/{person_id}/gallery/{link_id}/facebank-seed"
        return self.http.patch(path, json={"facebank_seed": value}, headers={"Origin": origin or self.origin})

    def _token(self) -> str:
        given = self.settings.smoke_token
        if given is not None:
            return given.get_secret_value()
        if self.settings.is_embedded and self.settings.jwt_secret is not None:
            now = int(time.time())
            claims = {"email": DEVELOPMENT_ADMIN, "aud": self.settings.jwt_audience, "iat": now, "exp": now + 600}
            return jwt.encode(claims, self.settings.jwt_secret.get_secret_value(), "HS256")
        raise SetupError("TRR_SMOKE_TOKEN is not set; give the sign-in token of an admin")


def _secret(settings: Settings, name: str, variable: str) -> str:
    value = getattr(settings, name)
    if value is None:
        raise SetupError(f"{variable} is not set")
    text: str = value.get_secret_value()
    return text
