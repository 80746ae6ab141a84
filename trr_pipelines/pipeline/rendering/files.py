"""Rendering files without a database, for `trr render`.

The names, states and reasons of `FileReport.report` are a contract.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.errors import InputError, MediaError, PermanentError, Reason, RetryableError
from trr_pipelines.imaging.decode import MAX_BYTES, SourceInfo
from trr_pipelines.imaging.formats import FILE_TYPES
from trr_pipelines.imaging.geometry import Crop
from trr_pipelines.imaging.recipes import BASE, CROP
from trr_pipelines.imaging.render import Rendered, RenderedVariant, RenderRequest


@dataclass(frozen=True)
class WrittenVariant:
    """One file that was written: its rendition key, format, size in pixels and in bytes, and where it is."""

    variant_key: str
    format: str
    width: int
    height: int
    bytes: int
    path: str


@dataclass(frozen=True)
class FileReport:
    """The result of one file; `reason` and `detail` are None unless it failed."""

    file: str
    state: Literal["complete", "failed"]
    reason: Reason | None = None
    detail: str | None = None
    warnings: tuple[str, ...] = ()
    source: SourceInfo | None = None
    variants: tuple[WrittenVariant, ...] = ()

    def report(self) -> dict[str, Any]:
        """The report as JSON's types."""
        return asdict(self)


def render_files(files: Sequence[Path], out: Path, crop: Crop | None, pool: RenderPool) -> Iterator[FileReport]:
    """Render each of `files` to `out` as `{stem}/{key}.{extension}`, and yield reports in the order of `files`.

    Equal stems get a number. A file that cannot be rendered or written yields a failed report and leaves nothing in
    `out`.

    Args:
        files: what to render.
        out: the folder to write to; created when missing.
        crop: the crop to render; None proposes one per photo.

    Raises:
        InputError: `out` is not a writable folder.
    """
    _make_folder(out)
    request = RenderRequest(BASE, CROP, (crop,))
    with ThreadPoolExecutor(pool.workers, "render-files") as threads:
        jobs = (
            lambda file=file, stem=stem: threads.submit(_render_file, file, out, stem, request, pool)
            for file, stem in zip(files, _distinct_stems(files), strict=True)
        )
        yield from _in_order(jobs, ahead=2 * pool.workers)


def _in_order(jobs: Iterator[Callable[[], Future[FileReport]]], ahead: int) -> Iterator[FileReport]:
    """Run up to `ahead` jobs at once; cancel the ones not started when the caller stops iterating."""
    running: deque[Future[FileReport]] = deque()
    try:
        for job in jobs:
            running.append(job())
            if len(running) >= ahead:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        for future in running:
            future.cancel()


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {out}: {os.strerror(error.errno or 0)}") from error


def _distinct_stems(files: Sequence[Path]) -> list[str]:
    """A unique stem per file: its own, or with the first free number appended."""
    taken: set[str] = set()
    stems = []
    for file in files:
        stem, number = file.stem, 1
        while stem.casefold() in taken:  # some file systems ignore case
            number += 1
            stem = f"{file.stem}-{number}"
        taken.add(stem.casefold())
        stems.append(stem)
    return stems


def _render_file(file: Path, out: Path, stem: str, request: RenderRequest, pool: RenderPool) -> FileReport:
    try:
        rendered = pool.render(_read(file), request, name=file.name)
        written = _write_all(rendered, out, stem)
    except MediaError as error:
        return FileReport(str(file), "failed", error.reason, error.detail)
    return FileReport(str(file), "complete", None, None, rendered.warnings, rendered.source, written)


def _read(file: Path) -> bytes:
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):  # reading a pipe or a device may never end
            raise PermanentError(Reason.NOT_AN_IMAGE, f"{file} is not a regular file")
        if status.st_size > MAX_BYTES:
            raise PermanentError(Reason.TOO_MANY_BYTES, f"{status.st_size:,} bytes, the limit is {MAX_BYTES:,}")
        return file.read_bytes()
    except FileNotFoundError as error:
        raise PermanentError(Reason.FETCH_NOT_FOUND, f"{file}: no such file") from error
    except PermissionError as error:
        raise PermanentError(Reason.FETCH_FORBIDDEN, f"{file}: not readable") from error
    except OSError as error:
        raise RetryableError(Reason.FETCH_FAILED, f"{file}: {os.strerror(error.errno or 0)}") from error


def _write_all(rendered: Rendered, out: Path, stem: str) -> tuple[WrittenVariant, ...]:
    """Write every variant or none: on an error, files already written are removed."""
    written: list[WrittenVariant] = []
    try:
        for variant in rendered.variants:
            path = out / stem / f"{variant.variant_key}.{FILE_TYPES[variant.format].extension}"
            path.parent.mkdir(exist_ok=True)
            _write_atomically(path, variant.data)
            written.append(_written(variant, path))
    except OSError as error:
        for earlier in written:
            Path(earlier.path).unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RetryableError(Reason.DISK_FULL, f"no space left in {out}") from error
        raise RetryableError(Reason.INTERNAL, f"cannot write to {out}: {os.strerror(error.errno or 0)}") from error
    return tuple(written)


def _written(variant: RenderedVariant, path: Path) -> WrittenVariant:
    return WrittenVariant(
        variant.variant_key, variant.format, variant.width, variant.height, len(variant.data), str(path)
    )


def _write_atomically(path: Path, data: bytes) -> None:
    """Write to a temporary file and rename it, so that `path` is never partial."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".trr-", delete=False) as temporary:
        try:
            temporary.write(data)
            temporary.flush()
            Path(temporary.name).chmod(0o644)
            Path(temporary.name).replace(path)
        except BaseException:
            Path(temporary.name).unlink(missing_ok=True)
            raise
