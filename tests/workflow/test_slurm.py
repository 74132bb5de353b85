"""The cluster profile: what it asks SLURM for, and the smoke graph run by a real one."""

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import yaml
import yte

from v2l.assets.pins import load_assets
from v2l.versioning.digests import result_digests

from .conftest import BIN, Checkout, make_checkout
from .slurm_node import SlurmNode, obstacle

# A node without accounting, two processors, and a job more than these, as finished ones are noticed late.
HERE = ("--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "2", "--jobs", "3")
LONGEST_RUN_S = 1800


@pytest.fixture(scope="module")
def profile(repository: Path) -> dict:
    with (repository / "slurm" / "config.yaml").open() as stream:
        return yte.process_yaml(stream, require_use_yte=True)


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> SlurmNode:
    reason = obstacle()
    if reason and "CI" not in os.environ:
        pytest.skip(reason)
    assert reason is None, reason
    with SlurmNode(tmp_path_factory.mktemp("slurm")) as node:
        yield node


def test_every_rule_has_its_resources_or_shares_a_job(profile: dict, repository: Path) -> None:
    rules = {f"unpack_{asset}" for asset in load_assets()}
    for path in (repository / "workflow" / "rules").glob("*.smk"):
        rules |= set(re.findall(r"^(?:use rule \w+ as|rule) (\w+)", path.read_text(), flags=re.MULTILINE))
    assert set(profile["set-resources"]) | set(profile["groups"]) == rules - {"download"}  # which is a local rule


def test_no_key_stands_in_both_profiles_where_the_default_one_would_win(profile: dict, repository: Path) -> None:
    default = yaml.safe_load((repository / "profiles" / "default" / "config.yaml").read_text())
    assert set(profile) & set(default) == set()


def test_jobs_get_the_processors_that_the_configuration_of_the_paper_uses(profile: dict, repository: Path) -> None:
    threads = yaml.safe_load((repository / "config" / "paper.yaml").read_text())["threads"]
    asked = {name: values.get("cpus_per_task") for name, values in profile["set-resources"].items()}
    gpus = int(profile["set-resources"]["train"]["gres"].removeprefix("gpu:"))
    assert asked.pop("train") == threads * gpus
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
    asked = {("70b" in wildcards, resources["gpu"]) for rule, _, wildcards, resources in jobs if "classify_s" in rule}
    assert asked == {(True, "4"), (False, "1")}
    groups = {rule: group for rule, group, *_ in jobs}
    assert groups["classify_metrics"] == groups["claims"] == groups["report"] == "page"
    assert groups["filter"] == groups["global_words"] == "codebook"
    assert groups["train"] == ""


# From these on the graph is run anew: training, the LLM, a sharded stage, and jobs that share one; all else is at hand.
REMADE = ("tokenizer/lqae.safetensors", "caption/predictions.parquet", "tokens/global_order_1.parquet")
KEPT = ("tokenizer/v2l.safetensors", "restore/rows_v2l.parquet", "masked/rows.parquet")


def test_graph_run_by_slurm_with_a_job_killed_gives_the_bytes_of_a_local_run(
    slurm: SlurmNode, smoke: Checkout, copy_of_smoke: Checkout, tmp_path: Path
) -> None:
    other, output = copy_of_smoke, tmp_path / "output.txt"
    curves = other.results / "tokenizer" / "tensorboard" / "lqae"
    shutil.rmtree(curves)
    other.edit("runtime", {"image_batch": 5, "llm_batch_tokens": 900, "shards": {"caption": 2}})
    (other.results / KEPT[0]).touch()  # newer than what was made of it, as files are after a pull: content decides
    times = [(other.results / name).stat().st_mtime_ns for name in KEPT]
    command = ["--profile", "slurm", "--configfile", "config/smoke.yaml", *HERE]
    command += ["--forcerun", *(str((other.results / name).relative_to(other.root)) for name in REMADE)]
    with output.open("w") as stream:
        running = subprocess.Popen(
            [BIN / "snakemake", *command],
            cwd=other.root,
            env=other.environment(),
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    try:
        while not curves.exists():  # opened just before the first step
            assert running.poll() is None, output.read_text()[-4000:]
            time.sleep(0.05)
        slurm.command("scancel", slurm.jobs()["rule_train_wildcards_lqae"])
        assert running.wait(LONGEST_RUN_S) == 0, output.read_text()[-4000:]
    finally:
        running.kill()
    assert "train: goes on from step" in (other.results / "logs" / "train_lqae.log").read_text()
    restarted = re.findall(r"Trying to restart job (.+)\.", output.read_text())
    assert len(restarted) == 1, restarted
    done = set(re.findall(r"\(Rule: (\w+)\)", output.read_text()))
    assert {"train", "local_tokens", "local_words", "classify", "caption_shard", "merge_caption", "report"} <= done
    assert [(other.results / name).stat().st_mtime_ns for name in KEPT] == times
    assert result_digests(other.results) == result_digests(smoke.results)
    assert other.planned_rules() == set()
