"""Fetching a photo's bytes from an untrusted source: an http(s) URL or a local file."""

from trr_pipelines.pipeline.imports.fetching.http import Fetched, Fetcher, check_url
from trr_pipelines.pipeline.imports.fetching.local import read_local

__all__ = ["Fetched", "Fetcher", "check_url", "read_local"]
