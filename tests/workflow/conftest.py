"""Real runs of the smoke graph, each in a folder of its own that holds what a clone holds."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml


@dataclass(frozen=True)
class Checkout:
    """A working folder with the workflow, the configuration files and the fetched assets."""

    root: Path

    @property
    def results(self) -> Path:
        return self.root / "results" / "smoke"

    def edit(self, key: str, value: object) -> None:
        """Changes one key of config/smoke.yaml."""
        path = self.root / "config" / "smoke.yaml"
        tree = yaml.safe_load(path.read_text())
        *parents, last = key.split(".")
        node = tree
        for part in parents:
            node = node.setdefault(part, {})
        node[last] = value
        path.write_text(yaml.safe_dump(tree, sort_keys=False))

    def snakemake(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "snakemake", "--cores", "2", "--configfile", "config/smoke.yaml", *arguments]
        done = subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, done.stderr[-4000:]
        return done

    def planned_rules(self) -> set[str]:
        """Rules that a dry run would start, the targets that only collect files left out."""
        lines = self.snakemake("-n", "--quiet", "reason").stdout.splitlines()
        rules = {line.split()[1].rstrip(":") for line in lines if line.startswith(("rule ", "localrule "))}
        return rules - {"all", "default"}


def make_checkout(root: Path, repository: Path, assets: Path) -> Checkout:
    shutil.copy(repository / "Snakefile", root)
    for folder in ("workflow", "config"):
        shutil.copytree(repository / folder, root / folder)
    (root / "data").symlink_to(assets)
    return Checkout(root)


@pytest.fixture(scope="session")
def smoke(tmp_path_factory: pytest.TempPathFactory, repository: Path, assets: Path) -> Checkout:
    """A finished run of the smoke graph; tests leave it as it is."""
    checkout = make_checkout(tmp_path_factory.mktemp("smoke"), repository, assets)
    checkout.snakemake()
    return checkout


@pytest.fixture
def copy_of_smoke(smoke: Checkout, tmp_path: Path) -> Checkout:
    """A copy of the finished run that a test may change."""
    shutil.copytree(smoke.root, tmp_path / "run", symlinks=True)
    return Checkout(tmp_path / "run")
