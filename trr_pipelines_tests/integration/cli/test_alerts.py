"""`trr alerts` as cron runs it: exit codes, and a missing daemon."""

from __future__ import annotations

from pathlib import Path

from trr_pipelines_tests.support.commands import Trr
from trr_pipelines_tests.support.webhooks import webhook


def test_a_daemon_that_never_ran_raises_an_alert_and_one_webhook_message(
    tmp_path: Path, database_url: str, empty_database_url: str
) -> None:
    environment = {"TRR_DATABASE_URL": database_url, "TRR_DAGSTER_PG_URL": empty_database_url}
    with webhook() as hook:
        trr = Trr(tmp_path, **environment, TRR_ALERT_WEBHOOK=hook.url)
        first, second = trr("alerts", "--json"), trr("alerts")
        assert (first.code, second.code) == (1, 1)
        assert [alert["kind"] for alert in first.json["alerts"]] == ["silent_watch", "silent_dagster"]
        assert first.json["webhook"] == {"told": 2, "problem": None}
        assert "daemon backfill (no heartbeat yet)" in " ".join(second.out.split())
        assert [message["kind"] for message in hook.taken] == ["silent_watch", "silent_dagster"]
        assert hook.url not in first.out + first.err + second.out + second.err
    quiet = Trr(tmp_path, **environment, TRR_ALERT_SILENCE_SECONDS="0")("alerts")
    assert (quiet.code, quiet.out) == (0, "no open alerts\n")
