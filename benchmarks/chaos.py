"""Kills one process after the other of a working stack, then counts what was lost, doubled or left behind.

    .venv/bin/python -m benchmarks.chaos --seed 1 --minutes 30 --every 40 --photos DIR

A real `trr up` in a terminal, with its own home and ports, works the whole time: photos are imported in small folders,
crops edited, face-bank seeds toggled and one backfill run, by HTTP and the CLI as a user does it; what is refused
during an outage is tried again. Every `--every` seconds one part is killed, in an order that the seed decides. At the
end everything must settle, and every count must be 0; otherwise the exit code is 1 and the folder with the home and the
output is kept. Only processes of this home are killed, each by its id.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
from psycopg.rows import dict_row

from benchmarks.homes import thrown_away
from benchmarks.multiply_photos import multiply
from trr_pipelines.catalogue.embedded import EmbeddedPostgres
from trr_pipelines.catalogue.postgres_process import find_postmaster
from trr_pipelines.errors import SetupError
from trr_pipelines.process_identity import ProcessIdentity
from trr_pipelines_tests.support.backends import token
from trr_pipelines_tests.support.stacks import RunningStack, Terminal, new_stack

SHOW, PERSON = "The Valley", "Alex Doe"
# An accepted request is retried for so long; a restart of everything takes 15 s.
REFUSED_SECONDS = 180
# A run whose process has ended must end within this time, and open work after the last kill.
RUN_SECONDS = SETTLED_SECONDS = 60
# Then the count goes on without these, to say what is missing.
PATIENCE_SECONDS = 900
ALERT_SECONDS = 120
PHOTOS_OF_A_FOLDER = 3
PHOTOS_OF_THE_BACKFILL = 12
MODULES = {
    "code server": "trr_pipelines.local.code_server",
    "daemon": "dagster._daemon",
    "API": "trr_pipelines.api",
    "admin app": "trr_pipelines.admin",
    "Dagster UI": "trr_pipelines.dagster_ui",
}
KILLS = (
    "render process",
    "run worker",
    "code server",
    "code server and runs",
    "daemon",
    "API",
    "admin app",
    "Dagster UI",
    "PostgreSQL",
    "trr up",
    "trr up, terminal closed",
    "trr up, Ctrl-C twice",
)
OPEN_WORK = """
select g.kind, g.state, coalesce(g.reason, '') as reason, count(*) as count,
       coalesce(extract(epoch from max(g.next_attempt_at) - now())::int, 0) as wait,
       count(*) filter (where g.lease_until > now()) as leased
from core.variant_generations g
where g.state = 'pending' or (g.state = 'failed' and g.next_attempt_at is not null)
group by 1, 2, 3
"""
RUNS_IN_PROGRESS = """
select r.run_id, r.status, r.pipeline_name as job,
       (select value from run_tags t where t.run_id = r.run_id and t.key = 'trr/process') as process
from runs r
where r.status in ('NOT_STARTED', 'QUEUED', 'STARTING', 'STARTED', 'CANCELING')
  and not exists (select from run_tags t where t.run_id = r.run_id and t.key = 'dagster/schedule_name')
"""


def say(text: str) -> None:
    """Print with the time, so that the logs can be searched around it."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


@dataclass
class Faults:
    """What went wrong, by kind; `add` prints each at once."""

    found: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, kind: str, text: str) -> None:
        self.found[kind].append(text)
        say(f"FAULT {kind}: {text}")


# The processes of the stack -----------------------------------------------------------------------------------------


