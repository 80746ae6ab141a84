"""Settings: defaults, names, and errors that list all invalid variables by name without their values."""

from __future__ import annotations

import ipaddress
from datetime import datetime, time, timedelta
from pathlib import Path

import pytest

from trr_pipelines.errors import SetupError
from trr_pipelines.settings import Hours, Settings, load_settings


def test_without_any_setting_everything_is_embedded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load_settings()
    assert settings.home == tmp_path / ".trr"
    assert settings.database_url is None
    assert settings.dagster_pg_url is None
    assert settings.store_url == f"file:{tmp_path / '.trr' / 'media'}"
    assert settings.base_url == "http://127.0.0.1:8000/media"
    assert (settings.api_port, settings.admin_port, settings.dagster_port) == (8000, 8080, 3000)
    assert settings.fetch_allow_networks == ()


def test_the_environment_sets_everything(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {
        "TRR_HOME": str(tmp_path / "state"),
        "TRR_DATABASE_URL": "postgresql://u:p@db/trr",
        "TRR_DAGSTER_PG_URL": "postgresql+psycopg2://u:p@db/dagster",
        "TRR_MEDIA_STORE": "s3://photos/archive",
        "TRR_MEDIA_BASE_URL": "https://cdn.example/media/",
        "TRR_API_PORT": "9000",
        "TRR_RENDER_PROCESSES": "3",
        "TRR_BACKFILL_QUEUE": "4",
        "TRR_BACKFILL_PROCESSES": "1",
        "TRR_DASK_ADDRESS": "tls://scheduler.internal:8786",
        "TRR_BACKFILL_HOURS": "22:00-06:30",
        "TRR_FETCH_ALLOW_NETWORKS": '["10.1.0.0/16", "::1"]',
    }.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert settings.home == tmp_path / "state"
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == "postgresql://u:p@db/trr"
    assert settings.store_url == "s3://photos/archive"
    assert settings.base_url == "https://cdn.example/media"
    assert (settings.api_port, settings.render_processes) == (9000, 3)
    assert (settings.backfill_queue, settings.backfill_processes) == (4, 1)
    assert settings.backfill_hours == Hours(time(22), time(6, 30))
    assert settings.dask_address == "tls://scheduler.internal:8786"
    assert settings.fetch_allow_networks == (ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("::1"))


def test_the_media_url_uses_the_port_of_the_api(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRR_API_PORT", "9000")
    assert load_settings().base_url == "http://127.0.0.1:9000/media"


def test_the_url_of_a_bucket_is_not_that_of_a_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_CDN_BASE_URL", "https://cdn.example/")
    monkeypatch.setenv("TRR_MEDIA_STORE", f"file:{tmp_path}")
    assert (load_settings().base_url, load_settings().base_url_setting) == ("http://127.0.0.1:8000/media", "")
    monkeypatch.setenv("TRR_MEDIA_STORE", "s3://photos/archive/")
    assert load_settings().base_url == "https://cdn.example/archive"
    assert load_settings().base_url_setting == "AWS_CDN_BASE_URL"


def test_r2_has_the_region_auto_unless_another_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().s3_options == {}
    monkeypatch.setenv("OBJECT_STORAGE_ENDPOINT_URL", "https://0123.r2.cloudflarestorage.com")
    assert load_settings().s3_options["region"] == "auto"
    monkeypatch.setenv("AWS_REGION", "wnam")
    assert load_settings().s3_options["region"] == "wnam"


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("TRR_HOME", "TRR_DATABASE_URL", "TRR_API_PORT", "TRR_FETCH_ALLOW_NETWORKS"):
        monkeypatch.setenv(name, "")
    assert load_settings() == Settings()
    assert load_settings().home == tmp_path / ".trr"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TRR_API_PORT", "0"),
        ("TRR_API_PORT", "65536"),
        ("TRR_DAGSTER_PORT", "http"),
        ("TRR_RENDER_PROCESSES", "-1"),
        ("TRR_DEBUG", "perhaps"),
        ("TRR_BACKFILL_QUEUE", "0"),
        ("TRR_BACKFILL_PROCESSES", "-1"),
        ("TRR_BACKFILL_HOURS", "22-6"),
        ("TRR_BACKFILL_HOURS", "22:00-24:00"),
        ("TRR_BACKFILL_HOURS", "22:00-22:00"),
        ("TRR_BACKFILL_HOURS", "22:00"),
        ("TRR_ALERT_SILENCE_SECONDS", "119"),
        ("TRR_DASK_ADDRESS", "10.1.0.5:8786"),
        ("TRR_DASK_ADDRESS", "http://10.1.0.5:8786"),
        ("TRR_DASK_ADDRESS", "tcp://10.1.0.5"),
        ("TRR_HOME", "~no-such-user/state"),
        ("TRR_DATABASE_URL", "mysql://u:hunter2@db/trr"),
        ("TRR_DATABASE_URL", "postgresql+psycopg2://u:hunter2@db/trr"),
        ("TRR_DATABASE_URL", "postgresql://u:hunter2@[db/trr"),
        ("TRR_DAGSTER_PG_URL", "sqlite:///x"),
        ("TRR_ALERT_WEBHOOK", "ftp://hunter2"),
        ("TRR_ALERT_WEBHOOK", "https:///hunter2"),
        ("TRR_ALERT_WEBHOOK", "https://x:hunter2/y"),
        ("TRR_ALERT_WEBHOOK", "https://x/hunter2 y"),
        ("TRR_ALERT_LAG_SECONDS", "-1"),
        ("TRR_ALERT_DISK_PERCENT", "101"),
        ("TRR_FETCH_ALLOW_NETWORKS", "127.0.0.0/8"),
        ("TRR_FETCH_ALLOW_NETWORKS", '["127.0.0.0/99"]'),
        ("TRR_FETCH_ALLOW_NETWORKS", '{"a": 1}'),
    ],
)
def test_an_invalid_value_is_reported_by_variable_name_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SetupError, match=f"settings: {name}: ") as caught:
        load_settings()
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_problems_are_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRR_API_PORT", "0")
    monkeypatch.setenv("TRR_DATABASE_URL", "sqlite:///x")
    monkeypatch.setenv("TRR_FETCH_ALLOW_NETWORKS", "not json")
    with pytest.raises(SetupError) as caught:
        load_settings()
    for name in ("TRR_API_PORT", "TRR_DATABASE_URL", "TRR_FETCH_ALLOW_NETWORKS"):
        assert f"{name}: " in str(caught.value)


