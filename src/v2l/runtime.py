"""Device, precision and batch sizes of one stage run, resolved once at the edge."""

import os
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from v2l.config.runtime import RuntimeConfig
from v2l.errors import ConfigError
from v2l.seeds import derive_seed


@dataclass(frozen=True)
class Runtime:
    """What a stage may know about the machine.

    dtype: of frozen networks, and of autocast where others are trained (float32 or bfloat16). Batch sizes change speed
    only. train_micro_batch: pictures of one backward pass in training, None for all of a process's. Training pictures
    that would take more than picture_memory_gb are decoded as they are drawn, by loader_workers processes; 0: by the
    training process. device_map: "auto" where an LLM goes onto all visible GPUs, gpu_memory_gb for its weights on each;
    None: nine tenths of what is free.
    """

    device: torch.device
    dtype: torch.dtype
    image_batch: int
    llm_batch_tokens: int
    device_map: str | None = None
    gpu_memory_gb: Sequence[float] | None = None
    train_micro_batch: int | None = None
    picture_memory_gb: float = 0
    loader_workers: int = 0


def _fast_in_bfloat16(device: torch.device) -> bool:
    """Decided by the kind of processor, not by a timing, so that every run on a machine decides alike."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    cpu = torch.cpu.get_capabilities()
    # AMX and AMD's AVX512-BF16 multiply several times faster in bf16 than in fp32, Intel's AVX512-BF16 half as fast.
    return cpu.get("amx_bf16", False) or (cpu.get("avx512_bf16", False) and not cpu["cpu_name"].startswith("Intel"))


def resolve_runtime(config: RuntimeConfig, precision: str, threads: int) -> Runtime:
    """Turns ``auto`` into a device and a dtype, sets the number of CPU threads, and takes fp32 by its word.

    Raises ConfigError if the named device does not exist.
    """
    name = config.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"runtime.device: {name!r} cannot be used here ({str(error).splitlines()[0]})") from None
    torch.set_num_threads(threads)
    torch.backends.cudnn.allow_tf32 = False  # True by default; ids hang on the last bits of fp32
    if device.type == "cpu":  # its attention reads keys and values that heads share in place, which transformers doubts
        os.environ.setdefault("TRANSFORMERS_SDPA_FORCE_GQA", "1")
    bfloat16 = precision == "bf16" or (precision == "auto" and _fast_in_bfloat16(device))
    return Runtime(
        device=device,
        dtype=torch.bfloat16 if bfloat16 else torch.float32,
        image_batch=config.image_batch,
        llm_batch_tokens=config.llm_batch_tokens,
        device_map=config.device_map,
        gpu_memory_gb=config.gpu_memory_gb,
        train_micro_batch=config.train_micro_batch,
        picture_memory_gb=config.picture_memory_gb,
        loader_workers=config.loader_workers,
    )


def seed_libraries(seed: int, purpose: str) -> None:
    """Seeds the global generators that libraries draw from and asks torch for deterministic kernels."""
    random.seed(derive_seed(seed, purpose, "random"))
    np.random.seed(derive_seed(seed, purpose, "numpy") % 2**32)
    torch.manual_seed(derive_seed(seed, purpose, "torch"))
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is not deterministic without, says torch
    torch.use_deterministic_algorithms(True)  # not warn_only, with which attention on a GPU is not deterministic
    # Filling fresh memory shows reads of it, which no kernel here does; it takes an eighth of a training step.
    torch.utils.deterministic.fill_uninitialized_memory = False
