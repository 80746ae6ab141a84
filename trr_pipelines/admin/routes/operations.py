"""The operations page: alerts, queue, failures, retries and their results, bytes saved, image load times."""

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
    "failing_ticks": "Sensors or schedules fail.",
    "stalled_runs": "Queued runs do not start.",
    "failing_processes": "A process keeps ending.",
}
WIDTH, HEIGHT = 720, 180  # units of the SVG chart


async def show(request: Request) -> Response:
    """The operations page, from one backend read."""
    reader = BackendReader.of(request)
    operations = await reader.read("operations")
    response: Response = request.app.state.templates.page(
        request,
        "operations.html",
        reader.session,
        operations=operations,
        reasons=REASONS,
        alert_names=ALERTS,
        retry_filter=retry_filter,
        chart=chart(operations.get("saved_by_day", [])),
        image_times=operations.get("image_times", {}),
    )
    return response


def retry_filter(retry: dict[str, str | None]) -> str:
    """The filter of a retry in words."""
    parts = [
        REASONS.get(retry["reason"], retry["reason"]) if retry["reason"] else "",
        f"source {retry['source']}" if retry["source"] else "",
        f"show {retry['show']}" if retry["show"] else "",
        retry["state"] if retry["state"] and not retry["reason"] else "",
    ]
    return ", ".join(part for part in parts if part)


def chart(days: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Points of a line chart of `days` (`day`, cumulative `bytes_saved`), in chart units; None without days."""
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


ROUTES = [Route("/admin/operations", show)]