class Processes:
    """The processes that belong to one home, and all that ever did."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.seen: dict[tuple[int, float], str] = {}

    def now(self) -> dict[int, psutil.Process]:
        """Those with this TRR_HOME or its data directory, and all that they started (these may have neither)."""
        everything = {process.pid: process for process in psutil.process_iter()}
        parents = {pid: parent for pid, process in everything.items() if (parent := _parent(process)) is not None}
        own = {pid for pid, process in everything.items() if self._is_named(process)}
        for pid in everything:
            line = [pid]
            while line[-1] in parents and line[-1] not in own:
                line.append(parents[line[-1]])
            if line[-1] in own:
                own.update(line)
        own.discard(os.getpid())
        found = {pid: everything[pid] for pid in own}
        for process in found.values():
            with suppress(psutil.Error):
                self.seen[process.pid, process.create_time()] = " ".join(process.cmdline())[:160]
        return found

    def left(self) -> list[str]:
        """Command lines of those that are alive, and of those once seen that are alive without the home's name."""
        alive = {(pid, _started(process)): _command(process) for pid, process in self.now().items()}
        for pid, started in self.seen:
            with suppress(psutil.Error):
                process = psutil.Process(pid)
                if process.create_time() == started and process.status() != psutil.STATUS_ZOMBIE:
                    alive[pid, started] = _command(process)
        return [f"{pid}: {command}" for (pid, _), command in alive.items() if command]

    def modules(self, module: str) -> list[psutil.Process]:
        """The processes that run a Python module."""
        return [one for one in self.now().values() if _module(one) == module]

    def run_workers(self) -> list[psutil.Process]:
        """Processes of runs: children of a code server's fork server."""
        servers = [one for one in self.now().values() if "multiprocessing.forkserver" in _command(one)]
        with suppress(psutil.Error):
            return [run for server in servers for run in server.children() if "forkserver" in _command(run)]
        return []

    def _is_named(self, process: psutil.Process) -> bool:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            return process.environ().get("TRR_HOME") == str(self._home) or process.cwd().startswith(
                f"{self._home}/postgres"
            )
        except (psutil.Error, OSError):
            return False


def _parent(process: psutil.Process) -> int | None:
    try:
        return process.ppid()
    except psutil.Error:
        return None


def _started(process: psutil.Process) -> float:
    try:
        return process.create_time()
    except psutil.Error:
        return 0


def _command(process: psutil.Process) -> str:
    try:
        return "" if process.status() == psutil.STATUS_ZOMBIE else " ".join(process.cmdline())[:160]
    except psutil.Error:
        return ""


def _module(process: psutil.Process) -> str:
    try:
        command = process.cmdline()
        return command[command.index("-m") + 1]
    except (psutil.Error, ValueError, IndexError):
        return ""


# The stack and its databases ----------------------------------------------------------------------------------------


