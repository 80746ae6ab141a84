"""The backend as a process: logs, metrics, failed starts, and a restart of its database."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest

from trr_pipelines.api.__main__ import main
from trr_pipelines.api.daemon_watch import watching
from trr_pipelines.catalogue import schema
from trr_pipelines.catalogue.database import Database
from trr_pipelines.catalogue.embedded import EmbeddedPostgres
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines_tests.support import backends
from trr_pipelines_tests.support.archives import add_photo, query
from trr_pipelines_tests.support.ports import free_port

TOGGLE = f"/api/v1/admin/person/{uuid4()}/gallery/{uuid4()}/facebank-seed"


@contextmanager
def running(log: Path, **environment: str) -> Iterator[httpx.Client]:
    """The backend as a separate process, with the tests' settings and `environment`."""
    port = free_port()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "trr_pipelines.api", "--port", str(port)],
            env={**os.environ, **environment},
            stderr=output,
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client:
            deadline = time.monotonic() + 60
            while True:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline
                try:
                    if client.get("/readyz").status_code == 200:
                        break
                except httpx.TransportError:
                    time.sleep(0.1)
            yield client
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) in (0, -signal.SIGTERM)  # uvicorn shuts down, then raises the signal
        assert "Application shutdown complete" in log.read_text()


def test_a_request_is_one_log_line_with_its_id_and_no_secret(environment: str, tmp_path: Path) -> None:
    secret = "canary-that-no-log-may-hold"
    with running(tmp_path / "log") as client:
        response = client.patch(
            f"{TOGGLE}?token={secret}",
            json={"facebank_seed": True, "note": secret},
            headers={**backends.ADMIN_APP, "X-Request-Id": "an-id-of-mine", "Cookie": secret},
        )
        refused = client.get(f"/{secret}", headers={"Authorization": f"Bearer {secret}"})
    assert (response.status_code, response.headers["x-request-id"]) == (422, "an-id-of-mine")
    assert response.json()["request_id"] == "an-id-of-mine"
    assert re.fullmatch("[0-9a-f]{32}", refused.headers["x-request-id"])
    text = (tmp_path / "log").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    (toggle,) = [line for line in lines if line.get("request_id") == "an-id-of-mine"]
    assert {name: toggle[name] for name in ("method", "status", "caller", "level")} == {
        "method": "PATCH", "status": 422, "caller": "admin app", "level": "info",
    }  # fmt: skip
    assert toggle["route"].endswith("/facebank-seed")
    for value in (secret, *backends.ENVIRONMENT.values()):
        assert value not in text


def test_metrics_are_open_to_this_machine_only(client: httpx.Client) -> None:
    client.patch(TOGGLE, json={"facebank_seed": True}, headers=backends.ADMIN_APP)
    response = client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")
    route = "/api/v1/admin/person/{person_id}/gallery/{link_id}/facebank-seed"
    assert f'trr_http_requests_total{{method="PATCH",route="{route}",status="404"}} 1.0' in response.text
    assert "trr_catalogue_up 1.0" in response.text
    assert "trr_lag_seconds 0.0" in response.text
    for passed_on in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"):
        assert client.get("/metrics", headers={passed_on: "203.0.113.5"}).status_code == 403
    assert client.get("/metrics", headers={"Host": "rebound.example:8000"}).status_code == 403


def test_the_backend_raises_an_alert_for_a_silent_sensor(client: httpx.Client, archive: Archive) -> None:
    query(archive.database, "insert into core.watches (watcher, looked_at) values ('alerts', now() - interval '1 day')")
    assert 'trr_alert_open{kind="silent_watch"} 0.0' in client.get("/metrics").text
    settings = archive.settings.model_copy(update={"alert_silence_seconds": 1})
    with watching(dataclasses.replace(archive, settings=settings), every=0.6):
        deadline = time.monotonic() + 30
        while not (alerts := client.get("/api/v1/admin/operations", headers=backends.ADMIN_APP).json()["alerts"]):
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert [alert["kind"] for alert in alerts] == ["silent_watch"]
    page = client.get("/metrics").text
    assert 'trr_alert_open{kind="silent_watch"} 1.0' in page
    assert re.search(r"^trr_alerts_looked_seconds 864\d\d", page, re.MULTILINE)


