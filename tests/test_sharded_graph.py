"""The graph of a configuration that splits stages into parts."""

from collections import Counter
from pathlib import Path

import pytest
import yaml

from v2l.artifacts import provenance_path
from v2l.config.runtime import ShardsConfig
from v2l.stages import STAGES
from v2l.versioning.dag import GraphJob, graph_jobs
from v2l.versioning.pipeline import pipeline_text

COUNTS = {name: number for number, name in enumerate(ShardsConfig.model_fields, start=2)}
CLIPS = {"locked_text": {"kind": "locked_text"}, "open_clip": {"kind": "open_clip", "model": "ViT-B-32"}}
NOT_SPLIT = {"locked_text": {"image_features"}, "open_clip": {"trunk_features"}}  # one product, and no such stage


@pytest.fixture(scope="module", params=CLIPS)
def clip(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def configs(clip: str, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two that differ in nothing else."""
    tree = yaml.safe_load((repository / "config" / "smoke.yaml").read_text())
    paths = {}
    for name, counts in (("whole", {}), ("parts", COUNTS)):
        paths[name] = tmp_path_factory.mktemp(name) / "smoke.yaml"
        changes = {"clip": CLIPS[clip], "runtime": {**tree.get("runtime", {}), "shards": counts}}
        paths[name].write_text(yaml.safe_dump({**tree, **changes}))
    return paths


@pytest.fixture(scope="module")
def graphs(configs: dict[str, Path], repository: Path) -> dict[str, list[GraphJob]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(repository)
        return {name: graph_jobs(path) for name, path in configs.items()}


def of_rule(jobs: list[GraphJob], rule: str) -> dict[tuple[str, ...], list[GraphJob]]:
    """Jobs of a rule by what tells apart its items."""
    found: dict[tuple[str, ...], list[GraphJob]] = {}
    for job in jobs:
        if job.rule == rule:
            item = tuple(value for key, value in job.wildcards.items() if key != "scatteritem")
            found.setdefault(item, []).append(job)
    return found


def test_every_stage_has_its_number_of_parts_and_a_merge_for_each_item(graphs, clip: str) -> None:
    whole, parts = graphs["whole"], graphs["parts"]
    for name in COUNTS.keys() - NOT_SPLIT[clip]:
        count, outputs = COUNTS[name], STAGES[name.replace("_", "-")].outputs
        items = of_rule(whole, name)
        shards, merges = of_rule(parts, f"{name}_shard"), of_rule(parts, f"merge_{name}")
        assert items.keys() == shards.keys() == merges.keys() != set(), name
        assert not of_rule(parts, name)
        for item, (merge,) in merges.items():
            assert merge.outputs == items[item][0].outputs
            written = {job.wildcards["scatteritem"]: job.outputs for job in shards[item]}
            numbered = [written[f"{number}-of-{count}"] for number in range(1, count + 1)]
            assert len(written) == count
            assert all(job.temporary for job in shards[item])
            # parts of the first output in their order, then those of the next, then the provenance of all
            assert merge.inputs == tuple(files[place] for place in range(2 * len(outputs)) for files in numbered)
            for files in numbered:
                kept, records = files[: len(outputs)], files[len(outputs) :]
                assert records == tuple(str(provenance_path(Path(name))) for name in kept)
            assert {job.inputs for job in shards[item]} == {items[item][0].inputs}


def test_nothing_else_changes(graphs, clip: str) -> None:
    split = COUNTS.keys() - NOT_SPLIT[clip]
    own = {rule for name in split for rule in (name, f"{name}_shard", f"merge_{name}")}
    others = [[job for job in jobs if job.rule not in own] for jobs in graphs.values()]
    assert Counter(map(str, others[0])) == Counter(map(str, others[1]))


def test_no_two_jobs_write_one_file(graphs) -> None:
    written = Counter(name for job in graphs["parts"] for name in job.outputs)
    assert set(written.values()) == {1}


def test_dvc_has_the_same_families_with_the_same_files(configs, repository: Path, monkeypatch) -> None:
    monkeypatch.chdir(repository)

    def files(config: Path) -> dict[tuple[str, str], list[str]]:
        stages = yaml.safe_load(pipeline_text(config))["stages"].items()
        return {
            (name, key): sorted(map(str, stage.get(key, [])))
            for name, stage in stages
            for key in ("deps", "outs", "metrics")
        }

    assert files(configs["whole"]) == files(configs["parts"])
