"""Objects in an S3 bucket, or on any server with its protocol.

The calls, the meaning of their responses, and the only layer of retries belong here. Credentials are found by boto3;
keys have no meaning here.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC
from itertools import islice
from typing import Any, Final

import boto3  # type: ignore[import-untyped]  # ships no types
from botocore.config import Config  # type: ignore[import-untyped]
from botocore.exceptions import (  # type: ignore[import-untyped]
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    ReadTimeoutError,
    TokenRetrievalError,
)
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from trr_pipelines.errors import PermanentError, Reason, RetryableError, SetupError
from trr_pipelines.storage.keys import (
    RECORDS,
    check_external,
    check_key,
    check_prefix,
    checked_type,
    content_type_of,
    is_key,
    record_path,
)
from trr_pipelines.storage.store import (
    IMMUTABLE,
    ExternalObject,
    ListedObject,
    MissingObjectError,
    PutObject,
    StoredObject,
    public_url,
)

CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 30.0
ATTEMPTS: Final = 5

_TIMEOUTS: Final = (ConnectTimeoutError, ReadTimeoutError)
_NO_CREDENTIALS: Final = (
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    TokenRetrievalError,
)
_DENIED_CODES: Final = frozenset(
    # sent with another status than 403, or inside a 200 for many keys
    {"AccessDenied", "ExpiredToken", "InvalidBucketName", "InvalidToken", "NoSuchBucket"}
)
_MISSING_CODES: Final = frozenset({"NoSuchKey", "NotFound"})  # some servers say so of a key to delete
_TRANSIENT_CODES: Final = frozenset(
    # sent with a 4xx status or inside a 200, but meant to be retried
    {"BadDigest", "IncompleteBody", "InternalError", "OperationAborted", "RequestTimeout", "SlowDown", "Throttling"}
)


def s3_client(
    *,
    endpoint_url: str | None = None,
    region: str | None = None,
    connect_seconds: float = CONNECT_SECONDS,
    read_seconds: float = READ_SECONDS,
    connections: int = 32,
    **credentials: str,
) -> Any:
    """A boto3 S3 client configured for `S3Store`: bounded waits, and no retries of its own.

    Other settings come from boto3's usual places (environment, profile, instance role). With an `endpoint_url` the
    bucket is in the path of a URL, since other servers need not have a host name for each. `connections` should be at
    least the number of threads that share the client. `credentials` are the `aws_…` arguments of `boto3.client`.
    """
    config = Config(
        connect_timeout=connect_seconds,
        read_timeout=read_seconds,
        retries={"mode": "standard", "total_max_attempts": 1},
        max_pool_connections=connections,
        s3={"addressing_style": "path"} if endpoint_url else None,
        # Without it and a region, boto3 presigns with the signature of before 2014, which most buckets refuse.
        signature_version="s3v4",
        # Checksums beyond Content-MD5 are sent as trailers, which many other S3 servers do not support.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    try:
        client = boto3.client("s3", endpoint_url=endpoint_url, region_name=region, config=config, **credentials)
    except (BotoCoreError, ValueError) as error:
        raise SetupError(f"cannot create an S3 client: {error}") from error
    client.meta.events.register("before-call.s3.DeleteObjects", _add_content_md5)
    return client


def _add_content_md5(params: dict[str, Any], **_: Any) -> None:
    """DeleteObjects must have a checksum. boto3 sends a CRC, and some servers accept no other than Content-MD5."""
    params["headers"]["Content-MD5"] = _content_md5(params["body"])


def _content_md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


@dataclass(frozen=True)
class S3Store:
    """Objects under `prefix` in `bucket`. Implements `storage.store.ObjectStore`; threads may share it.

    `client` should come from `s3_client`: a client with retries of its own would multiply ours. Connection errors and
    5xx responses are tried up to 5 times, with exponential backoff and jitter, then `storage_unavailable`; a timeout is
    `storage_timeout` at once, so that a silent server costs one wait and not five; a refusal (credentials, permissions,
    no bucket) is `storage_denied` at once. `base_url` is the public URL of `prefix`, not of the bucket.
    """

    client: Any
    bucket: str
    base_url: str
    prefix: str = ""
    backoff_seconds: float = 0.2
    page_size: int = 1000  # keys in one listing or deletion; S3 takes no more

    def put_if_absent(self, key: str, data: bytes, *, content_type: str, sha256: str | None = None) -> PutObject:
        checked_type(key, content_type, sha256)
        # The recorded hash may be that of earlier bytes. Where the ETag is no MD5 (SSE-KMS), the object is read.
        if existing := self._head(key, etag=hashlib.md5(data, usedforsecurity=False).hexdigest()):
            return PutObject(key, existing.bytes, existing.sha256, existing.content_type, created=False)
        return self.replace(key, data, content_type=content_type, sha256=sha256)

    def replace(self, key: str, data: bytes, *, content_type: str, sha256: str | None = None) -> PutObject:
        expected = checked_type(key, content_type, sha256)
        digest = sha256 or hashlib.sha256(data).hexdigest()
        self._call(
            self.client.put_object,
            Key=self._full(key),
            Body=data,
            ContentType=expected,
            ContentMD5=_content_md5(data),
            CacheControl=IMMUTABLE,
            Metadata={"sha256": digest},
        )
        return PutObject(key, len(data), digest, expected, created=True)

    def get(self, key: str, *, max_bytes: int | None = None) -> bytes:
        check_key(key)
        return bytes(self._call(self._read, Key=self._full(key), max_bytes=max_bytes))

    def head(self, key: str) -> StoredObject | None:
        return self._head(key)

    def _head(self, key: str, *, etag: str | None = None) -> StoredObject | None:
        """The object at `key` with its recorded hash; its content is hashed if that is missing, or `etag` differs."""
        content_type = content_type_of(key)
        try:
            response = self._call(self.client.head_object, Key=self._full(key))
        except MissingObjectError:
            return None
        size, digest = response.get("ContentLength"), _recorded_hash(response)
        is_other = etag is not None and response.get("ETag", "").strip('"') != etag
        if size is None or digest is None or is_other:  # no length, no hash of ours, or perhaps other bytes
            data = self.get(key)
            size, digest = len(data), hashlib.sha256(data).hexdigest()
        return StoredObject(key, size, digest, content_type)

    def list(self, prefix: str = "") -> Iterator[ListedObject]:
        check_prefix(prefix)
        for key, entry in self._entries(prefix):
            if is_key(key):  # other programs store markers of folders, and files of their own
                yield ListedObject(key, entry["Size"], entry["LastModified"].astimezone(UTC))

    def get_external(self, bucket: str, key: str, *, max_bytes: int) -> bytes:
        check_external(bucket, key)
        with _external_errors():
            return bytes(self._call(self._read, bucket=bucket, Key=key, max_bytes=max_bytes))

    def head_external(self, bucket: str, key: str) -> ExternalObject | None:
        check_external(bucket, key)
        try:
            with _external_errors():
                response = self._call(self.client.head_object, bucket=bucket, Key=key)
        except MissingObjectError:
            return None
        return ExternalObject(int(response.get("ContentLength", 0)), response.get("ETag", "").strip('"'))

    def delete_external(self, bucket: str, key: str) -> None:
        check_external(bucket, key)
        with suppress(MissingObjectError), _external_errors():
            self._call(self.client.delete_object, bucket=bucket, Key=key)

    def put_record(self, name: str, data: bytes) -> None:
        self._call(
            self.client.put_object,
            Key=self._full("/".join(record_path(name))),
            Body=data,
            ContentType="application/json",
            ContentMD5=_content_md5(data),
            CacheControl="no-store",
        )

    def records(self, folder: str) -> Iterator[tuple[str, bytes]]:
        start = f"{RECORDS}/{folder}/"
        for path, _ in self._entries(start):
            if path.endswith(".json"):
                data = self._call(self._read, Key=self._full(path), max_bytes=None)
                yield f"{folder}/{path.removeprefix(start).removesuffix('.json')}", bytes(data)

    def _entries(self, prefix: str) -> Iterator[tuple[str, Any]]:
        """Every entry of a listing with its path below our prefix, page by page."""
        more: dict[str, str] = {}
        while True:
            page = self._call(self.client.list_objects_v2, Prefix=self._full(prefix), MaxKeys=self.page_size, **more)
            for entry in page.get("Contents", ()):
                yield entry["Key"][len(self._full("")) :], entry
            if not page.get("IsTruncated"):
                return
            token = page.get("NextContinuationToken")
            if token in (None, more.get("ContinuationToken")):  # some servers do this: the listing would never end
                raise RetryableError(
                    Reason.STORAGE_UNAVAILABLE, f"s3://{self.bucket}: the listing of {prefix!r} does not advance"
                )
            more = {"ContinuationToken": token}

    def delete(self, keys: Iterable[str]) -> int:
        unique = sorted(set(keys))
        for key in unique:
            check_key(key)
        remaining = iter(unique)
        while page := [{"Key": self._full(key)} for key in islice(remaining, self.page_size)]:
            self._call(self._delete_page, Delete={"Objects": page, "Quiet": True})
        return len(unique)

    def signed_url(self, key: str, seconds: int, *, external_bucket: str = "") -> str:
        """A presigned URL that reads the object for `seconds`; sends no request.

        With an `external_bucket`, the object is of another program.
        """
        parameters = {
            "Bucket": external_bucket or self.bucket,
            "Key": key if external_bucket else self._full(key),
        }
        url: str = self.client.generate_presigned_url("get_object", Params=parameters, ExpiresIn=seconds)
        return url

    def public_url(self, key: str) -> str:
        check_key(key)
        return public_url(self.base_url, key)

    def whole_key(self, key: str) -> str:
        check_key(key)
        return self._full(key)

    def _full(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key

    def _read(self, *, max_bytes: int | None, **where: str) -> bytes:
        response = self.client.get_object(**where)
        size = response.get("ContentLength")  # None from a server that sends in chunks
        with closing(response["Body"]) as body:  # its own `with` returns the wrapped stream, whose errors differ
            if max_bytes is None or (size is not None and size <= max_bytes):
                data = bytes(body.read())
            elif size is None:
                data = bytes(body.read(max_bytes + 1))
                size = len(data) if len(data) > max_bytes else None
        if max_bytes is not None and size is not None and size > max_bytes:
            raise PermanentError(Reason.TOO_MANY_BYTES, f"{where['Key']} has {size} bytes, the limit is {max_bytes}")
        if size is None and _recorded_hash(response) not in (None, hashlib.sha256(data).hexdigest()):
            # Without a length, a broken connection looks like the end.
            raise IncompleteReadError(actual_bytes=len(data), expected_bytes="another number")
        return data

    def _delete_page(self, **arguments: Any) -> None:
        for failure in self.client.delete_objects(**arguments).get("Errors", ()):
            if failure.get("Code") in _MISSING_CODES:
                continue
            # The failure of one key arrives inside a 200: raise it like the failure of a call.
            raise ClientError({"Error": failure, "ResponseMetadata": {}}, "DeleteObjects")

    def _call(self, operation: Callable[..., Any], *, bucket: str = "", **arguments: Any) -> Any:
        """Run one call on the bucket, or on another one, with retries, and translate its last error."""
        bucket = bucket or self.bucket
        retrying = Retrying(
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_exponential_jitter(multiplier=self.backoff_seconds, max=5.0, jitter=self.backoff_seconds),
            retry=retry_if_exception(_is_transient),
            reraise=True,
        )
        try:
            return retrying(operation, Bucket=bucket, **arguments)
        except (BotoCoreError, ClientError) as error:
            where = f"s3://{bucket}/{arguments.get('Key', arguments.get('Prefix', ''))}"
            raise _translated(error, where) from error


@contextmanager
def _external_errors() -> Iterator[None]:
    """Errors of an object of another program are those of a source: missing and forbidden have its reasons."""
    try:
        yield
    except MissingObjectError as error:
        raise MissingObjectError(Reason.FETCH_NOT_FOUND, error.detail) from error
    except RetryableError as error:
        if error.reason is not Reason.STORAGE_DENIED:
            raise
        raise RetryableError(Reason.FETCH_FORBIDDEN, error.detail) from error


def _is_transient(error: BaseException) -> bool:
    if isinstance(error, ClientError):
        return _status(error) >= 500 or _status(error) == 429 or _code(error) in _TRANSIENT_CODES
    return isinstance(error, BotoCoreError) and not isinstance(error, (*_TIMEOUTS, *_NO_CREDENTIALS))


def _recorded_hash(response: Any) -> str | None:
    """The hash that a put recorded with the object. Metadata names are HTTP header names: rclone returns `Sha256`."""
    metadata = {name.lower(): value for name, value in response.get("Metadata", {}).items()}
    return metadata.get("sha256")


def _translated(error: BotoCoreError | ClientError, where: str) -> RetryableError:
    if isinstance(error, ClientError):
        return _refusal(error, where)
    detail = f"{where}: {' '.join(str(error).split())}"
    if isinstance(error, _TIMEOUTS):
        return RetryableError(Reason.STORAGE_TIMEOUT, detail)
    if isinstance(error, _NO_CREDENTIALS):
        return RetryableError(Reason.STORAGE_DENIED, detail)
    return RetryableError(Reason.STORAGE_UNAVAILABLE, detail)


def _refusal(error: ClientError, where: str) -> RetryableError:
    message = " ".join(str(error.response["Error"].get("Message", "")).split())
    detail = f"{where}: {error.operation_name} failed: {_code(error)}, {message}"
    if _code(error) in _DENIED_CODES or _status(error) in (301, 401, 403):
        return RetryableError(Reason.STORAGE_DENIED, detail)
    if _status(error) == 404:
        return MissingObjectError(Reason.STORAGE_UNAVAILABLE, detail)
    return RetryableError(Reason.STORAGE_UNAVAILABLE, detail)


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
