"""Secrets of the deployments: which are required, whether they are valid, and those of the embedded default.

Authorisation of requests is in `api.auth`.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Iterable
from pathlib import Path

from pydantic import SecretStr

from trr_pipelines.errors import SetupError
from trr_pipelines.home import lock, make_home, open_file
from trr_pipelines.settings import Settings

FILE = "secrets.json"
ALLOWLIST_FILE = "admins.txt"
DEVELOPMENT_ADMIN = "admin@example.com"
MIN_LENGTH = 12

# Setting → environment variable.
SECRETS = {
    "service_role_key": "TRR_SERVICE_ROLE_KEY",
    "internal_admin_shared_secret": "TRR_INTERNAL_ADMIN_SHARED_SECRET",
    "screenalytics_service_token": "SCREENALYTICS_SERVICE_TOKEN",
    "jwt_secret": "TRR_JWT_SECRET",
}
# Secrets that a backend may have: checked when they are set.
OPTIONAL = {"supabase_jwt_secret": "SUPABASE_JWT_SECRET"}
BACKEND = tuple(SECRETS)
ADMIN_APP = ("service_role_key", "internal_admin_shared_secret", "jwt_secret")

_PLACEHOLDER = re.compile(
    r"(change|replace|fill|insert)[-_ ]?(me|this|it|in)?|to-?do|x+|\*+|<.*>|\$?\{.*\}|your[-_ ].*"
    r"|(my[-_ ]?)?(secret|password|token|key|service[-_ ]?role[-_ ]?key)|example|placeholder|none|null",
    re.IGNORECASE,
)


def with_credentials(settings: Settings) -> Settings:
    """The settings with missing secrets filled in from the embedded default.

    With `database_url` set they are returned unchanged: a real deployment must set its own. The embedded secrets are in
    a file under `home` that only its owner can read, so all processes of the embedded default share them.
    """
    if settings.database_url is not None:
        return settings
    own = _embedded_secrets(settings.home)
    filled: dict[str, object] = {name: SecretStr(own[name]) for name in SECRETS if getattr(settings, name) is None}
    if settings.jwks_url:
        filled.pop("jwt_secret", None)
    if not settings.admin_allowlist:
        filled["admin_allowlist"] = f"file:{settings.home / ALLOWLIST_FILE}"
    return settings.model_copy(update=filled)


def require_credentials(settings: Settings, names: Iterable[str] = BACKEND) -> None:
    """Raise SetupError that names every missing or invalid secret, without values."""
    problems: list[str] = []
    seen: dict[str, str] = {}
    for name in names:
        problem = secret_problem(settings, name)
        value = _value(settings, name)
        if not problem and value in seen:
            problem = f"{SECRETS[name]} is the same as {seen[value]}"
        if problem:
            problems.append(problem)
        if value:
            seen.setdefault(value, SECRETS[name])
    for name, variable in OPTIONAL.items():
        problem, value = "", _value(settings, name)
        if value:
            problem = secret_problem(settings, name)
        # Supabase signs the tokens of people with the same secret.
        if not problem and seen.get(value, SECRETS["jwt_secret"]) != SECRETS["jwt_secret"]:
            problem = f"{variable} is the same as {seen[value]}"
        if problem:
            problems.append(problem)
    if not settings.admin_allowlist:
        problems.append("TRR_ADMIN_ALLOWLIST is not set")
    if problems:
        raise SetupError("; ".join(problems))


def secret_problem(settings: Settings, name: str) -> str:
    """Why a secret is invalid, in one line without its value; empty when it is valid."""
    variable, value = (SECRETS | OPTIONAL)[name], _value(settings, name)
    if name == "jwt_secret" and settings.jwks_url:
        return "TRR_JWT_SECRET and TRR_JWKS_URL are both set; set only one" if settings.jwt_secret is not None else ""
    if not value:
        return f"{variable} is not set" + (" (nor TRR_JWKS_URL)" if name == "jwt_secret" else "")
    if _PLACEHOLDER.fullmatch(value):
        return f"{variable} is a placeholder"
    if len(value) < MIN_LENGTH:
        return f"{variable} has {len(value)} characters, at least {MIN_LENGTH} are needed"
    return ""


def _value(settings: Settings, name: str) -> str:
    secret: SecretStr | None = getattr(settings, name)
    return "" if secret is None else secret.get_secret_value().strip()


def _embedded_secrets(home: Path) -> dict[str, str]:
    """The secrets under `home`, generated once; processes that start at the same time get the same ones."""
    make_home(home)
    path = home / FILE
    with open_file(path, "a+", encoding="utf-8") as file:
        lock(file, path)
        file.seek(0)
        text = file.read()
        try:
            known = json.loads(text) if text else {}
        except ValueError:
            raise SetupError(f"{path} is damaged; remove it to generate new secrets") from None
        missing = [name for name in SECRETS if not known.get(name)]
        if missing:
            known |= {name: secrets.token_urlsafe(32) for name in missing}
            file.truncate(0)
            json.dump(known, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        allowlist = home / ALLOWLIST_FILE
        if not allowlist.exists():
            with open_file(allowlist, "w", encoding="utf-8") as addresses:
                addresses.write(f"# E-mail addresses of admins, one per line.\n{DEVELOPMENT_ADMIN}\n")
    return dict(known)
