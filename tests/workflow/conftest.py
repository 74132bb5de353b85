"""Real runs of the smoke graph, each in a folder of its own that holds what a clone holds."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from filelock import FileLock

BIN = Path(sys.executable).parent
# What git has of the repository, as far as a run needs it.
FILES = ("Snakefile", "pyproject.toml", "data.dvc", ".dvcignore", ".gitignore")
FOLDERS = ("workflow", "profiles", "slurm", "config", "src", ".dvc")
LOCAL = shutil.ignore_patterns("__pycache__", "*.egg-info", "cache", "tmp", "config.local")
PASSING = shutil.ignore_patterns("iocache")  # comes and goes with dry runs, which another worker may do meanwhile


@dataclass(frozen=True)
class Checkout:
    """A working folder with code, workflow, configuration and the embedded assets. name: of what it runs."""

    root: Path
    name: str = "smoke"

    @property
    def config(self) -> Path:
        return self.root / "config" / f"{self.name}.yaml"

    @property
    def results(self) -> Path:
        return self.root / "results" / self.name

    def edit(self, key: str, value: object) -> None:
        """Changes one key of the configuration."""
        path = self.config
        tree = yaml.safe_load(path.read_text())
        *parents, last = key.split(".")
        node = tree
        for part in parents:
            node = node.setdefault(part, {})
        node[last] = value
        path.write_text(yaml.safe_dump(tree, sort_keys=False))

    def environment(self, **more: str) -> dict[str, str]:
        """Environment variables with which the checkout's own code is run."""
        return {**os.environ, "PYTHONPATH": str(self.root / "src"), **more}

    def run(self, *command: str, check: bool = True, **more: str) -> subprocess.CompletedProcess:
        """Runs a program of this environment in the checkout."""
        program = BIN / command[0]
        words = [str(program) if program.exists() else command[0], *command[1:]]
        done = subprocess.run(
            words, cwd=self.root, env=self.environment(**more), capture_output=True, text=True, check=False
        )
        assert not check or done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done

    def snakemake(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
        return self.run("snakemake", "--configfile", str(self.config), *arguments, check=check)

    def planned_rules(self) -> set[str]:
        """Rules that a dry run would start, the targets that only collect files left out."""
        lines = self.snakemake("-n", "--quiet", "reason").stdout.splitlines()
        rules = {line.split()[1].rstrip(":") for line in lines if line.startswith(("rule ", "localrule "))}
        return rules - {"all", "default"}


def link_tree(source: Path, target: Path) -> None:
    """A copy whose files are hard links: whoever changes a file must write a new one in its place."""
    shutil.copytree(source, target, copy_function=os.link, symlinks=True, dirs_exist_ok=True)


def make_checkout(root: Path, repository: Path, assets: Path, name: str = "smoke") -> Checkout:
    for file in FILES:
        shutil.copy(repository / file, root)
    for folder in FOLDERS:
        shutil.copytree(repository / folder, root / folder, ignore=LOCAL)
    (root / ".venv").symlink_to(BIN.parent)
    link_tree(assets, root / "data")
    # Newer than the code, which may have been edited since the assets were unpacked; left alone from then on, as the
    # links are those of other workers too.
    edited = max(path.stat().st_mtime for path in (root / "src").rglob("*"))
    for path in (root / "data").rglob("*"):
        if path.stat().st_mtime <= edited:
            os.utime(path)
    shutil.copytree(repository / ".snakemake" / "metadata", root / ".snakemake" / "metadata")
    return Checkout(root, name)


@pytest.fixture(scope="session")
def smoke(tmp_path_factory: pytest.TempPathFactory, repository: Path, assets: Path) -> Checkout:
    """A finished run of the smoke graph, one for all workers; tests leave it as it is."""
    own = tmp_path_factory.getbasetemp()
    root = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "smoke"
    with FileLock(root.with_suffix(".lock")):
        if not root.exists():
            root.mkdir()
            make_checkout(root, repository, assets).snakemake()
    checkout = Checkout(root)
    assert (checkout.results / "report.html").exists(), "the run of the smoke graph failed, in another worker"
    return checkout


@pytest.fixture
def copy_of_smoke(smoke: Checkout, tmp_path: Path) -> Checkout:
    """A copy of the finished run that a test may change."""
    root = tmp_path / "run"
    root.mkdir()
    for path in smoke.root.iterdir():
        if path.name == "data":
            link_tree(path, root / path.name)
        elif path.is_dir() and not path.is_symlink():
            shutil.copytree(path, root / path.name, symlinks=True, ignore=PASSING)
        else:
            shutil.copy2(path, root / path.name, follow_symlinks=False)
    return Checkout(root)
