"""`python -m trr_pipelines.api [--host 127.0.0.1] [--port 8000]`: the backend behind uvicorn."""

from __future__ import annotations

from trr_pipelines.api.app import create_app
from trr_pipelines.pipeline.archive import open_archive
from trr_pipelines.settings import Settings
from trr_pipelines.web.serving import serve


def main() -> None:
    """Serve until stopped; exit 2 with one line for invalid settings or an unusable catalogue."""
    serve("trr_pipelines.api", "The backend.", create_app, lambda settings: settings.api_port, _check_catalogue)


def _check_catalogue(settings: Settings) -> None:
    with open_archive(settings, for_http=True):  # fails with one line instead of a traceback
        pass


if __name__ == "__main__":
    main()
