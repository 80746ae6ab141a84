"""Messages to a real webhook: each sent once, none lost while it is down, and its URL never logged."""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from trr_pipelines.pipeline.alerting.alerts import SENSOR, FailedRun, evaluate, record_failed_run
from trr_pipelines.pipeline.alerting.messages import deliver
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines_tests.support.archives import query, value
from trr_pipelines_tests.support.ports import free_port
from trr_pipelines_tests.support.webhooks import Webhook, webhook

RUN = FailedRun("run-1", "import_batch", "batch:b", "b", "live", "base_variants: no disk", 2)


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with webhook("/hook/T0KEN") as running:
        yield running


def with_webhook(archive: Archive, url: str) -> Archive:
    settings = archive.settings.model_copy(update={"alert_webhook": SecretStr(url), "dagster_url": "https://dagster.x"})
    return dataclasses.replace(archive, settings=settings)


def end_backoff(archive: Archive) -> None:
    query(archive.database, "update core.alerts set tried_at = now() - interval '1 hour'")


def park_runs(archive: Archive) -> None:
    query(archive.database, "insert into core.dispatches (scope, failures) values ('batch:x', 5)")
    evaluate(archive, silences=(), watcher=SENSOR)


def test_a_failed_run_is_reported_once_with_its_details(archive: Archive, hook: Webhook) -> None:
    record_failed_run(archive.database, RUN)
    assert [deliver(with_webhook(archive, hook.url)).messages for _ in range(2)] == [1, 0]
    (message,) = hook.taken
    assert message["text"] == (
        "Failed: run of import_batch failed (b, lane live, 2 in a row): base_variants: no disk"
        " https://dagster.x/runs/run-1"
    )
    expected = {
        "kind": "run_failed",
        "state": "failed",
        "url": "https://dagster.x/runs/run-1",
        **dataclasses.asdict(RUN),
    }
    assert expected.items() <= message.items()


def test_a_condition_is_reported_when_it_begins_and_when_it_ends(archive: Archive, hook: Webhook) -> None:
    notifying = with_webhook(archive, hook.url)
    park_runs(archive)
    assert [deliver(notifying).messages for _ in range(2)] == [1, 0]
    query(archive.database, "delete from core.dispatches")
    query(
        archive.database,
        "update core.alerts set seen_at = now() - interval '3 minutes', opened_at = now() - interval '8 minutes'",
    )
    evaluate(archive, silences=(), watcher=SENSOR)
    assert [deliver(notifying).messages for _ in range(2)] == [1, 0]
    assert [message["state"] for message in hook.taken] == ["open", "resolved"]
    assert hook.texts[1].startswith("Resolved after 300 s: parked after too many failed runs")
    assert len(set(hook.keys)) == 2


@pytest.mark.parametrize("status", [301, 307, 400, 404, 410])
def test_a_permanent_error_of_the_webhook_is_tried_once_per_tick(archive: Archive, hook: Webhook, status: int) -> None:
    record_failed_run(archive.database, RUN)
    hook.answers = [status]
    assert deliver(with_webhook(archive, hook.url)).problem == f"answered with status {status}"
    assert hook.requests == 1  # no redirect is followed


def test_a_transient_error_is_retried_immediately(archive: Archive, hook: Webhook) -> None:
    record_failed_run(archive.database, RUN)
    hook.answers = [503, 429]
    assert deliver(with_webhook(archive, hook.url)).messages == 1
    assert hook.requests == 3


def test_messages_refused_by_a_dead_webhook_are_kept_and_sent_later_in_order(
    archive: Archive, hook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    dead = f"http://127.0.0.1:{free_port()}/hook/T0KEN"
    for number in range(3):
        record_failed_run(archive.database, dataclasses.replace(RUN, run_id=f"run-{number}"))
    with caplog.at_level(logging.DEBUG):
        for _ in range(4):
            assert deliver(with_webhook(archive, dead)).problem == "no answer (ConnectError)"
            end_backoff(archive)
        assert [alert.kind for alert in evaluate(archive, silences=(), watcher=SENSOR).holding] == [
            "alerts_undelivered"
        ]
        assert deliver(with_webhook(archive, hook.url)).messages == 3
    assert [message["run_id"] for message in hook.taken] == ["run-0", "run-1", "run-2"]
    assert "T0KEN" not in caplog.text
    assert "T0KEN" not in value(archive.database, "select jsonb_agg(to_jsonb(alerts))::text from core.alerts")


def test_after_a_failure_delivery_backs_off(archive: Archive, hook: Webhook) -> None:
    record_failed_run(archive.database, RUN)
    hook.answers = [404]
    assert [bool(deliver(with_webhook(archive, hook.url)).problem) for _ in range(3)] == [True, False, False]
    assert (hook.requests, hook.taken) == (1, [])


def test_concurrent_deliveries_send_each_message_once(archive: Archive, hook: Webhook) -> None:
    for number in range(6):
        record_failed_run(archive.database, dataclasses.replace(RUN, run_id=f"run-{number}"))
    threads = [threading.Thread(target=deliver, args=(with_webhook(archive, hook.url),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(message["run_id"] for message in hook.taken) == [f"run-{number}" for number in range(6)]


def test_without_a_webhook_nothing_is_sent_and_no_problem_is_reported(archive: Archive) -> None:
    record_failed_run(archive.database, RUN)
    assert deliver(archive).messages == 0
    assert evaluate(archive, silences=(), watcher=SENSOR).holding == ()


def test_alerts_that_ended_a_week_ago_are_not_sent(archive: Archive, hook: Webhook) -> None:
    record_failed_run(archive.database, RUN)
    query(archive.database, "update core.alerts set resolved_at = now() - interval '8 days'")
    assert deliver(with_webhook(archive, hook.url)).messages == 0
