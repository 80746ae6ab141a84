"""`python -m trr_pipelines.admin [--host 127.0.0.1]`: the admin app behind uvicorn, on `TRR_ADMIN_PORT`."""

from __future__ import annotations

import argparse
import sys

import uvicorn

from trr_pipelines.admin.app import create_app
from trr_pipelines.admin.guard import OriginFormProtocol
from trr_pipelines.errors import TrrError
from trr_pipelines.settings import load_settings
from trr_pipelines.web.logs import log_as_json

GRACE_SECONDS = 10  # what is being answered when the server is told to stop


def main() -> None:
    """Serve until told to stop; exit 2, with one line, where the settings do not allow it."""
    parser = argparse.ArgumentParser(prog="python -m trr_pipelines.admin", description="The admin app.")
    parser.add_argument("--host", default="127.0.0.1")
    arguments = parser.parse_args()
    try:
        settings = load_settings()
        app = create_app()
    except TrrError as error:
        print(f"trr: {error}", file=sys.stderr)
        sys.exit(2)
    log_as_json()
    uvicorn.run(
        app,
        host=arguments.host,
        port=settings.admin_port,
        http=OriginFormProtocol,
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


if __name__ == "__main__":
    main()
