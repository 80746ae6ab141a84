"""Templates and static files, and the filters of templates: sizes, dates, safe links.

No routes, and no requests to the backend.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from trr_pipelines.admin.sessions import Session
from trr_pipelines.settings import Settings

FOLDER = Path(__file__).parent
STATIC = FOLDER / "static"
_BETWEEN_TAGS = re.compile(r">\s+<")


class Templates:
    """Renders pages. Safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(FOLDER / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= {
            "bytes": human_bytes, "day": _day, "moment": _moment, "http": http_only, "count": _count, "json": _json,
            "span": _span,
            "lean": _lean,
        }  # fmt: skip
        self._environment.globals |= {
            "static": static_url,
            "dagster_url": settings.dagster_ui_url,
        }

    def page(
        self, request: Request, template: str, session: Session | None, *, status: int = 200, **values: Any
    ) -> Response:
        """A page, or part of one, for the signed-in admin."""
        html = self._environment.get_template(template).render(
            request=request, session=session, path=request.url.path, **values
        )
        # Back and forward reuse the page; every other navigation requests it again.
        return HTMLResponse(html, status, {"cache-control": "private, no-cache", "vary": "HX-Request, Cookie"})


def human_bytes(count: float | None) -> str:
    """A readable size: three digits and a decimal unit."""
    if count is None:
        return "–"
    for unit in ("B", "KB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or abs(count) >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def http_only(url: str | None) -> str:
    """`url` if it is http(s), else empty: URLs from sources may have any scheme."""
    try:
        return url if url and urlsplit(url).scheme in ("http", "https") else ""
    except ValueError:
        return ""


def _moment(value: datetime | str | None) -> str:
    """A time of the backend as `2026-02-12 14:05` (UTC)."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) and value else value
    except ValueError:
        return str(value)
    return f"{moment:%Y-%m-%d %H:%M}" if moment else "–"


def _day(value: datetime | str | None) -> str:
    return _moment(value)[:10]


def _count(number: float) -> str:
    return f"{number:,}"


def _span(seconds: float) -> str:
    """Seconds up to two minutes, minutes up to two hours, then hours."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def _json(value: Any) -> str:
    """JSON for a data attribute; the template escapes it."""
    return json.dumps(value, separators=(",", ":"))


def _lean(html: Markup) -> Markup:
    """HTML without whitespace between tags, which made half of a tile's nodes. Texts are escaped and keep theirs."""
    return Markup(_BETWEEN_TAGS.sub("><", html).strip())  # noqa: S704  already safe, and texts are not changed


class _Versioned(StaticFiles):
    """Static files that browsers cache for a year if the URL has a version."""

    def file_response(self, full_path: Any, stat_result: Any, scope: Scope, status_code: int = 200) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        versioned = scope["query_string"].startswith(b"v=")
        response.headers["cache-control"] = "public, max-age=31536000, immutable" if versioned else "no-cache"
        return response


def static_files() -> StaticFiles:
    """The ASGI app that serves the static files."""
    return _Versioned(directory=STATIC)


@lru_cache(maxsize=64)
def static_url(name: str) -> str:
    """The URL of a static file, with the hash of its content as version."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:10]
    return f"/admin/static/{name}?v={digest}"
