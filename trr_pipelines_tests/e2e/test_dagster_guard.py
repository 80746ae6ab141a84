"""Dagster's UI attacked by other pages in a real browser, by clients with odd requests, and by another local user.

SECURITY: Dagster UI; other users of the machine (the UI and the code server).
"""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import psutil
import pytest
from playwright.sync_api import Browser

from trr_pipelines_tests.support.stacks import RunningStack, new_stack, wait_for

OTHER_USER = 54_321
REPOSITORY = 'repositoryName: "__repository__", repositoryLocationName: "trr_pipelines"'
SENSORS = (
    f"{{ sensorsOrError(repositorySelector: {{{REPOSITORY}}})"
    " { ... on Sensors { results { name id sensorState { status } } } } }"
)
STOP = "mutation {{ stopSensor(id: {}) {{ __typename }} }}"
START = f'mutation {{ startSensor(sensorSelector: {{sensorName: "alerts", {REPOSITORY}}}) {{ __typename }} }}'

# Every way in which a page can send a request without asking the server first; `url` is Dagster's.
FOREIGN_PAGE = """<!doctype html><title>foreign</title><body><script>
const url = %s, stop = %s, others = %s, seen = {};
const note = (name, value) => { seen[name] = value; };
const get = url + '/graphql?query=' + encodeURIComponent(stop);
const body = JSON.stringify({query: stop});
async function attack() {
  const image = new Image(); image.src = get;
  const script = document.createElement('script'); script.src = get; document.body.append(script);
  const form_type = 'application/x-www-form-urlencoded';
  for (const type of ['text/plain', 'text/plain;application/json', form_type, 'application/json'])
    for (const mode of ['no-cors', 'cors'])
      try {
        const answer = await fetch(url + '/graphql', {method: 'POST', mode, body, headers: {'Content-Type': type}});
        note(type + mode, answer.type === 'opaque' ? '' : await answer.text());
      } catch { note(type + mode, ''); }
  for (const path of ['/graphql?query={version}', '/server_info', '/'])
    try { note(path, await (await fetch(url + path)).text()); } catch { note(path, ''); }
  for (const other of others) {
    for (const path of ['/healthz', '/metrics', '/openapi.json', '/api/v1/admin/shows', '/admin', '/admin/sign-in'])
      try { note(other + path, await (await fetch(other + path, {credentials: 'include'})).text()); } catch {}
    for (const path of ['/api/v1/admin/imports', '/admin/api/imports', '/admin/sign-out', '/admin/sign-in'])
      try { await fetch(other + path, {method: 'POST', mode: 'no-cors', credentials: 'include', body: '{}'}); } catch {}
  }
  navigator.sendBeacon(url + '/graphql', new Blob([body], {type: 'text/plain;application/json'}));
  await new Promise(done => {
    const socket = new WebSocket(url.replace('http', 'ws') + '/graphql', 'graphql-ws');
    socket.onopen = () => { note('websocket', 'open'); done(); };
    socket.onerror = socket.onclose = () => { seen.websocket ??= ''; done(); };
  });
  const frame = document.createElement('iframe'); frame.src = url + '/'; document.body.append(frame);
  await new Promise(done => { frame.onload = done; setTimeout(done, 3000); });
  const form = document.createElement('form');
  form.method = 'post'; form.enctype = 'text/plain'; form.action = url + '/graphql?query=' + encodeURIComponent(stop);
  form.target = 'sink'; const sink = document.createElement('iframe'); sink.name = 'sink';
  document.body.append(sink, form); form.submit();
  await new Promise(done => setTimeout(done, 1000));
  return seen;
}
</script>"""


@contextmanager
def foreign_site(page: str, host: str) -> Iterator[str]:
    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{host}:{server.server_port}/"
        server.shutdown()


def sensors(stack: RunningStack) -> dict[str, dict[str, Any]]:
    wait_for(lambda: "results" in stack.graphql(SENSORS)["sensorsOrError"], "Dagster to load the code location")
    found = stack.graphql(SENSORS)["sensorsOrError"]["results"]
    return {one["name"]: {"id": one["id"], "status": one["sensorState"]["status"]} for one in found}


# The first host is another site to a browser, the second the same site at another port.
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_foreign_page_changes_nothing_and_reads_nothing(stack: RunningStack, browser: Browser, host: str) -> None:
    before = sensors(stack)
    stop = STOP.format(json.dumps(before["alerts"]["id"]))
    with foreign_site(
        FOREIGN_PAGE % tuple(map(json.dumps, (stack.dagster, stop, [stack.api, stack.admin]))), host
    ) as url:
        page = browser.new_page()
        page.goto(url)
        seen = page.evaluate("attack()")
        framed = [frame for frame in page.frames if frame.url.startswith(stack.dagster)]
        page.close()
    assert {name: text for name, text in seen.items() if text} == {}
    assert framed == []
    assert sensors(stack) == before
    assert stack.runs() == [] or all(run["jobName"] != "import_batch" for run in stack.runs())


