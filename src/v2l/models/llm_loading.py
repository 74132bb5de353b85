"""Where an LLM is found, and onto which devices it is loaded."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import infer_auto_device_map
from accelerate.utils import get_balanced_memory
from huggingface_hub import HfApi, try_to_load_from_cache
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from v2l.config.llm import LlmConfig
from v2l.errors import ModelError
from v2l.runtime import Runtime

HUB_TIMEOUT_SECONDS = 10.0
GIGABYTE = 10**9
WEIGHTS_SHARE = 0.9  # of a GPU's free memory; the rest is for keys, values and activations

Location = dict[str, Any]


def locate(source: str) -> Location:
    """Where transformers finds the source: keywords of ``from_pretrained``.

    Raises ModelError if there is no such folder, file or hub model, or if the hub keeps it from this account.
    """
    path = Path(source)
    if path.is_file():
        if path.suffix != ".gguf":
            raise ModelError(f"{source}: expected a folder, a .gguf file or a hub name, found another kind of file")
        return {"pretrained_model_name_or_path": path.parent, "gguf_file": path.name}
    if path.is_dir():
        if not (path / "config.json").is_file():
            hint = " (params.json is Meta's own layout; convert it)" if (path / "params.json").is_file() else ""
            raise ModelError(f"{source}: no config.json; expected the folder of a transformers model{hint}")
        return {"pretrained_model_name_or_path": path}
    try:
        # Asked first, as downloads without a network would try again and again.
        if try_to_load_from_cache(source, "config.json") is None:
            HfApi().model_info(source, timeout=HUB_TIMEOUT_SECONDS)
            HfApi().auth_check(source)
    except GatedRepoError as error:
        raise ModelError(f"llm.source: {reason(error, source)}") from error
    except Exception as error:  # the hub's HTTP client has no base class of errors that is ours to name
        raise ModelError(
            f"llm.source: {source!r} is no folder or .gguf file here, and no model of that name can be fetched "
            f"({reason(error, source)})"
        ) from error
    return {"pretrained_model_name_or_path": source}


def reason(error: Exception, source: str) -> str:
    """One line on what went wrong; transformers wraps the hub's errors in its own."""
    for cause in _causes(error):
        if isinstance(cause, GatedRepoError):
            return (
                f"{source!r} is gated: this account has no access; ask for it at https://huggingface.co/{source}, "
                "then run `hf auth login`"
            )
        if isinstance(cause, RepositoryNotFoundError):
            return "the hub has none, or it is private: run `hf auth login`"
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def load_model(location: Location, config: LlmConfig, runtime: Runtime) -> PreTrainedModel:
    """The causal LM in the runtime's dtype, frozen, on its device or, if the runtime says so, on all GPUs.

    Raises ModelError if it cannot be loaded, lacks weights, or is too large for the GPUs.
    """
    memory = gpu_memory(runtime)
    try:
        spread = {"device_map": spread_layers(location, runtime.dtype, memory)} if memory else {}
        model, loading = AutoModelForCausalLM.from_pretrained(
            **location, **spread, dtype=runtime.dtype, output_loading_info=True
        )
    except ModelError as error:
        raise ModelError(f"{config.source}: {error}") from None
    except Exception as error:  # the readers of each format have errors of their own
        raise ModelError(
            f"{config.source}: no causal LM that transformers can load ({reason(error, config.source)})"
        ) from error
    if missing := sorted(map(str, {*loading["missing_keys"], *loading["mismatched_keys"]})):
        raise ModelError(f"{config.source}: {len(missing)} weight(s) missing or misshapen, the first is {missing[0]}")
    return (model if spread else model.to(runtime.device)).eval().requires_grad_(False)


def gpu_memory(runtime: Runtime) -> dict[int, int]:
    """Bytes for weights on each visible GPU, by its number; empty where the model goes onto one device whole.

    Raises ModelError if the runtime lists another number of GPUs.
    """
    device, listed, count = runtime.device, runtime.gpu_memory_gb, torch.cuda.device_count()
    if runtime.device_map is None or device.type != "cuda" or device.index is not None or count < 2:
        return {}
    if listed is None:
        return {gpu: int(WEIGHTS_SHARE * torch.cuda.mem_get_info(gpu)[0]) for gpu in range(count)}
    if len(listed) != count:
        raise ModelError(
            f"runtime.gpu_memory_gb: expected one value for each of {count} visible GPUs, found {len(listed)}"
        )
    return {gpu: int(size * GIGABYTE) for gpu, size in enumerate(listed)}


def spread_layers(location: Location, dtype: torch.dtype, memory: Mapping[int, int]) -> dict[str, int]:
    """accelerate's device map: the GPU of every part of the model, layers whole, about as much on each.

    memory: bytes for weights by GPU. Raises ModelError if they do not suffice; nothing is left to CPU or disk.
    """
    with torch.device("meta"):  # sizes alone, no weights
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(**location), dtype=dtype)
    model.tie_weights()
    whole = list(model._no_split_modules)
    balanced = get_balanced_memory(model, dict(memory), no_split_module_classes=whole)
    device_map = infer_auto_device_map(model, balanced, no_split_module_classes=whole)
    if not set(device_map.values()) <= set(memory):
        needed = sum(weight.numel() for weight in model.parameters()) * dtype.itemsize
        raise ModelError(
            f"expected GPU memory for {needed / GIGABYTE:.1f} GB of weights in whole layers and room for one more, "
            f"found {sum(memory.values()) / GIGABYTE:.1f} GB on {len(memory)} GPUs"
        )
    return device_map
