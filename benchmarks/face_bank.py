"""Imports 10,000 seeds of a person into the face bank twice over real HTTP: seconds, peak memory, changes.

`python -m benchmarks.face_bank [--photos 10000]`; needs no setup: backend and databases are embedded and temporary.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.homes import thrown_away
from trr_pipelines.credentials import with_credentials
from trr_pipelines.local.processes import answers
from trr_pipelines.pipeline.archive import open_archive, screenalytics_url
from trr_pipelines.screenalytics.factory import open_bank
from trr_pipelines.settings import Settings
from trr_pipelines_tests.support.face_banks import add_person, add_photos
from trr_pipelines_tests.support.ports import free_port

IMPORT = """
import json, sys, time
from pathlib import Path
from uuid import UUID
from trr_pipelines.screenalytics.importing import import_facebank_images
from trr_pipelines.screenalytics.factory import open_bank, open_client
from trr_pipelines.settings import load_settings
settings = load_settings()
def peak_mb():  # not ru_maxrss, which is inherited from the parent process
    status = Path("/proc/self/status").read_text()
    return round(int(status.partition("VmHWM:")[2].split()[0]) / 1024, 1)
before = peak_mb()
began = time.monotonic()
with open_client(settings) as client:
    report = import_facebank_images(
        open_bank(settings.screenalytics_db_url.get_secret_value(), upgrade=False), client, UUID(sys.argv[1])
    ).report()
report["calls"] = len(report["calls"])
report["seconds"] = round(time.monotonic() - began, 2)
report["peak_mb"] = peak_mb()
report["peak_mb_before"] = before
print(json.dumps(report))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=10_000)
    photos = parser.parse_args().photos
    with tempfile.TemporaryDirectory(prefix="trr-bench-", ignore_cleanup_errors=True) as folder:
        port = free_port()
        home = Path(folder) / "home"
        environment = {**os.environ, "TRR_HOME": str(home), "TRR_API_PORT": str(port)}
        settings = with_credentials(Settings(home=home, api_port=port))
        assert settings.screenalytics_service_token is not None
        with thrown_away(home), open_archive(settings) as archive:
            person = add_person(archive.database)
            add_photos(archive.database, person, photos, seeds=photos)
            small = add_person(archive.database, "Person Two")
            add_photos(archive.database, small, 100, start=photos, seeds=100)
            bank_url = screenalytics_url(settings)
            open_bank(bank_url, upgrade=True)
            server = subprocess.Popen(
                [sys.executable, "-m", "trr_pipelines.api", "--host", "127.0.0.1", "--port", str(port)],
                env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            try:
                while not answers(f"http://127.0.0.1:{port}/readyz")():
                    time.sleep(0.1)
                asking = environment | {
                    "TRR_API_URL": f"http://127.0.0.1:{port}",
                    "SCREENALYTICS_DB_URL": bank_url,
                    "SCREENALYTICS_SERVICE_TOKEN": settings.screenalytics_service_token.get_secret_value(),
                }
                for name, who in (("100 photos", small), ("first time", person), ("second time", person)):
                    ended = subprocess.run(
                        [sys.executable, "-c", IMPORT, str(who)], env=asking, capture_output=True, text=True, check=True
                    )
                    print(f"{name}: {ended.stdout.strip()}")
            finally:
                server.terminate()
                server.wait()


if __name__ == "__main__":
    main()
