"""Secrets are removed from error messages before they are sent."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from trr_pipelines.pipeline.alerting.messages import without_secrets
from trr_pipelines.settings import Settings

SETTINGS = Settings(alert_webhook=SecretStr("https://hooks.example/T0KEN"), jwt_secret=SecretStr("canary-of-tests"))


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("no\n  disk\0", "no disk\\x00"),
        ("signed with canary-of-tests.", "signed with ***."),
        ("at https://hooks.example/T0KEN", "at ***"),
        ("postgresql://trr:pass@db/trr is down", "postgresql://***@db/trr is down"),
        ("https://cdn.example/a.jpg?X-Amz-Signature=abc: 403", "https://cdn.example/a.jpg?*** 403"),
        ("Authorization: Bearer abc.def", "Authorization: *** ***"),
        ("password=hunter2 of token", "password=*** of token"),
        ("x" * 400, "x" * 299 + "…"),
    ],
)
def test_an_error_is_one_line_without_secrets(text: str, cleaned: str) -> None:
    assert without_secrets(text, SETTINGS) == cleaned