def test_the_attack_works_from_dagsters_own_page(stack: RunningStack, browser: Browser) -> None:
    """Otherwise the test above could not fail."""
    alerts = sensors(stack)["alerts"]
    page = browser.new_page()
    page.goto(f"{stack.dagster}/server_info")
    for query, status in ((STOP.format(json.dumps(alerts["id"])), "STOPPED"), (START, "RUNNING")):
        answer = page.evaluate(
            "query => fetch('/graphql', {method: 'POST', headers: {'Content-Type': 'application/json'},"
            " body: JSON.stringify({query})}).then(answer => answer.text())",
            query,
        )
        assert sensors(stack)["alerts"]["status"] == status, answer
    page.close()


JSON_TYPE = {"content-type": "application/json"}
REFUSED: dict[str, tuple[int, str, str, dict[str, str], bytes]] = {
    "mutation by GET": (405, "GET", "/graphql?query=mutation{setNuxSeen}", {}, b""),
    "query by GET": (405, "GET", "/graphql?query={version}", {"accept": "application/json"}, b""),
    "query in the URL of a POST": (415, "POST", "/graphql?query={version}", {}, b""),
    "text that contains the name": (
        415,
        "POST",
        "/graphql",
        {"content-type": "text/plain;application/json"},
        b'{"query":"{version}"}',
    ),
    "a GraphQL document": (415, "POST", "/graphql", {"content-type": "application/graphql"}, b"{version}"),
    "a list of types": (415, "POST", "/graphql", {"content-type": "application/json, text/plain"}, b"{}"),
    "a form": (415, "POST", "/graphql", {"content-type": "application/x-www-form-urlencoded"}, b"query={version}"),
    "another host": (403, "POST", "/graphql", {**JSON_TYPE, "host": "rebound.example:3000"}, b'{"query":"{version}"}'),
    "no port in the host": (403, "GET", "/server_info", {"host": "127.0.0.1"}, b""),
    "another origin": (
        403,
        "POST",
        "/graphql",
        {**JSON_TYPE, "origin": "http://evil.example"},
        b'{"query":"{version}"}',
    ),
    "a hidden origin": (403, "POST", "/graphql", {**JSON_TYPE, "origin": "null"}, b'{"query":"{version}"}'),
    "another site's fetch": (
        403,
        "POST",
        "/graphql",
        {**JSON_TYPE, "sec-fetch-site": "cross-site"},
        b'{"query":"{version}"}',
    ),
    "another port's fetch": (403, "GET", "/server_info", {"sec-fetch-site": "same-site"}, b""),
    "another site's frame": (
        403,
        "GET",
        "/",
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"},
        b"",
    ),
    "a preflight": (405, "OPTIONS", "/graphql", {"sec-fetch-site": "same-origin"}, b""),
    "a reported asset without JSON": (415, "POST", "/report_asset_materialization/base_variants", {}, b""),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_request_in_another_form_or_from_elsewhere_is_refused(stack: RunningStack, name: str) -> None:
    status, method, path, headers, body = REFUSED[name]
    response = httpx.request(method, f"{stack.dagster}{path}", headers=headers, content=body)
    assert (response.status_code, "version" in response.text) == (status, False), response.text
    assert response.headers["x-frame-options"] == "SAMEORIGIN"
    assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "{own}"},
        {"sec-fetch-site": "same-origin"},
        {"content-type": "application/json; charset=utf-8"},
        {"host": "localhost:{port}"},
    ],
)
def test_programs_and_dagsters_own_pages_are_answered(stack: RunningStack, headers: dict[str, str]) -> None:
    port = stack.dagster.rpartition(":")[2]
    sent = {name: value.replace("{own}", stack.dagster).replace("{port}", port) for name, value in headers.items()}
    response = httpx.post(f"{stack.dagster}/graphql", content=b'{"query":"{version}"}', headers=JSON_TYPE | sent)
    assert response.json() == {"data": {"version": response.json()["data"]["version"]}}


def test_links_from_other_sites_and_the_playground_open(stack: RunningStack) -> None:
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert httpx.get(f"{stack.dagster}/runs", headers=link).status_code == 200
    playground = httpx.get(f"{stack.dagster}/graphql", headers={"accept": "text/html"})
    assert (playground.status_code, "GraphiQL" in playground.text) == (200, True)


