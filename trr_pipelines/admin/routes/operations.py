"""The operations page: alerts, what waits, what fails, retries and how they came out, what was saved, how long pictures
take."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from trr_pipelines.admin.backend_reader import BackendReader
from trr_pipelines.admin.tiles import REASONS

ALERTS = {
    "lag": "Live work is overdue.",
    "parked_photos": "Many photos were parked.",
    "parked_runs": "Runs were parked after repeated failures.",
    "disk_nearly_full": "The disk is nearly full.",
    "alerts_undelivered": "Webhook unavailable.",
    "silent_watch": "No heartbeat from Dagster.",
    "silent_dagster": "No heartbeat from parts of Dagster.",
}
WIDTH, HEIGHT = 720, 180  # the chart's own units


async def operations(request: Request) -> Response:
    """The archive's operation in figures."""
    asker = BackendReader.of(request)
    found = await asker.read("operations")
    answer: Response = request.app.state.templates.page(
        request,
        "operations.html",
        asker.session,
        found=found,
        reasons=REASONS,
        alert_names=ALERTS,
        asked_for=asked_for,
        chart=chart(found.get("saved_by_day", [])),
        image_times=found.get("image_times", {}),
    )
    return answer


def asked_for(wanted: dict[str, str | None]) -> str:
    """The filter of a retry in words."""
    parts = [
        REASONS.get(wanted["reason"], wanted["reason"]) if wanted["reason"] else "",
        f"source {wanted['source']}" if wanted["source"] else "",
        f"show {wanted['show']}" if wanted["show"] else "",
        wanted["state"] if wanted["state"] and not wanted["reason"] else "",
    ]
    return ", ".join(part for part in parts if part)


def chart(days: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Lines of a chart of bytes saved: points of `days` (`day`, `bytes_saved` so far) in the chart's units."""
    if not days:
        return None
    days = days if len(days) > 1 else [*days, *days]
    highest = max(1, *(day["bytes_saved"] for day in days))
    points = [
        (round(WIDTH * number / (len(days) - 1), 1), round(HEIGHT * (1 - day["bytes_saved"] / highest * 0.92), 1))
        for number, day in enumerate(days)
    ]
    line = " ".join(f"{x},{y}" for x, y in points)
    return {
        "line": line,
        "area": f"0,{HEIGHT} {line} {WIDTH},{HEIGHT}",
        "first": days[0],
        "last": days[-1],
        "width": WIDTH,
        "height": HEIGHT,
    }


ROUTES = [Route("/admin/operations", operations)]