def test_metrics_require_a_configured_token(environment: str, tmp_path: Path) -> None:
    with running(tmp_path / "log", TRR_METRICS_TOKEN="token-of-prometheus") as client:
        assert client.get("/metrics").status_code == 401
        assert client.get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 401
        assert client.get("/metrics", headers=backends.ADMIN_APP).status_code == 403
        response = client.get("/metrics", headers={"Authorization": "Bearer token-of-prometheus"})
        assert response.status_code == 200


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"TRR_SERVICE_ROLE_KEY": ""}, "TRR_SERVICE_ROLE_KEY is not set"),
        ({"TRR_SERVICE_ROLE_KEY": "changeme"}, "TRR_SERVICE_ROLE_KEY is a placeholder"),
        ({"TRR_INTERNAL_ADMIN_SHARED_SECRET": "<fill in>"}, "TRR_INTERNAL_ADMIN_SHARED_SECRET is a placeholder"),
        ({"SCREENALYTICS_SERVICE_TOKEN": "short"}, "SCREENALYTICS_SERVICE_TOKEN has 5 characters"),
        (
            {"SCREENALYTICS_SERVICE_TOKEN": backends.SERVICE_ROLE},
            "SCREENALYTICS_SERVICE_TOKEN is the same as TRR_SERVICE_ROLE_KEY",
        ),
        ({"TRR_JWT_SECRET": " "}, "TRR_JWT_SECRET is not set (nor TRR_JWKS_URL)"),
        ({"TRR_ADMIN_ALLOWLIST": ""}, "TRR_ADMIN_ALLOWLIST is not set"),
        ({"TRR_ADMIN_ALLOWLIST": "file:/nowhere/admins"}, "/nowhere/admins cannot be read"),
        ({"TRR_DATABASE_URL": "postgresql://user@127.0.0.1:1/none"}, "cannot reach the database"),
    ],
)
def test_invalid_settings_fail_the_start_with_one_line(
    environment: str,
    changes: dict[str, str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In this process; the next test starts a separate one."""
    monkeypatch.setattr(sys, "argv", ["trr_pipelines.api", "--port", str(free_port())])
    for name, value in changes.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match="2"):
        main()
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not any(secret in line for secret in backends.ENVIRONMENT.values())


def test_a_database_without_our_schema_fails_the_start(environment: str, empty_database_url: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "trr_pipelines.api", "--port", str(free_port())],
        env={**os.environ, "TRR_DATABASE_URL": empty_database_url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "run: trr db upgrade" in ended.stderr


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_database_restart_under_load_causes_503_only(server_home: Path, tmp_path: Path) -> None:
    """Several threads send requests while the server is killed and restarted; no acknowledged write is lost."""
    postgres = EmbeddedPostgres(server_home)
    postgres.start()
    environment = {**backends.ENVIRONMENT, "TRR_HOME": str(server_home), "TRR_DATABASE_URL": postgres.url("trr")}
    schema.upgrade(postgres.url("trr"))
    database = Database(postgres.url("trr")).open()
    try:
        person, links = _person_with_links(database)
        statuses: Counter[int] = Counter()
        acknowledged: dict[UUID, bool] = {}
        stop = threading.Event()
        with running(tmp_path / "log", **environment) as client, postgres.kept_alive():

            def toggling(mine: list[UUID]) -> None:
                flag = False
                while not stop.is_set():
                    flag = not flag
                    for link in mine:
                        response = client.patch(
                            f"/api/v1/admin/person/{person}/gallery/{link}/facebank-seed",
                            json={"facebank_seed": flag},
                            headers=backends.ADMIN_APP,
                        )
                        statuses[response.status_code] += 1
                        if response.status_code == 200:
                            acknowledged[link] = flag
                        else:
                            assert response.headers["retry-after"]
                            acknowledged.pop(link, None)  # the outcome is unknown

            threads = [threading.Thread(target=toggling, args=(links[n::4],)) for n in range(4)]
            for thread in threads:
                thread.start()
            pid_file = server_home / "postgres" / "postmaster.pid"
            try:
                _wait(lambda: statuses[200] > 20)
                killed = pid_file.read_text().splitlines()[0]
                os.kill(int(killed), signal.SIGKILL)
                _wait(lambda: pid_file.exists() and pid_file.read_text().splitlines()[:1] not in ([], [killed]))
                before = statuses[200]
                _wait(lambda: statuses[200] > before + 20)
            finally:
                stop.set()
                for thread in threads:
                    thread.join()
            assert set(statuses) <= {200, 503}, statuses
            assert client.get("/readyz").status_code == 200
            final = _flags(database)
        assert acknowledged
        assert {link: final[link] for link in acknowledged} == acknowledged
    finally:
        database.close()
        postgres.release()


def _person_with_links(database: Database) -> tuple[UUID, list[UUID]]:
    (row,) = query(database, "insert into core.people (full_name) values ('Person One') returning id")
    return row["id"], [add_photo(database, row["id"], n, served=True, seed=False) for n in range(1, 13)]


def _flags(database: Database) -> dict[UUID, bool]:
    return {
        row["id"]: row["facebank_seed"] for row in query(database, "select id, facebank_seed from core.media_links")
    }