# Sends a request as another user; it may close its end at once, after which the kernel no longer knows whose it was.
CLIENT = """
import os, socket, sys
port, query, then = int(sys.argv[1]), sys.argv[2], sys.argv[3]
client = socket.socket()
os.setgroups([]); os.setgid(%(user)d); os.setuid(%(user)d)
client = socket.socket()
client.connect(("127.0.0.1", port))
head = "POST /graphql HTTP/1.1\\r\\nHost: 127.0.0.1:%%d\\r\\nContent-Type: application/json\\r\\n"
head += "Content-Length: %%d\\r\\n"
client.sendall((head %% (port, len(query)) + "Connection: close\\r\\n\\r\\n" + query).encode())
if then == "reads":
    print(b"".join(iter(lambda: client.recv(65536), b"")).decode())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
@pytest.mark.parametrize("then", ["reads", "closes"])
def test_another_user_of_the_machine_is_refused(stack: RunningStack, then: str) -> None:
    before = sensors(stack)
    port = stack.dagster.rpartition(":")[2]
    query = json.dumps({"query": STOP.format(json.dumps(before["alerts"]["id"]))})
    command = [sys.executable, "-I", "-c", CLIENT % {"user": OTHER_USER}, port, query, then]
    for _ in range(1 if then == "reads" else 20):
        answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if then == "reads":
        assert answer.startswith("HTTP/1.1 403")
        assert f"the user with id {OTHER_USER} may not use Dagster here" in answer
    assert sensors(stack) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
def test_another_user_cannot_reach_the_code_server(stack: RunningStack) -> None:
    socket = stack.home / "dagster" / "sockets" / "code-server.sock"
    script = (
        f"import os, socket; os.setgroups([]); os.setgid({OTHER_USER}); os.setuid({OTHER_USER});"
        f"socket.socket(socket.AF_UNIX).connect({str(socket)!r})"
    )
    refused = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True)
    assert "PermissionError" in refused.stderr
    listening = [
        connection.laddr.port
        for process in psutil.process_iter()
        if "trr_pipelines.local.code_server" in " ".join(_command(process)) and _is_of(process, stack)
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert listening == []


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _is_of(process: psutil.Process, stack: RunningStack) -> bool:
    try:
        return process.environ().get("TRR_HOME") == str(stack.home)
    except psutil.Error:
        return False


def test_a_second_stack_on_the_same_ports_is_refused(stack: RunningStack, tmp_path: Path) -> None:
    other = new_stack(tmp_path / "home")
    ports = {name: stack.environment[name] for name in ("TRR_API_PORT", "TRR_ADMIN_PORT", "TRR_DAGSTER_PORT")}
    answer = subprocess.run(
        [sys.executable, "-m", "trr_pipelines", "up"],
        env=other.environment | ports,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (answer.returncode, " ready" in answer.stderr) == (1, False)
    assert f"port {ports['TRR_API_PORT']} for the API is in use" in answer.stderr


def test_a_code_server_that_is_shut_down_again_and_again_stops_nothing_else(stack: RunningStack) -> None:
    """It restarts after a pause, which is an alert, while the API and the admin app answer."""
    shut_down = 'mutation { shutdownRepositoryLocation(repositoryLocationName: "trr_pipelines") { __typename } }'
    for _ in range(4):
        server = _code_server(stack)
        stack.graphql(shut_down)
        wait_for(lambda server=server: not server.is_running() or server.status() == psutil.STATUS_ZOMBIE, "its end")
        assert httpx.get(f"{stack.api}/healthz").status_code == 200
        assert httpx.get(f"{stack.admin}/healthz").status_code == 200

    def alert_is_open() -> bool:
        command = [sys.executable, "-m", "trr_pipelines", "alerts", "--json"]
        output = subprocess.run(command, env=stack.environment, capture_output=True, text=True).stdout
        return "failing_processes" in {alert["kind"] for alert in json.loads(output)["alerts"]}

    wait_for(alert_is_open, "the alert")
    _code_server(stack)


def _code_server(stack: RunningStack) -> psutil.Process:
    found: list[psutil.Process] = []

    def look() -> bool:
        found[:] = [
            one
            for one in psutil.process_iter()
            if "trr_pipelines.local.code_server" in _command(one) and _is_of(one, stack)
        ]
        return bool(found)

    wait_for(look, "the code server")
    socket = str(stack.home / "dagster" / "sockets" / "code-server.sock")
    with grpc.insecure_channel(f"unix:{socket}") as channel:
        grpc.channel_ready_future(channel).result(timeout=60)
    return found[0]
