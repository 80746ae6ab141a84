"""An environment for smoke tests: its URLs, databases and settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from pydantic import SecretStr

from trr_pipelines.catalogue.database import Database
from trr_pipelines.screenalytics.bank import FaceBank
from trr_pipelines.settings import Settings
from trr_pipelines.smoke.runner import Plan, Smoke, run_smoke
from trr_pipelines_tests.support.archives import query


@dataclass(frozen=True)
class Environment:
    """URLs and databases of the components, a person with photos, and the settings of a smoke."""

    backend: str
    admin: str
    bank: FaceBank
    database: Database
    settings: Settings
    person: UUID
    out: Path

    def plan(
        self, *, minimal: bool = False, admin: str | None = None, backend: str | None = None,
        bank: FaceBank | None = None, only_backend: bool = False,
    ) -> Plan:  # fmt: skip
        """A plan that covers every part unless options say otherwise."""
        return Plan(
            "staging",
            self.backend if backend is None else backend,
            "" if only_backend else self.admin if admin is None else admin,
            None if only_backend else bank or self.bank,
            "",
            minimal,
            self.out,
        )

    def smoke(self, plan: Plan | None = None, settings: Settings | None = None) -> Smoke:
        return run_smoke(settings or self.settings, plan or self.plan(), lambda _: None)

    def flags(self) -> list[bool]:
        rows = query(self.database, "select facebank_seed from core.media_links order by id")
        return [row["facebank_seed"] for row in rows]


def changed(settings: Settings, name: str, value: str) -> Settings:
    """The settings with one secret replaced."""
    return settings.model_copy(update={name: SecretStr(value)})
