"""A bucket by the names of the application's settings, in a child process, on two S3 servers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid

import pytest

from trr_pipelines_tests.support.s3_servers import ACCESS_KEY, SECRET_KEY, S3Server

# Opens the store of the environment and uses it; prints what it found.
USE = """
import json
from trr_pipelines.doctor import examine
from trr_pipelines.settings import load_settings
from trr_pipelines.storage.factory import open_store

settings = load_settings()
store = open_store(settings.store_url, base_url=settings.base_url, s3_options=settings.s3_options)
put = store.put_if_absent("media/ab/x.jpg", b"pixels", content_type="image/jpeg")
found = {
    "created": put.created,
    "read": store.get("media/ab/x.jpg").decode(),
    "listed": [item.key for item in store.list("media/")],
    "public": store.public_url("media/ab/x.jpg"),
    "signed": store.signed_url("media/ab/x.jpg", 60),
    "region": store.client.meta.region_name,
    "doctor": {one.name: one.used for one in examine("backend", settings) if one.name.startswith("TRR_MEDIA")},
}
store.delete(["media/ab/x.jpg"])
print(json.dumps(found | {"left": len(list(store.list()))}))
"""


@pytest.fixture
def server(request: pytest.FixtureRequest) -> S3Server:
    """rclone, which checks signatures; moto where a test names it as well."""
    found: S3Server = request.getfixturevalue(getattr(request, "param", "rclone"))
    return found


@pytest.fixture
def bucket(server: S3Server) -> str:
    name = f"application-{uuid.uuid4().hex[:12]}"
    client = server.client()
    client.create_bucket(Bucket=name)
    client.close()
    return name


def use(environment: dict[str, str]) -> dict[str, object]:
    inherited = {name: value for name, value in os.environ.items() if name in ("PATH", "PYTHONPATH", "HOME")}
    child = subprocess.run(
        [sys.executable, "-c", USE], env=inherited | environment, capture_output=True, text=True, check=False
    )
    assert child.returncode == 0, child.stderr
    found: dict[str, object] = json.loads(child.stdout)
    return found


def names_of_the_application(server: S3Server, bucket: str) -> dict[str, str]:
    return {
        "OBJECT_STORAGE_PROVIDER": "r2",
        "OBJECT_STORAGE_BUCKET": bucket,
        "OBJECT_STORAGE_ENDPOINT_URL": server.url,
        "OBJECT_STORAGE_ACCESS_KEY_ID": ACCESS_KEY,
        "OBJECT_STORAGE_SECRET_ACCESS_KEY": SECRET_KEY,
        "OBJECT_STORAGE_PUBLIC_BASE_URL": f"{server.url}/{bucket}/",
    }


@pytest.mark.parametrize("server", ["moto", "rclone"], indirect=True)
def test_the_names_of_the_application_are_enough(server: S3Server, bucket: str) -> None:
    found = use(names_of_the_application(server, bucket))
    assert (found["created"], found["read"], found["listed"], found["left"]) == (True, "pixels", ["media/ab/x.jpg"], 0)
    assert found["region"] == "auto", "R2 has no other"
    assert found["public"] == f"{server.url}/{bucket}/media/ab/x.jpg"
    assert str(found["signed"]).startswith(f"{server.url}/{bucket}/media/ab/x.jpg?"), "the bucket is in the path"
    assert found["doctor"] == {
        "TRR_MEDIA_STORE": f"s3://{bucket} at {server.url}, by OBJECT_STORAGE_BUCKET",
        "TRR_MEDIA_BASE_URL": f"{server.url}/{bucket}, by OBJECT_STORAGE_PUBLIC_BASE_URL",
    }


def test_names_of_object_storage_win_over_those_of_aws(server: S3Server, bucket: str) -> None:
    stale = {
        "AWS_S3_BUCKET": "former-bucket",
        "AWS_CDN_BASE_URL": "https://former.example",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "former",
        "AWS_SECRET_ACCESS_KEY": "former",
        "AWS_SESSION_TOKEN": "former",
        "AWS_REGION": "eu-west-1",
    }
    current = names_of_the_application(server, bucket) | {"OBJECT_STORAGE_REGION": "us-east-1"}
    found = use(stale | current)
    assert (found["read"], found["region"]) == ("pixels", "us-east-1")


def test_names_of_aws_are_enough(server: S3Server, bucket: str) -> None:
    found = use(server.environment() | {"AWS_S3_BUCKET": bucket, "AWS_CDN_BASE_URL": f"{server.url}/{bucket}"})
    assert found["read"] == "pixels"
    assert found["doctor"] == {
        "TRR_MEDIA_STORE": f"s3://{bucket} at {server.url}, by AWS_S3_BUCKET",
        "TRR_MEDIA_BASE_URL": f"{server.url}/{bucket}, by AWS_CDN_BASE_URL",
    }


def test_our_own_names_win(server: S3Server, bucket: str) -> None:
    theirs = names_of_the_application(server, "not-this-one")
    found = use(theirs | {"TRR_MEDIA_STORE": f"s3://{bucket}/below", "TRR_MEDIA_BASE_URL": "http://127.0.0.1:9/x"})
    assert found["read"] == "pixels"
    assert found["public"] == "http://127.0.0.1:9/x/media/ab/x.jpg"
