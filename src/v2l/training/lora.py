"""Stage ``tune-lora``: tunes the LLM with LoRA to fill in masked tokens (paper, Figure 8)."""

import json
import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import peft
import torch
from safetensors.torch import save_file
from torch import Tensor

from v2l.artifacts import read_rows
from v2l.config.llm import LlmConfig
from v2l.config.masked import LoraConfig, MaskConfig
from v2l.data.manifest import read_manifest, training_rows
from v2l.errors import ArtifactError, ConfigError, ModelError
from v2l.models.llm import Llm, load_llm
from v2l.progress import Progress
from v2l.prompts.masked import MaskedPrompt, draw_mask, training_sequence
from v2l.runtime import Runtime
from v2l.seeds import derive_seed
from v2l.training.checkpoint import TrainingState, load_checkpoint, save_checkpoint
from v2l.training.curves import Curves
from v2l.training.pictures import epoch_order
from v2l.training.schedule import learning_rate_factor

CHECKPOINT = "checkpoint.safetensors"
COLUMNS = ("step", "loss", "learning_rate")
IGNORED = -100


def tune_lora(
    manifest: Path,
    local_tokens: Path,
    adapter: Path,
    adapter_config: Path,
    loss: Path,
    config: LoraConfig,
    mask: MaskConfig,
    llm: LlmConfig,
    seed: int,
    runtime: Runtime,
    scratch: Path,
) -> None:
    """Writes the adapter, in peft's format, and the loss by step. A killed run goes on from its last checkpoint.

    Raises ArtifactError for a training picture without tokens, ConfigError for targets that the model has not, and
    ModelError if the loss diverges or a map exceeds the context.
    """
    image_ids, maps = read_training_maps(manifest, local_tokens)
    language_model = load_llm(llm, runtime)
    prompt = MaskedPrompt.make(language_model, mask.text)
    length = len(training_sequence(prompt, maps[0], np.zeros(len(maps[0]), dtype=bool))[0])
    if length > language_model.max_context:
        raise ModelError(
            f"masked: a map twice, {length} tokens, exceeds the LLM's context of {language_model.max_context}"
        )
    model = add_adapter(language_model, config, llm.source, seed)
    curves = Curves(COLUMNS)
    optimiser = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), weight_decay=0.0)
    state = TrainingState({"lora": model}, {"lora": optimiser}, curves)
    start = load_checkpoint(scratch / CHECKPOINT, state)
    with Progress("LoRA", config.steps, "steps", done=start) as progress:
        for step in range(start, config.steps):
            rate = config.learning_rate * learning_rate_factor(step, config.warmup_steps, config.steps)
            sequences = batch(step, image_ids, maps, prompt, mask.share, config.batch_size, seed)
            value = take_step(model, optimiser, *sequences, rate)
            if not math.isfinite(value):
                raise ModelError(f"tune-lora: expected a finite loss, found {value} at step {step}")
            curves.add({"step": step, "loss": value, "learning_rate": rate})
            if (step + 1) % config.checkpoint_steps == 0:
                save_checkpoint(scratch / CHECKPOINT, state, step + 1)
            progress.advance(1, f"loss {value:.3f}")
    write_adapter(model, adapter, adapter_config)
    curves.write(loss)


def read_training_maps(manifest: Path, local_tokens: Path) -> tuple[list[str], np.ndarray]:
    """The training pictures' ids and their maps [N, h*w]. Raises ArtifactError if there is none, or one has no map."""
    image_ids = training_rows(read_manifest(manifest))["image_id"].tolist()
    stored = read_rows(local_tokens, ["image_id", "local_ids"]).set_index("image_id")["local_ids"]
    if absent := [image_id for image_id in image_ids if image_id not in stored.index]:
        raise ArtifactError(f"{local_tokens}: expected local tokens of training picture {absent[0]}, found none")
    if not image_ids:
        raise ArtifactError(f"{manifest}: column split: expected some rows with train, found none")
    maps = np.stack(stored.loc[image_ids].tolist()).astype(np.int64)
    if math.isqrt(maps.shape[1]) ** 2 != maps.shape[1]:
        raise ArtifactError(f"{local_tokens}: local_ids: expected square maps, found {maps.shape[1]} tokens a picture")
    return image_ids, maps


def add_adapter(llm: Llm, config: LoraConfig, source: str, seed: int) -> peft.PeftModel:
    """The LLM with a fresh adapter, the only part that is trained. Raises ConfigError for unknown targets."""
    lora = peft.LoraConfig(
        r=config.rank, lora_alpha=config.alpha, lora_dropout=config.dropout, target_modules=sorted(config.targets),
        task_type="CAUSAL_LM",
    )  # fmt: skip
    names = {name.rpartition(".")[2] for name, _ in llm.model.named_modules()}
    if unknown := sorted(set(config.targets) - names):
        raise ConfigError(f"masked.lora.targets: the LLM has no module of the name {', '.join(unknown)}")
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(derive_seed(seed, "adapter"))
        model = peft.get_peft_model(llm.model, lora)
    model.peft_config["default"].base_model_name_or_path = source
    return model.train()


def batch(
    step: int,
    image_ids: list[str],
    maps: np.ndarray,
    prompt: MaskedPrompt,
    share: float,
    batch_size: int,
    seed: int,
) -> tuple[Tensor, Tensor]:
    """Sequences and labels of a step, both [B, length] int64; mask and order depend on seed, epoch and picture."""
    sequences = []
    for position in range(step * batch_size, (step + 1) * batch_size):
        epoch, offset = divmod(position, len(maps))
        row = epoch_order(len(maps), derive_seed(seed, "lora"), epoch)[offset]
        masked = draw_mask(maps.shape[1], share, seed, "training", epoch, image_ids[row])
        sequences.append(training_sequence(prompt, maps[row], masked))
    ids, labels = zip(*sequences, strict=True)
    return torch.tensor(ids), torch.tensor(labels)


def take_step(
    model: peft.PeftModel, optimiser: torch.optim.Optimizer, ids: Tensor, labels: Tensor, learning_rate: float
) -> float:
    """One step on the mean cross-entropy over masked places; returns it."""
    for group in optimiser.param_groups:
        group["lr"] = learning_rate
    value = masked_loss(model, ids.to(model.device), labels.to(model.device))
    optimiser.zero_grad()
    value.backward()
    optimiser.step()
    return float(value.detach())


def masked_loss(model: torch.nn.Module, ids: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of every labelled id from what stands before it. ids, labels: [B, length]."""
    first = int((labels != IGNORED).any(dim=0).nonzero()[0])
    kept = labels.shape[1] - first + 1  # the logits before a label are its prediction
    logits = model(input_ids=ids, logits_to_keep=kept, use_cache=False).logits[:, :-1]
    return torch.nn.functional.cross_entropy(
        logits.flatten(0, 1).float(), labels[:, first:].flatten(), ignore_index=IGNORED
    )


def write_adapter(model: peft.PeftModel, adapter: Path, adapter_config: Path) -> None:
    """Weights as safetensors and configuration as JSON, as ``peft.PeftModel.from_pretrained`` reads them."""
    tensors = peft.get_peft_model_state_dict(model)
    save_file({name: tensors[name].contiguous().cpu() for name in sorted(tensors)}, adapter)
    content = dict(_plain(model.peft_config["default"].to_dict())) | {"inference_mode": True}
    adapter_config.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _plain(values: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        yield name, sorted(value) if isinstance(value, set) else value
