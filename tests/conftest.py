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

    from v2l.cli import main

    folder = REPOSITORY / "data"
    folder.mkdir(exist_ok=True)
    lock = tmp_path_factory.getbasetemp().parent / "assets.lock"
    with FileLock(lock):
        for asset in ("icons", "llm", "networks", "text_encoder"):
            if not (folder / asset / "manifest.json").is_file():
                config = str(REPOSITORY / "config" / "smoke.yaml")
                assert main(["fetch", "--config", config, "--asset", asset, "--folder", str(folder / asset)]) == 0
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
