"""Webhook messages: an alert as JSON, and delivery of those that are due.

Messages that the webhook did not acknowledge stay due in the catalogue, so none is lost while it is down. After a crash
between delivery and commit, the message is sent again under the same `Idempotency-Key`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import SecretStr

from trr_pipelines.catalogue import alerts
from trr_pipelines.catalogue.alerts import Notification
from trr_pipelines.errors import NotDeliveredError
from trr_pipelines.foreign_text import shown
from trr_pipelines.pipeline.alerting.webhook import post_json
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.settings import Settings

# Messages per call; the rest is due at the next evaluation.
MAX_MESSAGES = 20
ERROR_CHARACTERS = 300
MIN_SECRET = 6  # shorter ones occur in ordinary words

_CREDENTIALS = re.compile(r"://[^/\s@]+@")
_QUERY = re.compile(r"(https?://[^\s?'\"]+)\?[^\s'\"]+")
_NAMED = re.compile(r"(?i)\b(authorization|password|passwd|secret|token|(?:api|access)[-_]?key)(\s*[=:]\s*)\S+")
_BEARER = re.compile(r"(?i)\b(bearer|basic)(\s+)\S+")


@dataclass
class DeliveryResult:
    """How many messages the webhook accepted, and why it refused the first that it did not."""

    messages: int = 0
    problem: str = ""
    kinds: list[str] = field(default_factory=list)


def deliver(archive: Archive) -> DeliveryResult:
    """Send due messages, oldest first, until the webhook refuses one. Without a webhook nothing is due."""
    url, done = archive.settings.alert_webhook, DeliveryResult()
    if url is None:
        return done
    for alert_id in archive.database.run(lambda conn: alerts.due(conn, MAX_MESSAGES)):
        # Not `run`, which repeats the whole function when the commit fails: a duplicate is better than 40 s of retries.
        with archive.database.transaction() as conn:
            notification = alerts.hold(conn, alert_id)
            if notification is None:
                continue
            state = _state(notification)
            try:
                post_json(url, message(notification, archive.settings), key=f"{notification.id}-{state}")
            except NotDeliveredError as error:
                done.problem = str(error)
                alerts.refused(conn, alert_id, done.problem)
                break
            alerts.acknowledged(conn, alert_id, "open" if state == "open" else "ended")
            done.messages += 1
            done.kinds.append(notification.kind)
    return done


def message(notification: Notification, settings: Settings) -> dict[str, Any]:
    """An alert as JSON: `text` for people, the rest for machines."""
    state = _state(notification)
    prefix = {"open": "Alert", "failed": "Failed"}.get(state, "Resolved")
    if state == "resolved" and notification.resolved_at is not None:
        prefix = f"Resolved after {(notification.resolved_at - notification.opened_at).total_seconds():.0f} s"
    url = settings.dagster_ui_url
    if notification.kind == "run_failed":
        url = f"{url}/runs/{notification.subject}"
    return {
        "text": f"{prefix}: {notification.text} {url}",
        "kind": notification.kind,
        "state": state,
        "occurrence": notification.id,
        "since": notification.opened_at.isoformat(),
        "until": None if notification.resolved_at is None else notification.resolved_at.isoformat(),
        "url": url,
        **notification.figures,
    }


def without_secrets(text: str, settings: Settings) -> str:
    """`text` as one line of at most 300 characters, without our secrets and anything that looks like a secret."""
    line = shown(" ".join(text.split()))
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr) and len(value.get_secret_value()) >= MIN_SECRET:
            line = line.replace(value.get_secret_value(), "***")
    line = _QUERY.sub(r"\1?***", _CREDENTIALS.sub("://***@", line))
    line = _NAMED.sub(r"\1\2***", _BEARER.sub(r"\1\2***", line))
    return line if len(line) <= ERROR_CHARACTERS else f"{line[: ERROR_CHARACTERS - 1]}…"


def _state(notification: Notification) -> Literal["open", "resolved", "failed"]:
    if notification.kind == "run_failed":
        return "failed"
    return "open" if notification.resolved_at is None else "resolved"
