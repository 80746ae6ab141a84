"""`python -m trr_pipelines.admin [--host 127.0.0.1] [--port 8080]`: the admin app behind uvicorn."""

from __future__ import annotations

from trr_pipelines.admin.app import create_app
from trr_pipelines.web.serving import serve


def main() -> None:
    """Serve until stopped; exit 2 with one line for invalid settings."""
    serve("trr_pipelines.admin", "The admin app.", create_app, lambda settings: settings.admin_port)


if __name__ == "__main__":
    main()
