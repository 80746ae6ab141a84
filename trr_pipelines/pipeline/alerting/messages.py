"""What the webhook is told: an alert as a message, and handing over what is due.

Nothing is lost while the webhook is down: what it did not acknowledge stays due in the catalogue. What it did is told
once; whoever crashes between the two tells it again under the same `Idempotency-Key`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import SecretStr

from trr_pipelines.catalogue import alerts
from trr_pipelines.catalogue.alerts import Notification
from trr_pipelines.errors import NotDeliveredError, printable
from trr_pipelines.pipeline.alerting.webhook import post_json
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.settings import Settings

# So many at a time: what is over them is due at the next look.
MESSAGES = 20
ERROR_CHARACTERS = 300
MIN_SECRET = 6  # shorter ones would be found in any word

_CREDENTIALS = re.compile(r"://[^/\s@]+@")
_QUERY = re.compile(r"(https?://[^\s?'\"]+)\?[^\s'\"]+")
_NAMED = re.compile(r"(?i)\b(authorization|password|passwd|secret|token|(?:api|access)[-_]?key)(\s*[=:]\s*)\S+")
_BEARER = re.compile(r"(?i)\b(bearer|basic)(\s+)\S+")


@dataclass
class DeliveryResult:
    """How many messages the webhook took, and why it did not take the first that it did not."""

    messages: int = 0
    problem: str = ""
    kinds: list[str] = field(default_factory=list)


def deliver(archive: Archive) -> DeliveryResult:
    """Tell the webhook what is due, the oldest first, until it does not take one. Without a webhook, nothing is."""
    url, done = archive.settings.alert_webhook, DeliveryResult()
    if url is None:
        return done
    for alert_id in archive.database.run(lambda conn: alerts.due(conn, MESSAGES)):
        # Not `run`, which would do all of it again when the commit fails: better told twice than tried for 40 s.
        with archive.database.transaction() as conn:
            told = alerts.hold(conn, alert_id)
            if told is None:
                continue
            state = _state(told)
            try:
                post_json(url, message(told, archive.settings), key=f"{told.id}-{state}")
            except NotDeliveredError as error:
                done.problem = str(error)
                alerts.refused(conn, alert_id, done.problem)
                break
            alerts.acknowledged(conn, alert_id, "open" if state == "open" else "ended")
            done.messages += 1
            done.kinds.append(told.kind)
    return done


def message(told: Notification, settings: Settings) -> dict[str, Any]:
    """An alert as JSON: `text` for people, the rest for machines."""
    state = _state(told)
    prefix = {"open": "Alert", "failed": "Failed"}.get(state, "Resolved")
    if state == "resolved" and told.resolved_at is not None:
        prefix = f"Resolved after {(told.resolved_at - told.opened_at).total_seconds():.0f} s"
    url = settings.dagster_ui_url
    if told.kind == "run_failed":
        url = f"{url}/runs/{told.subject}"
    return {
        "text": f"{prefix}: {told.text} {url}",
        "kind": told.kind,
        "state": state,
        "occurrence": told.id,
        "since": told.opened_at.isoformat(),
        "until": None if told.resolved_at is None else told.resolved_at.isoformat(),
        "url": url,
        **told.figures,
    }


def without_secrets(text: str, settings: Settings) -> str:
    """`text` as one line of at most 300 characters, without our own secrets and what looks like somebody's."""
    line = " ".join(printable(text).split())
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr) and len(value.get_secret_value()) >= MIN_SECRET:
            line = line.replace(value.get_secret_value(), "***")
    line = _QUERY.sub(r"\1?***", _CREDENTIALS.sub("://***@", line))
    line = _NAMED.sub(r"\1\2***", _BEARER.sub(r"\1\2***", line))
    return line if len(line) <= ERROR_CHARACTERS else f"{line[: ERROR_CHARACTERS - 1]}…"


def _state(told: Notification) -> Literal["open", "resolved", "failed"]:
    if told.kind == "run_failed":
        return "failed"
    return "open" if told.resolved_at is None else "resolved"
