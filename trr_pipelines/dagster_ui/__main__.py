"""`python -P -m trr_pipelines.dagster_ui -w workspace.yaml [--host 127.0.0.1] [--port 3000]`: the guarded UI.

DAGSTER_HOME names the instance, as for `dagster-webserver`.
"""

from __future__ import annotations

import argparse
import logging
import sys

import uvicorn
from dagster import DagsterInstance
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster_webserver.app import create_app_from_workspace_process_context
from dagster_webserver.version import __version__

from trr_pipelines.dagster_ui.guard import Guard
from trr_pipelines.dagster_ui.peers import AllowedUsers
from trr_pipelines.errors import TrrError
from trr_pipelines.settings import load_settings
from trr_pipelines.web.origins import Origins
from trr_pipelines.web.serving import GRACE_SECONDS, PlainProtocol

# As `dagster-webserver` sets them: a slow query of a large instance does not hold a connection for longer.
STATEMENT_MILLISECONDS = 15_000
POOL_RECYCLE_SECONDS = 3600
POOL_MAX_OVERFLOW = 20
POLL_MILLISECONDS = 2000


def main() -> None:
    """Serve until stopped; exit 2 with one line for invalid settings."""
    parser = argparse.ArgumentParser(prog="python -m trr_pipelines.dagster_ui", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int)
    parser.add_argument("-w", "--workspace", required=True)
    arguments = parser.parse_args()
    try:
        settings = load_settings()
        port = arguments.port or settings.dagster_port
        users = AllowedUsers.parse(settings.dagster_users)
        local, public = Origins.of("", port), Origins.of(settings.dagster_url, port)
        origins = Origins(local.known | public.known, is_secure=public.is_secure)
    except TrrError as error:
        sys.stderr.write(f"trr: {error}\n")
        sys.exit(2)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    with DagsterInstance.get() as instance:
        instance.optimize_for_webserver(STATEMENT_MILLISECONDS, POOL_RECYCLE_SECONDS, POOL_MAX_OVERFLOW)
        target = WorkspaceFileTarget(paths=[arguments.workspace])
        with WorkspaceProcessContext(instance, version=__version__, workspace_load_target=target) as context:
            app = create_app_from_workspace_process_context(context, "", POLL_MILLISECONDS)
            uvicorn.run(
                Guard(app, origins=origins, users=users),
                host=arguments.host,
                port=port,
                http=PlainProtocol,
                log_level="warning",
                access_log=False,
                server_header=False,
                # A client could name any address in X-Forwarded-For, and the guard asks who connects.
                proxy_headers=False,
                timeout_graceful_shutdown=GRACE_SECONDS,
            )


if __name__ == "__main__":
    main()
