"""Problems of a deployment, by name of the setting, on real components."""

from __future__ import annotations

import os
import subprocess

import pytest
from pydantic import SecretStr

from trr_pipelines.doctor import DEPLOYMENTS, examine
from trr_pipelines.screenalytics.bank import FaceBank
from trr_pipelines.screenalytics.factory import upgrade_bank
from trr_pipelines.settings import Settings
from trr_pipelines_tests.support.application_face_banks import create_application, trr_backend
from trr_pipelines_tests.support.environments import Environment, changed
from trr_pipelines_tests.support.face_banks import bank_query
from trr_pipelines_tests.support.ports import refusing_port


def problems(deployment: str, settings: Settings) -> dict[str, str]:
    return {need.name: need.problem for need in examine(deployment, settings) if not need.ok}


def complete(environment: Environment) -> Settings:
    """The settings of a real deployment, with every URL set."""
    settings = environment.settings
    return settings.model_copy(update={"dagster_pg_url": settings.database_url, "admin_url": environment.admin})


def test_a_complete_environment_has_no_problems(environment: Environment) -> None:
    assert {name: problems(name, complete(environment)) for name in DEPLOYMENTS} == {
        "backend": {},
        "admin": {},
        "screenalytics": {},
    }


@pytest.mark.parametrize(
    ("deployment", "setting", "need", "problem"),
    [
        ("admin", "service_role_key", "TRR_SERVICE_ROLE_KEY and TRR_INTERNAL_ADMIN_SHARED_SECRET",
         "TRR_SERVICE_ROLE_KEY differs from the backend's"),
        ("admin", "internal_admin_shared_secret", "TRR_SERVICE_ROLE_KEY and TRR_INTERNAL_ADMIN_SHARED_SECRET",
         "TRR_INTERNAL_ADMIN_SHARED_SECRET differs from the backend's"),
        ("screenalytics", "screenalytics_service_token", "SCREENALYTICS_SERVICE_TOKEN",
         "SCREENALYTICS_SERVICE_TOKEN differs from the backend's"),
    ],
)  # fmt: skip
def test_a_secret_that_differs_from_the_backends_is_detected_by_a_request(
    environment: Environment, deployment: str, setting: str, need: str, problem: str
) -> None:
    settings = changed(complete(environment), setting, "another-secret-of-the-tests")
    assert problems(deployment, settings) == {need: problem}


def test_every_missing_setting_is_named(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("TRR_", "SCREENALYTICS_")):
            monkeypatch.delenv(name)
    bare = Settings(home=environment.out, database_url=environment.settings.database_url)
    assert problems("backend", bare) == {
        "TRR_DAGSTER_PG_URL": "TRR_DAGSTER_PG_URL is not set",
        "TRR_MEDIA_STORE": "TRR_MEDIA_STORE is not set (nor OBJECT_STORAGE_BUCKET, AWS_S3_BUCKET)",
        "TRR_MEDIA_BASE_URL": ("TRR_MEDIA_BASE_URL is not set (nor OBJECT_STORAGE_PUBLIC_BASE_URL, AWS_CDN_BASE_URL)"),
        "TRR_SERVICE_ROLE_KEY": "TRR_SERVICE_ROLE_KEY is not set",
        "TRR_INTERNAL_ADMIN_SHARED_SECRET": "TRR_INTERNAL_ADMIN_SHARED_SECRET is not set",
        "SCREENALYTICS_SERVICE_TOKEN": "SCREENALYTICS_SERVICE_TOKEN is not set",
        "TRR_JWT_SECRET or TRR_JWKS_URL": "TRR_JWT_SECRET is not set (nor TRR_JWKS_URL)",
        "TRR_ADMIN_ALLOWLIST": "TRR_ADMIN_ALLOWLIST is not set",
    }
    assert set(problems("screenalytics", bare).values()) == {
        "TRR_API_URL is not set",
        "SCREENALYTICS_SERVICE_TOKEN is not set",
        "SCREENALYTICS_DB_URL is not set",
    }


def test_unreachable_components_are_reported_without_secrets(environment: Environment) -> None:
    with refusing_port() as port:
        unreachable = changed(
            changed(complete(environment), "database_url", f"postgresql://u:hunter2@127.0.0.1:{port}/x"),
            "screenalytics_db_url",
            f"postgresql://u:hunter2@127.0.0.1:{port}/x",
        ).model_copy(update={"api_url": f"http://127.0.0.1:{port}"})
        backend, screenalytics = problems("backend", unreachable), problems("screenalytics", unreachable)
    assert set(backend) == {"TRR_DATABASE_URL"}
    assert set(screenalytics) == {"TRR_API_URL", "SCREENALYTICS_SERVICE_TOKEN", "SCREENALYTICS_DB_URL"}
    assert "cannot be reached" in screenalytics["TRR_API_URL"]
    assert "hunter2" not in str(backend) + str(screenalytics)


def test_a_missing_relation_is_reported_with_the_command_that_fixes_it(environment: Environment) -> None:
    bank_query(environment.bank, "drop table face_exclusions")
    problem = problems("screenalytics", complete(environment))["SCREENALYTICS_DB_URL"]
    assert problem.endswith('has no relation "face_exclusions"; run: trr db upgrade')


def test_an_empty_allowlist_is_reported(environment: Environment) -> None:
    settings = complete(environment).model_copy(update={"admin_allowlist": " , # no admins"})
    assert problems("admin", settings) == {"TRR_ADMIN_ALLOWLIST": "TRR_ADMIN_ALLOWLIST is empty"}


@pytest.mark.skipif(os.getuid() != 0, reason="mounts a read-only directory")
def test_a_store_that_cannot_be_written_is_reported(environment: Environment) -> None:
    settings = complete(environment)
    folder = settings.store_url.removeprefix("file:")
    if subprocess.run(["mount", "--bind", "-o", "ro", folder, folder], check=False).returncode:
        pytest.skip("this machine does not let root mount")
    try:
        found = problems("backend", settings)
    finally:
        subprocess.run(["umount", folder], check=True)
    assert set(found) == {"TRR_MEDIA_STORE"}
    assert "Read-only file system" in found["TRR_MEDIA_STORE"]


def test_screenalytics_of_the_application_has_no_problems(environment: Environment, empty_database_url: str) -> None:
    """Its backend has no `/readyz`, and an empty list of photos of an unknown person."""
    create_application(empty_database_url)
    upgrade_bank(empty_database_url)
    with trr_backend() as trr:
        settings = complete(environment).model_copy(
            update={"api_url": trr.url, "screenalytics_db_url": SecretStr(empty_database_url)}
        )
        assert problems("screenalytics", settings) == {}
        wrong = changed(settings, "screenalytics_service_token", "another-secret-of-the-tests")
        assert set(problems("screenalytics", wrong)) == {"SCREENALYTICS_SERVICE_TOKEN"}
    bank_query(FaceBank(SecretStr(empty_database_url)), "drop schema trr_face_bank cascade")
    assert "run: trr db upgrade" in problems("screenalytics", settings)["SCREENALYTICS_DB_URL"]


def test_an_unusable_optional_secret_is_named(environment: Environment) -> None:
    settings = complete(environment).model_copy(update={"supabase_jwt_secret": SecretStr("short")})
    assert set(problems("backend", settings)) == {"SUPABASE_JWT_SECRET"}
