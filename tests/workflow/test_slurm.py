"""The cluster profile: what it asks SLURM for, and the whole smoke graph run by a real one."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import yaml
import yte

from v2l.assets.pins import load_assets
from v2l.config.tree import load_config
from v2l.versioning.digests import result_digests

from .conftest import BIN, Checkout, make_checkout
from .slurm_cluster import SlurmCluster, make_hosts, obstacle

# The plugin would wait 10 s longer after every look at the queue that finds no job finished.
SNAKEMAKE = """
from snakemake.cli import main
from snakemake_executor_plugin_slurm import Executor
Executor.next_seconds_between_status_checks = property(lambda _: 1, lambda *_: None)
main()
"""
COMMAND = ("python", "-c", SNAKEMAKE, "--profile", "slurm", "--configfile", "config/smoke.yaml")
# A cluster without accounting, two processors, and a job more than these, as each spends some time waiting for SLURM.
COMMAND += ("--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "1", "--jobs", "3")
LONGEST_RUN_S = 1800
# Everything but these keys is as in the run that the results are compared with, which has captions in parts. That
# parts make the whole is tested with each stage.
OTHERWISE = {"image_batch": 5, "llm_batch_tokens": 900, "shards": {"trunk_features": 2, "count_nearest": 2}}
# How a training is ended on its way: by its owner, so that Snakemake has to try again, and by SLURM, as for a job of
# higher priority, which starts it again itself.
CANCEL, REQUEUE = ("scancel",), ("scontrol", "requeue")
ENDINGS = {"lqae": CANCEL, "vqgan": REQUEUE}


@pytest.fixture(scope="module")
def profile(repository: Path) -> dict:
    with (repository / "slurm" / "config.yaml").open() as stream:
        return yte.process_yaml(stream, require_use_yte=True)


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> SlurmCluster:
    reason = obstacle()
    if reason and "CI" not in os.environ:
        pytest.skip(reason)
    assert reason is None, reason
    folder = tmp_path_factory.mktemp("slurm")
    with make_hosts(folder) as hosts, SlurmCluster(folder, hosts) as cluster:
        yield cluster


def test_every_rule_has_its_resources_or_shares_a_job(profile: dict, repository: Path) -> None:
    rules = {f"unpack_{asset}" for asset in load_assets()}
    for path in (repository / "workflow" / "rules").glob("*.smk"):
        rules |= set(re.findall(r"^(?:use rule \w+ as|rule) (\w+)", path.read_text(), flags=re.MULTILINE))
    assert set(profile["set-resources"]) | set(profile["groups"]) == rules - {"download"}  # which is a local rule


def test_no_key_stands_in_both_profiles_where_the_default_one_would_win(profile: dict, repository: Path) -> None:
    default = yaml.safe_load((repository / "profiles" / "default" / "config.yaml").read_text())
    assert set(profile) & set(default) == set()


def test_jobs_get_the_processors_that_the_configuration_of_the_paper_uses(profile: dict, repository: Path) -> None:
    config = yaml.safe_load((repository / "config" / "paper.yaml").read_text())
    threads = config["threads"]
    asked = {name: values.get("cpus_per_task") for name, values in profile["set-resources"].items()}
    gpus = int(profile["set-resources"]["train"]["gres"].removeprefix("gpu:"))
    assert asked.pop("train") == threads * gpus
    assert config["runtime"]["loader_workers"] < threads  # beside each GPU's training process
    assert set(asked.values()) == {threads, None}


def listed_jobs(dry_run: str) -> list[tuple[str, str, str, dict[str, str]]]:
    """Rule, group (or nothing), wildcards and resources of each job that a dry run gives to SLURM."""
    jobs, group = [], ""
    for line in dry_run.splitlines():
        word, _, rest = line.strip().partition(" ")
        if "Group job " in line:
            group = line.split("Group job ")[1].split()[0]
        elif word in ("rule", "localrule"):
            group = group if line.startswith(" ") else ""
            local, rule, wildcards = word == "localrule", rest.rstrip(":"), ""
        elif word == "wildcards:":
            wildcards = rest
        elif word == "resources:" and not local:
            jobs.append((rule, group, wildcards, dict(pair.split("=", 1) for pair in rest.split(", "))))
    return jobs


def test_dry_run_for_the_paper_lists_gpus_memory_and_time_of_every_job(
    tmp_path: Path, repository: Path, assets: Path
) -> None:
    checkout = make_checkout(tmp_path, repository, assets)
    nodes = yaml.safe_load((checkout.root / "config" / "paper.yaml").read_text()).get("runtime", {}).get("nodes", 1)
    command = ("snakemake", "-n", "--profile", "slurm", "--configfile", "config/paper.yaml", "--quiet", "reason")
    jobs = listed_jobs(checkout.run(*command).stdout)
    assert len(jobs) > 100
    for _rule, _group, _wildcards, resources in jobs:
        assert int(resources["mem_mb"]) >= 8000
        assert int(resources["runtime"]) >= 60
        assert resources["slurm_partition"] == ("gpu" if {"gpu", "gres"} & set(resources) else "cpu")
    assert "download" not in {rule for rule, *_ in jobs}
    trains = {(resources["gres"], resources["nodes"]) for rule, *_, resources in jobs if rule == "train"}
    assert trains == {("gpu:8", str(nodes))}
    config = load_config(repository / "config" / "paper.yaml")
    asked = {
        (re.search(r"\b(?:run|name)=(\w+)", wildcards)[1], resources["gpu"])
        for rule, _, wildcards, resources in jobs
        if rule in ("classify_shard", "restore_shard")
    }
    gpus = {"v2l_13b": "2", "v2l_70b": "4"}
    assert asked == {(run, gpus.get(run, "1")) for run in (*config.fewshot.runs, *config.restore.runs)}
    groups = {rule: group for rule, group, *_ in jobs}
    assert groups["classify_metrics"] == groups["claims"] == groups["report"] == "page"
    assert groups["filter"] == groups["global_words"] == "codebook"
    assert groups["train"] == ""


def run_with_jobs_ended(
    checkout: Checkout, cluster: SlurmCluster, endings: Mapping[str, tuple[str, ...]], log: Path, *targets: str
) -> str:
    """Runs the graph through SLURM, ends trainings once they have begun; gives what Snakemake prints.

    endings: the command that ends it, by tokenizer. targets: all by default.
    """
    remaining = dict(endings)
    with log.open("w") as stream:
        running = subprocess.Popen(
            [*cluster.hosts[0].prefix, BIN / COMMAND[0], *COMMAND[1:], *(["--", *targets] if targets else [])],
            cwd=checkout.root,
            env=checkout.environment(),
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    try:
        while remaining:
            assert running.poll() is None, log.read_text()[-4000:]
            time.sleep(0.05)
            for name in list(remaining):
                if (checkout.results / "tokenizer" / "tensorboard" / name).exists():  # just before the first step
                    cluster.command(*remaining.pop(name), cluster.jobs()[f"rule_train_wildcards_{name}"])
        assert running.wait(LONGEST_RUN_S) == 0, log.read_text()[-4000:]
    finally:
        running.kill()
    for name in endings:
        assert "train: goes on from step" in (checkout.results / "logs" / f"train_{name}.log").read_text()
    return log.read_text()


@pytest.fixture(scope="module")
def again(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, repository: Path, assets: Path
) -> tuple[Checkout, set[str], str]:
    """The smoke graph once more, from a checkout without results, in shards and with other batch sizes; the rules to be
    run; what Snakemake prints. By a real SLURM with jobs ended on their way, or without where none can be started."""
    folder = tmp_path_factory.mktemp("again")
    (folder / "suite").mkdir()
    checkout = make_checkout(folder / "suite", repository, assets)
    checkout.edit("runtime", OTHERWISE)
    planned = checkout.planned_rules()
    if obstacle() is None:
        cluster = request.getfixturevalue("slurm")
        output = run_with_jobs_ended(checkout, cluster, ENDINGS, folder / "output.txt")
    else:
        output = checkout.snakemake().stdout
    return checkout, planned, output


@pytest.mark.usefixtures("slurm")
def test_graph_run_by_slurm_with_jobs_ended_comes_to_its_end(again) -> None:
    other, planned, output = again
    assert {
        "emoji",
        "expand",
        "train",
        "classify",
        "count_nearest_shard",
        "merge_count_nearest",
        "masked",
        "report",
    } <= planned
    assert set(re.findall(r"\(Rule: (\w+)\)", output)) - {"default"} == planned
    assert len(re.findall(r"Trying to restart job .+\.", output)) == 1
    assert other.planned_rules() == set()


def test_other_batch_sizes_shards_and_a_fresh_run_give_the_same_bytes(again, smoke: Checkout) -> None:
    other, *_ = again
    assert result_digests(other.results) == result_digests(smoke.results)


def test_requeued_training_on_two_hosts_gives_the_bytes_of_two_processes_on_one(
    slurm: SlurmCluster, copy_of_smoke: Checkout, tmp_path: Path
) -> None:
    if len(slurm.hosts) < 2 and "CI" not in os.environ:
        pytest.skip("no network namespaces can be made here")
    assert len(slurm.hosts) == 2
    weights = copy_of_smoke.results / "tokenizer" / "v2l.safetensors"
    target = str(weights.relative_to(copy_of_smoke.root))

    def train_anew(runtime: dict[str, int], run: Callable[[], object]) -> bytes:
        copy_of_smoke.edit("runtime", runtime)
        weights.unlink()
        shutil.rmtree(weights.parent / "tensorboard" / "v2l")
        run()
        return weights.read_bytes()

    expected = train_anew({"processes": 2}, lambda: copy_of_smoke.snakemake("--", target))
    found = train_anew(
        {"nodes": 2},
        lambda: run_with_jobs_ended(copy_of_smoke, slurm, {"v2l": REQUEUE}, tmp_path / "output.txt", target),
    )
    assert "train: 2 x 1 processes" in (copy_of_smoke.results / "logs" / "train_v2l.log").read_text()
    assert found == expected


def test_job_of_slurm_goes_by_content_where_its_input_is_older_than_what_that_was_made_of(
    again, slurm: SlurmCluster
) -> None:
    other, *_ = again
    files = [other.results / name for name in ("tokenizer/v2l.safetensors", "masked/rows.parquet")]
    files[0].touch()  # as files are after a pull
    times = [path.stat().st_mtime_ns for path in files]
    metrics = other.results / "masked" / "metrics.json"
    before, made = metrics.read_bytes(), metrics.stat().st_mtime_ns
    target = str(metrics.relative_to(other.root))
    other.run(*slurm.hosts[0].prefix, str(BIN / COMMAND[0]), *COMMAND[1:], "--forcerun", target, "--", target)
    assert metrics.read_bytes() == before
    assert metrics.stat().st_mtime_ns > made
    assert [path.stat().st_mtime_ns for path in files] == times
    assert other.planned_rules() == set()
