"""The application in the definitions: all of it where TRR_APPLICATION_DB_URL is set, nothing of it elsewhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from dagster import Definitions

CHECKS = {"published_is_what_was_rendered", "no_published_url_is_dead", "nothing_of_others_was_changed"}
TABLES = {"application/media_assets", "application/media_links", "application/cast_photos"}

LOAD = """
import json, warnings
warnings.simplefilter("ignore")
from trr_pipelines.definitions import defs
graph, repository = defs.resolve_asset_graph(), defs.get_repository_def()
names = lambda keys: sorted(key.to_user_string() for key in keys)
print(json.dumps({
    "parents": {key.to_user_string(): names(graph.get(key).parent_keys) for key in graph.get_all_asset_keys()},
    "checks": {key.name: graph.get(key).description for key in graph.asset_check_keys},
    "sensors": {sensor.name: sensor.description for sensor in repository.sensor_defs},
    "import_batch": names(defs.resolve_job_def("import_batch").asset_layer.selected_asset_keys),
    "rerender": [node.name for node in defs.resolve_job_def("rerender").nodes],
    "described": [key.to_user_string() for key in graph.get_all_asset_keys()
                  if len(graph.get(key).description or "") > 30 and graph.get(key).owners and graph.get(key).kinds],
}))
"""


def test_with_an_application_its_tables_are_upstream_and_publications_downstream() -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "TRR_HOME": "/proc/no/such/home",
        "TRR_APPLICATION_DB_URL": "postgresql://none@127.0.0.1:1/none",
    }
    ended = subprocess.run([sys.executable, "-c", LOAD], env=environment, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    loaded = json.loads(ended.stdout)
    parents = loaded["parents"]
    assert set(parents["original_images"]) == TABLES
    assert {"base_variants", "crop_variants", "application/media_links"} == set(parents["published_variants"])
    assert set(loaded["checks"]) >= CHECKS
    assert "application_changes" in loaded["sensors"]
    assert "published_variants" in loaded["import_batch"]
    assert set(loaded["rerender"]) == {"rerender_scattered_photos", "publish_rerendered_photos"}
    assert set(loaded["described"]) >= {*TABLES, "published_variants"}
    assert all(len(text or "") > 30 for part in ("checks", "sensors") for text in loaded[part].values())


def test_without_an_application_there_is_nothing_of_it(defs: Definitions) -> None:
    graph = defs.resolve_asset_graph()
    names = {key.to_user_string() for key in graph.get_all_asset_keys()}
    assert not names & {*TABLES, "published_variants"}
    assert not CHECKS & {key.name for key in graph.asset_check_keys}
    assert "application_changes" not in {sensor.name for sensor in defs.get_repository_def().sensor_defs}
    assert [node.name for node in defs.resolve_job_def("rerender").nodes] == ["rerender_scattered_photos"]
    assert defs.resources is not None
    assert "application" not in defs.resources
