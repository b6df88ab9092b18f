"""`lakehouse-webserver`: Dagster's web server, which answers only what the request guard lets pass.

It takes the options of `dagster-webserver`, and stands in its place wherever a browser reaches it.
"""

import sys
from typing import Any

from dagster_webserver import app
from dagster_webserver.cli import dagster_webserver
from dagster_webserver.webserver import DagsterWebserver
from starlette.middleware import Middleware

from lakehouse.errors import SetupError
from lakehouse.orchestration.request_guard import RequestGuard
from lakehouse.project.settings import load_settings


class GuardedWebserver(DagsterWebserver[Any, Any]):
    """Dagster's web server behind the request guard."""

    def build_middleware(self) -> list[Middleware]:
        """Puts the guard before everything that Dagster does with a request."""
        hosts = load_settings().ui_hosts
        return [Middleware(RequestGuard, hosts=hosts), *super().build_middleware()]


def main() -> None:
    """Runs `dagster-webserver`, with the guard."""
    try:
        load_settings()
    except SetupError as error:
        sys.exit(str(error))
    # Dagster has no setting for the class of its server. Its command looks it up under this name.
    setattr(app, "DagsterWebserver", GuardedWebserver)  # noqa: B010
    dagster_webserver(auto_envvar_prefix="DAGSTER_WEBSERVER")


if __name__ == "__main__":
    main()