class Bench:
    """The stack of one round, what was asked of it, and the faults found."""

    def __init__(self, folder: Path, photos: Path, seed: int) -> None:
        self.folder, self.seed = folder, seed
        self.stack: RunningStack = new_stack(folder / ".trr")
        (folder / "tmp").mkdir()
        (folder / "tmp").chmod(0o1777)
        self.stack.environment["TMPDIR"] = str(folder / "tmp")
        self.home = self.stack.home
        self.faults = Faults()
        self.processes = Processes(self.home)
        self.photos = photos
        self.ended = threading.Event()
        self.terminal = self.started()
        self.counts: Counter[str] = Counter()

    def started(self) -> Terminal:
        """Start `trr up` as a user does: again when it is refused, which is a fault."""
        for attempt in range(5):
            terminal = Terminal(self.stack, self.folder)
            try:
                terminal.wait_until_up()
            except BaseException as error:
                if not isinstance(error, AssertionError):
                    raise
                self.faults.add("failed starts", f"attempt {attempt + 1}: {terminal.output[-600:]}")
                time.sleep(2)
            else:
                return terminal
        raise SystemExit("trr up does not start")

    @contextmanager
    def database(self, name: str) -> Iterator[psycopg.Connection[dict[str, Any]]]:
        """A connection that does not count as a user of the embedded server; OperationalError while it is down."""
        try:
            url = EmbeddedPostgres(self.home).url(name)
        except SetupError as error:
            raise psycopg.OperationalError(str(error)) from None
        with psycopg.connect(url, row_factory=dict_row, autocommit=True, connect_timeout=5) as conn:
            yield conn

    def rows(self, sql: str, *values: Any, database: str = "trr") -> list[dict[str, Any]]:
        """The rows of a query, again while the database is down."""
        while True:
            try:
                with self.database(database) as conn:
                    return conn.execute(sql, values).fetchall()
            except psycopg.OperationalError:
                time.sleep(0.3)

    def trr(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command with `--json`."""
        command = [sys.executable, "-m", "trr_pipelines", *map(str, arguments), "--json"]
        done = subprocess.run(command, env=self.stack.environment, check=False, capture_output=True, text=True)
        if "Traceback" in done.stderr or "for the traceback" in done.stderr:
            self.faults.add("unexpected errors", f"trr {' '.join(map(str, arguments))}: {done.stderr[-400:]}")
        return done


# What the users do --------------------------------------------------------------------------------------------------


class Users:
    """Import, edit and toggle until the round ends; remembers everything that was accepted."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.chance = random.Random(f"{bench.seed} users")
        secret = json.loads((bench.home / "secrets.json").read_text())["jwt_secret"]
        self.http = httpx.Client(
            base_url=bench.stack.api,
            headers={"Authorization": f"Bearer {token(key=secret)}"},
            timeout=30,
            trust_env=False,
        )
        self.files: list[Path] = []
        self.crops: dict[str, str] = {}
        self.seeds: dict[str, bool] = {}
        self.edits: Counter[str] = Counter()
        self.person = ""
        self.links: dict[str, str] = {}
        self.backfill = 0
        self._folders = itertools.count()
        self._copies = iter(sorted(bench.photos.iterdir()))

    def importing(self) -> None:
        """One small folder after the other."""
        while not self.bench.ended.is_set():
            if not self.import_folder(PHOTOS_OF_A_FOLDER):
                say("no more photos to import")
                return
            self.bench.ended.wait(self.chance.uniform(1, 6))

    def import_folder(self, count: int, *options: str) -> bool:
        """Import new photos; False when there are no more."""
        copies = list(itertools.islice(self._copies, count))
        if not copies:
            return False
        folder = self.bench.folder / "in" / f"{next(self._folders):05}"
        folder.mkdir(parents=True)
        for copy in copies:
            os.link(copy, folder / copy.name)
        command: tuple[str | Path, ...] = (
            "import",
            folder,
            "--source",
            "deadline",
            "--show",
            SHOW,
            "--person",
            PERSON,
            *options,
        )
        if self._accepted(f"import of {folder.name}", lambda: self.bench.trr(*command).returncode == 0):
            self.files += [folder / copy.name for copy in copies]
            self.bench.counts["imports"] += 1
        return True

    def start_backfill(self) -> None:
        """Import photos of the lane `backfill` and start it; a start whose answer was lost has started it."""
        self.import_folder(PHOTOS_OF_THE_BACKFILL, "--backfill")

        def start() -> bool:
            if self.bench.trr("backfill", "start").returncode == 0:
                return True
            return bool(self.bench.rows("select from core.backfills"))

        if self._accepted("start of the backfill", start):
            self.bench.counts["backfills"] += 1

    def editing(self) -> None:
        """Crops and seeds in turn, of photos that are in the gallery."""
        while not self.bench.ended.wait(self.chance.uniform(0.5, 2)):
            if not self.links or self.chance.random() < 0.2:
                self._read_gallery()
            if not self.links:
                continue
            link = self.chance.choice(sorted(self.links))
            (self._edit_crop if self.chance.random() < 0.6 else self._toggle)(link)

    def _read_gallery(self) -> None:
        people = self._ask("GET", "/api/v1/admin/people")
        if people is None or not people.json()["items"]:
            return
        self.person = people.json()["items"][0]["id"]
        page = self._ask("GET", f"/api/v1/admin/people/{self.person}/gallery?limit=200&sort=newest")
        for item in page.json()["items"] if page is not None else []:
            if item["crop"] is not None:
                self.links[item["link_id"]] = item["media_asset_id"]

    def _edit_crop(self, link: str) -> None:
        photo = self.links[link]
        url = f"/api/v1/admin/media-assets/{photo}/crop"
        wanted = {"mode": "manual", "x": self.chance.randint(0, 100), "y": self.chance.randint(0, 100), "zoom": 1.5}

        def edit() -> bool:
            history = self._try("GET", f"{url}s")
            if history is None:
                return False
            newest = history.json()["crops"][:1]
            if newest and [newest[0][name] for name in wanted] == list(wanted.values()):
                return True  # an earlier attempt, whose answer was lost
            answer = self._try("PUT", url, json=wanted, headers={"If-Match": history.json()["signature"]})
            return answer is not None

        if self._accepted(f"crop of {photo}", edit):
            history = self._ask("GET", f"{url}s")
            if history is not None:
                self.crops[photo] = history.json()["signature"]
                if [history.json()["crops"][0][name] for name in wanted] != list(wanted.values()):
                    self.bench.faults.add("lost", f"crop of {photo}: {wanted} is not the newest of its history")
            self.edits[photo] += 1
            self.bench.counts["crop edits"] += 1

    def _toggle(self, link: str) -> None:
        url = f"/api/v1/admin/person/{self.person}/gallery/{link}/facebank-seed"
        value = not self.seeds.get(link, False)
        if self._ask("PATCH", url, json={"facebank_seed": value}) is not None:
            self.seeds[link] = value
            self.bench.counts["seeds toggled"] += 1

    def _ask(self, method: str, url: str, **request: Any) -> httpx.Response | None:
        """The answer, asked again while it is refused."""
        answers: list[httpx.Response] = []

        def ask() -> bool:
            answer = self._try(method, url, **request)
            answers.extend([] if answer is None else [answer])
            return answer is not None

        return answers[0] if self._accepted(f"{method} {url}", ask) else None

    def _try(self, method: str, url: str, **request: Any) -> httpx.Response | None:
        """The answer; None when it was refused by an outage. Any other refusal is a fault."""
        try:
            answer = self.http.request(method, url, **request)
        except httpx.TransportError:
            return None
        if answer.is_success:
            return answer
        if answer.status_code not in (503, 412):
            self.bench.faults.add("unexpected errors", f"{method} {url}: {answer.status_code} {answer.text[:300]}")
        return None

    def _accepted(self, what: str, attempt: Callable[[], bool]) -> bool:
        """Try until it is accepted."""
        began = time.monotonic()
        while not attempt():
            self.bench.counts["refused, tried again"] += 1
            if time.monotonic() - began > REFUSED_SECONDS:
                self.bench.faults.add("refused for good", f"{what}, for {REFUSED_SECONDS} s")
                return False
            time.sleep(0.5)
        return True


# What watches it ----------------------------------------------------------------------------------------------------


class RunWatch:
    """Looks for runs in progress whose process has ended, every two seconds."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self._ended_since: dict[str, float] = {}
        self._reported: set[str] = set()
        self.longest = 0.0

    def watch(self, stop: threading.Event) -> None:
        while not stop.wait(2):
            with suppress(psycopg.Error):
                self.look()
            self.bench.processes.now()
            with suppress(OSError):
                self.bench.terminal.read()

    def look(self) -> None:
        """Compare the runs in progress with the processes."""
        with self.bench.database("dagster") as conn:
            runs = conn.execute(RUNS_IN_PROGRESS).fetchall()
        now = time.monotonic()
        orphans = set()
        for run in runs:
            process = ProcessIdentity.parse(run["process"] or "")
            # A run that has no process yet is being started, which must not take longer either.
            if run["status"] == "QUEUED" or (process is not None and process.is_alive()):
                continue
            orphans.add(run["run_id"])
            seconds = now - self._ended_since.setdefault(run["run_id"], now)
            self.longest = max(self.longest, seconds)
            if seconds > RUN_SECONDS and run["run_id"] not in self._reported:
                self._reported.add(run["run_id"])
                self.bench.faults.add("stuck runs", f"{run} for {seconds:.0f} s")
        for run_id in set(self._ended_since) - orphans:
            del self._ended_since[run_id]


# The kills ----------------------------------------------------------------------------------------------------------


class Killer:
    """One kill at a time; every kind comes once before any comes again."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.chance = random.Random(f"{bench.seed} kills")
        self._next: list[str] = []
        self.done: Counter[str] = Counter()

    def kill(self) -> None:
        if not self._next:
            self._next = self.chance.sample(KILLS, len(KILLS))
        name = self._next.pop()
        processes = self.bench.processes
        if name == "PostgreSQL":
            postmaster = find_postmaster(self.bench.home / "postgres")
            found = [postmaster] if postmaster is not None else []
        elif name.startswith("trr up"):
            say(f"kill: {name}")
            self._end_stack(name)
            self.done[name] += 1
            return
        else:
            found = self._wait_for(lambda: self._candidates(name, processes))
        if not found:
            say(f"nothing to kill: {name}")
            return
        target = self.chance.choice(sorted(found, key=lambda one: one.pid))
        say(f"kill: {name}, process {target.pid}")
        with suppress(psutil.Error, ProcessLookupError):
            if name == "code server and runs":
                os.killpg(target.pid, signal.SIGKILL)
            else:
                target.kill()
            self.done[name] += 1

    def _candidates(self, name: str, processes: Processes) -> list[psutil.Process]:
        if name == "render process":
            return processes.modules("trr_pipelines.compute.child")
        if name == "run worker":
            return processes.run_workers()
        return processes.modules(MODULES[name.removesuffix(" and runs")])

    def _wait_for(self, find: Callable[[], list[psutil.Process]]) -> list[psutil.Process]:
        deadline = time.monotonic() + 10
        while not (found := find()) and time.monotonic() < deadline:
            time.sleep(0.1)
        return found

    def _end_stack(self, name: str) -> None:
        bench, terminal = self.bench, self.bench.terminal
        if name == "trr up":
            terminal.process.kill()
            terminal.process.wait()
        else:
            began = time.monotonic()
            if name.endswith("closed"):
                terminal.close()
            else:
                terminal.press_ctrl_c()
                time.sleep(0.3)
                terminal.press_ctrl_c()
            code = terminal.wait_for_end()
            say(f"stopped in {time.monotonic() - began:.1f} s")
            if code != 0 or "Traceback" in terminal.output:
                bench.faults.add("bad stops", f"{name}: exit code {code}: {terminal.output[-400:]}")
            left = [_command(one) for module in MODULES.values() for one in bench.processes.modules(module)]
            left += map(_command, bench.processes.run_workers())
            for command in left:
                bench.faults.add("left behind", f"after {name}: {command}")
        began = time.monotonic()
        bench.terminal = bench.started()
        say(f"up again in {time.monotonic() - began:.1f} s")


# The counts ---------------------------------------------------------------------------------------------------------


def wait_until_settled(bench: Bench) -> float:
    """Seconds until there is no open work and no run in progress; a fault after `SETTLED_SECONDS`."""
    began, reported = time.monotonic(), 0.0
    while True:
        work = bench.rows(OPEN_WORK)
        backfills = bench.rows("select id, state from core.backfills where state <> 'complete'")
        runs = bench.rows(RUNS_IN_PROGRESS, database="dagster")
        seconds = time.monotonic() - began
        if not (work or runs or backfills):
            break
        if seconds - reported >= 20:
            reported = seconds
            waits = bench.rows(
                "select scope, failures, extract(epoch from not_before - now())::int as wait from core.dispatches"
                " where failures > 0"
            )
            say(f"after {seconds:.0f} s: open {work}, backfills {backfills}, runs {runs}, dispatches {waits}")
        if seconds > PATIENCE_SECONDS:
            bench.faults.add("not settled", f"after {seconds:.0f} s: {work}, {backfills}, {runs}")
            return seconds
        time.sleep(1)
    if seconds > SETTLED_SECONDS:
        bench.faults.add("not settled", f"only after {seconds:.0f} s")
    return seconds


def count_losses(bench: Bench, users: Users) -> None:
    """Everything accepted, compared with the catalogue."""
    faults = bench.faults
    photos = {
        row["source_url"]: row for row in bench.rows("select id, source_url, state, reason from core.media_assets")
    }
    for file in users.files:
        row = photos.pop(file.as_uri(), None)
        if row is None or row["state"] != "mirrored":
            faults.add("lost", f"import of {file}: {row}")
    for url in photos:
        faults.add("doubled", f"photo {url}, imported by no accepted import")
    for row in bench.rows(
        "select a.source_url, g.kind, g.state, g.reason, g.wanted, g.served from core.media_assets a left join"
        " core.variant_generations g on g.media_asset_id = a.id where g.state is distinct from 'complete'"
    ):
        faults.add("lost", f"{row}")
    for row in bench.rows(
        "select source_url, (select count(*) from core.media_links where media_asset_id = a.id) as links"
        " from core.media_assets a"
    ):
        if row["links"] != 2:
            faults.add("lost" if row["links"] < 2 else "doubled", f"links of {row}")
    for row in bench.rows(
        "select source_url from core.import_items where outcome = 'created' group by 1 having count(*) > 1"
    ):
        faults.add("doubled", f"created twice: {row}")
    active = {
        str(row["media_asset_id"]): row["crop_signature"]
        for row in bench.rows("select media_asset_id, crop_signature from core.media_asset_crops where is_active")
    }
    for photo, signature in users.crops.items():
        if active.get(photo) != signature:
            faults.add("lost", f"crop {signature} of {photo}: {active.get(photo)} is active")
    for row in bench.rows(
        "select media_asset_id as id, count(*) from core.media_asset_crops where crop_mode = 'manual' group by 1"
    ):
        if row["count"] != users.edits[str(row["id"])]:
            kind = "lost" if row["count"] < users.edits[str(row["id"])] else "doubled"
            faults.add(kind, f"{row['count']} edits of {row['id']}, {users.edits[str(row['id'])]} were accepted")
    flags = {
        str(row["id"]): row["facebank_seed"] for row in bench.rows("select id, facebank_seed from core.media_links")
    }
    for link, value in users.seeds.items():
        if flags.get(link) is not value:
            faults.add("lost", f"seed of {link}: {flags.get(link)} instead of {value}")
    # Each photo has one base set and one crop set, of its active crop.
    for row in bench.rows(
        "select v.media_asset_id,"
        " count(distinct (recipe, source_version)) filter (where v.crop_signature = '') as bases,"
        " count(distinct v.crop_signature) filter (where v.crop_signature <> '') as crops,"
        " max(v.crop_signature) as served, count(*) as files, count(distinct (variant_key, format)) as kinds"
        " from core.media_asset_variants v where superseded_at is null group by 1"
    ):
        if (row["bases"], row["crops"]) != (1, 1) or row["files"] != row["kinds"]:
            faults.add("doubled", f"current sets: {row}")
        elif row["served"] != active.get(str(row["media_asset_id"])):
            faults.add("lost", f"crop {active.get(str(row['media_asset_id']))} is not served: {row}")


def count_orphans(bench: Bench) -> None:
    """Objects without rows, rows without objects, and damaged objects."""
    done = bench.trr("reconcile", "--hashes")
    found = json.loads(done.stdout)
    for name in ("orphan_objects", "rows_without_objects", "damaged_objects"):
        if found[name]:
            examples = [found[key] for key in found if key.endswith("_examples")]
            bench.faults.found["orphaned"] += [name] * found[name]
            say(f"FAULT orphaned: {found[name]} {name}: {examples}")


def count_open_alerts_and_leases(bench: Bench) -> None:
    """Leases after the end of all runs, and alerts that are open some time after it."""
    for query in (
        "select * from core.variant_generations where lease_until > now()",
        "select * from core.dispatches where lease_until > now()",
    ):
        for row in bench.rows(query):
            bench.faults.add("left behind", f"lease: {row}")
    for row in bench.rows("select * from core.source_hosts where leases <> '{}'"):
        bench.faults.add("left behind", f"lease of a host: {row}")
    deadline = time.monotonic() + ALERT_SECONDS
    is_open = "select kind, text from core.alerts where resolved_at is null"
    while (found := bench.rows(is_open)) and time.monotonic() < deadline:
        time.sleep(2)
    for row in found:
        bench.faults.add("left behind", f"alert: {row}")


def count_leftovers(bench: Bench) -> None:
    """Stop the stack; processes, unfinished files and sockets that are left."""
    bench.terminal.press_ctrl_c()
    code = bench.terminal.wait_for_end()
    if code != 0 or "Traceback" in bench.terminal.output:
        bench.faults.add("bad stops", f"at the end: exit code {code}: {bench.terminal.output[-400:]}")
    for process in bench.processes.left():
        bench.faults.add("left behind", f"process {process}")
    # PostgreSQL makes the folder `pgsql_tmp` for its first sort on disk, and keeps it.
    names = ("*.part", "*.unfinished", "*.tmp", ".trr-*", "*.sock", ".s.PGSQL.*", "postmaster.pid", "pgsql_tmp?*")
    for name in names:
        for path in bench.home.rglob(name):
            bench.faults.add("left behind", str(path.relative_to(bench.home)))
    for folder in (bench.home / "media" / ".incoming", bench.folder / "tmp"):
        for path in folder.iterdir() if folder.is_dir() else ():
            bench.faults.add("left behind", str(path.relative_to(bench.folder)))


def report(bench: Bench, killer: Killer, watch: RunWatch, settled: float, photos: int) -> bool:
    """Print the table; whether every count is 0."""
    kinds = (
        *("lost", "doubled", "orphaned", "stuck runs", "left behind", "not settled"),
        *("failed starts", "bad stops", "refused for good", "unexpected errors"),
    )
    print("\nkills: " + ", ".join(f"{name} {count}" for name, count in sorted(killer.done.items())))
    print(f"photos: {photos}; " + ", ".join(f"{name} {count}" for name, count in sorted(bench.counts.items())))
    print(f"longest time of a run without a process {watch.longest:.0f} s; settled after {settled:.0f} s\n")
    for kind in kinds:
        print(f"| {kind:<17} | {len(bench.faults.found[kind]):>4} |")
    return not any(bench.faults.found.values())


def chaos(bench: Bench, minutes: float, every: float) -> bool:
    """One round; whether every count is 0."""
    users, watch, killer = Users(bench), RunWatch(bench), Killer(bench)
    stop_watch = threading.Event()
    watching = threading.Thread(target=watch.watch, args=(stop_watch,))
    acting = [threading.Thread(target=work) for work in (users.importing, users.editing)]
    for thread in (watching, *acting):
        thread.start()
    began = time.monotonic()
    try:
        end, next_kill, backfill_at = began + 60 * minutes, began + every, began + 15 * minutes
        while (now := time.monotonic()) < end:
            if now >= backfill_at:
                backfill_at = end
                acting.append(threading.Thread(target=users.start_backfill))
                acting[-1].start()
            if now >= next_kill:
                killer.kill()
                next_kill += every
            time.sleep(0.2)
    finally:
        bench.ended.set()
        for thread in acting:
            thread.join()
        if sys.exc_info()[0] is not None:
            stop_watch.set()
    say("no more kills and requests")
    settled = wait_until_settled(bench)
    say(f"settled after {settled:.0f} s")
    stop_watch.set()
    watching.join()
    count_losses(bench, users)
    count_orphans(bench)
    count_open_alerts_and_leases(bench)
    count_leftovers(bench)
    return report(bench, killer, watch, settled, len(users.files))


def main() -> None:
    """Run one round."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--every", type=float, default=40, help="seconds from one kill to the next")
    parser.add_argument("--photos", type=Path, required=True, help="folder of real photos")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="trr-chaos-"))
    folder.chmod(0o755)  # PostgreSQL runs as another user
    say(f"seed {arguments.seed}, folder {folder}")
    # A folder of photos every two seconds at most.
    multiply(arguments.photos, folder / "photos", int(arguments.minutes * 60 / 2 * PHOTOS_OF_A_FOLDER) + 50)
    with thrown_away(folder / ".trr"):
        bench = Bench(folder, folder / "photos", arguments.seed)
        try:
            is_clean = chaos(bench, arguments.minutes, arguments.every)
        finally:
            if not bench.terminal.has_ended():
                bench.terminal.process.terminate()
                bench.terminal.process.wait(120)
    if not is_clean:
        raise SystemExit(f"the home and its logs are in {folder}")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
