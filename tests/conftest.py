"""Fixtures shared by all rooms. Real assets are fetched once into `data/` of the checkout, as `make demo` does."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import small_models

REPOSITORY = Path(__file__).resolve().parents[1]
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")  # the stated tolerances are those of CPU kernels
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing may come from a hub
# Of each worker and of what it starts. Computations as short as most of these gain nothing from threads, and those of
# two workers on two processors spend nearly all their time waiting for each other.
os.environ["OMP_NUM_THREADS"] = "1"
# Files that take minutes, the longest first, as workers are given whole files in this order.
LONG = (
    "workflow/test_slurm.py",
    "workflow/test_versioning.py",
    "workflow/test_release.py",
    "workflow/test_smoke.py",
    "workflow/test_parts.py",
    "report/test_figures.py",
    "training/test_distributed.py",
    "experiments/test_restore.py",
    "experiments/test_classify.py",
    "experiments/test_masked.py",
    "experiments/test_caption.py",
    "experiments/test_vqa.py",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {REPOSITORY / "tests" / name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path, len(LONG)))


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `data` folder with every embedded asset in it, made by the workflow's own rules."""
    from filelock import FileLock

    from v2l.assets.pins import load_assets

    folder = REPOSITORY / "data"
    with FileLock(tmp_path_factory.getbasetemp().parent / "assets.lock"):
        # Without Snakemake's records of them, which runs elsewhere take over, assets are of no use to the workflow.
        if not (REPOSITORY / ".snakemake" / "metadata").is_dir():
            shutil.rmtree(folder, ignore_errors=True)
        if not all((folder / name / "manifest.json").is_file() for name in load_assets()):
            rules = [f"unpack_{name}" for name in load_assets()]
            command = [sys.executable, "-m", "snakemake", "--configfile", "config/smoke.yaml", "--until", *rules]
            done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr[-4000:]
    return folder


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Whatever the test before has set: a stage sets the number of its configuration, for the whole process."""
    yield
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)


def _runtime(dtype_name: str):
    import torch

    from v2l.runtime import Runtime

    return Runtime(
        device=torch.device("cpu"),
        dtype=getattr(torch, dtype_name),
        image_batch=4,
        llm_batch_tokens=512,
    )


@pytest.fixture
def runtime():
    """float32 on the CPU, with batches small enough that every test sees several."""
    return _runtime("float32")


@pytest.fixture
def runtime_bf16():
    """bfloat16 on the CPU."""
    return _runtime("bfloat16")


@pytest.fixture(scope="session")
def tiny_open_clip(tmp_path_factory: pytest.TempPathFactory):
    """A small open_clip architecture with random weights; its name is registered with the library."""
    import open_clip

    from v2l.config.clip import OpenClipConfig

    folder = tmp_path_factory.mktemp("open_clip")
    (folder / "tiny.json").write_text(json.dumps(small_models.open_clip_architecture(dim=32)))
    open_clip.add_model_config(folder)
    return OpenClipConfig(model="tiny", pretrained=None)


@pytest.fixture(scope="session")
def sentencepiece_file() -> Path:
    return small_models.fetch_sentencepiece(REPOSITORY)


@pytest.fixture(scope="session")
def llama_folder(sentencepiece_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("llama")
    small_models.write_llama(folder, sentencepiece_file)
    return folder


@pytest.fixture(scope="session")
def inception_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inception") / "inception.pth"
    small_models.write_inception(path)
    return path