def test_secrets_do_not_show_when_settings_are_printed() -> None:
    settings = Settings(database_url="postgresql://u:hunter2@db/trr")
    assert "hunter2" not in repr(settings)


NIGHT, NOON = Hours(time(22), time(6, 30)), Hours(time(11), time(13))


def at(day: int, hour: int, minute: int = 0) -> datetime:
    """A time in February 2026 in the machine's time zone."""
    return datetime(2026, 2, day, hour, minute).astimezone()


@pytest.mark.parametrize(
    ("hours", "clock", "expected"),
    [
        (NIGHT, (21, 59), False),
        (NIGHT, (22, 0), True),
        (NIGHT, (0, 0), True),
        (NIGHT, (6, 29), True),
        (NIGHT, (6, 30), False),
        (NOON, (10, 59), False),
        (NOON, (11, 0), True),
        (NOON, (13, 0), False),
    ],
)
def test_hours_include_their_start_and_exclude_their_end_even_over_midnight(
    hours: Hours, clock: tuple[int, int], expected: bool
) -> None:
    assert hours.contain(at(3, *clock)) is expected


@pytest.mark.parametrize(
    ("hours", "begin", "work", "end"),
    [
        (NIGHT, at(3, 23), timedelta(hours=2), at(4, 1)),
        (NIGHT, at(3, 12), timedelta(hours=2), at(4, 0)),
        (NIGHT, at(3, 6), timedelta(hours=1), at(3, 22, 30)),
        (NIGHT, at(3, 22), timedelta(hours=20), at(6, 1)),
        (NOON, at(3, 13), timedelta(hours=2), at(4, 13)),
        (NOON, at(3, 13), timedelta(hours=3), at(5, 12)),
    ],
)
def test_work_continues_within_its_hours_only(hours: Hours, begin: datetime, work: timedelta, end: datetime) -> None:
    assert hours.end_of(work, begin) == end


def test_hours_print_as_they_were_set() -> None:
    assert str(NIGHT) == "22:00-06:30"
