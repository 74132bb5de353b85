"""Stage ``tune-lora``: tunes the LLM with LoRA to fill in masked tokens (paper, Figure 8)."""

import json
import logging
import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import peft
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from v2l.artifacts import read_rows
from v2l.config.llm import LlmConfig
from v2l.config.masked import LoraConfig, MaskConfig
from v2l.data.manifest import read_manifest, training_rows
from v2l.errors import ArtifactError, ConfigError, DataError, ModelError
from v2l.models.llm import Llm, load_llm
from v2l.progress import Progress
from v2l.prompts.masked import IGNORED, MaskedPrompt, draw_mask, training_sequence
from v2l.runtime import Runtime
from v2l.seeds import derive_seed
from v2l.training.checkpoint import TrainingState, load_checkpoint, save_checkpoint
from v2l.training.curves import Curves
from v2l.training.pictures import epoch_order
from v2l.training.schedule import learning_rate_factor
from v2l.training.stopping import StoppedError, stop_request

CHECKPOINT = "checkpoint.safetensors"
COLUMNS = ("step", "loss", "learning_rate")

logger = logging.getLogger(__name__)


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

    Raises ArtifactError for a training picture without tokens, ConfigError for targets that the model has not,
    ModelError if the loss diverges or a map exceeds the context, and StoppedError after SIGTERM, with a checkpoint.
    """
    image_ids, maps = read_training_maps(manifest, local_tokens)
    language_model = load_llm(llm, runtime)
    prompt = MaskedPrompt.make(language_model, mask.text)
    check_maps(maps, prompt, language_model, local_tokens)
    model = add_adapter(language_model, config, llm.source, seed)
    trained = nn.ParameterList(parameter for parameter in model.parameters() if parameter.requires_grad)
    optimiser = torch.optim.AdamW(trained, weight_decay=0.0)
    curves = Curves(COLUMNS)
    state = TrainingState({"lora": trained}, {"lora": optimiser}, curves)
    start = load_checkpoint(scratch / CHECKPOINT, state)
    if start:
        logger.info("tune-lora: goes on from step %d", start)
    with stop_request() as stop, Progress("LoRA", config.steps, "steps", done=start) as progress:
        for step in range(start, config.steps):
            rate = config.learning_rate * learning_rate_factor(step, config.warmup_steps, config.steps)
            sequences = batch(step, image_ids, maps, prompt, mask.share, config.batch_size, seed)
            torch.manual_seed(derive_seed(seed, "dropout", step))
            value = take_step(model, optimiser, *sequences, rate)
            if not math.isfinite(value):
                raise ModelError(f"tune-lora: expected a finite loss, found {value} at step {step}")
            curves.add({"step": step, "loss": value, "learning_rate": rate})
            stopped = stop.made and step + 1 < config.steps
            if stopped or (step + 1) % config.checkpoint_steps == 0:
                save_checkpoint(scratch / CHECKPOINT, state, step + 1)
            if stopped:
                raise StoppedError("tune-lora", step + 1)
            progress.advance(1, f"loss {value:.3f}")
    write_adapter(model, adapter, adapter_config)
    curves.write(loss)


def read_training_maps(manifest: Path, local_tokens: Path) -> tuple[list[str], np.ndarray]:
    """The training pictures' ids and their maps [N, h*w]. Raises DataError if there is none, ArtifactError
    for one without a map, or if maps are not square."""
    image_ids = training_rows(read_manifest(manifest))["image_id"].tolist()
    stored = read_rows(local_tokens, ["image_id", "local_ids"]).set_index("image_id")["local_ids"]
    if not image_ids:
        raise DataError(f"{manifest}: column split: expected some rows with train, found none")
    if absent := [image_id for image_id in image_ids if image_id not in stored.index]:
        raise ArtifactError(f"{local_tokens}: expected local tokens of training picture {absent[0]}, found none")
    lengths = stored.loc[image_ids].map(len)
    side = math.isqrt(lengths.iloc[0])
    if other := [f"{n} of {image_id}" for image_id, n in lengths.items() if n != side**2 or not n]:
        raise ArtifactError(f"{local_tokens}: local_ids: expected square maps of one size, found {other[0]}")
    return image_ids, np.stack(stored.loc[image_ids].tolist()).astype(np.int64)


def check_maps(maps: np.ndarray, prompt: MaskedPrompt, llm: Llm, origin: Path) -> None:
    """Raises ArtifactError for ids that the LLM has not, ModelError if a sequence exceeds its context."""
    if (largest := int(maps.max())) >= llm.vocab_size:
        raise ArtifactError(f"{origin}: expected ids of the LLM's {llm.vocab_size} tokens, found {largest}")
    length = len(training_sequence(prompt, maps[0], np.zeros(len(maps[0]), dtype=bool))[0])
    if length > llm.max_context:
        raise ModelError(f"masked: a map twice, {length} tokens, exceeds the LLM's context of {llm.max_context}")


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
        try:
            model = peft.get_peft_model(llm.model, lora)
        except ValueError as error:
            raise ConfigError(f"masked.lora: no adapter can be made ({str(error).splitlines()[0]})") from error
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


def masked_loss(model: nn.Module, ids: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of every labelled id from what stands before it. ids, labels: [B, length]."""
    places = (labels != IGNORED).any(dim=0).nonzero().flatten().tolist()
    # The logits before a label are its prediction; of the others there are many, and each is as wide as the vocabulary.
    before = [place - 1 for place in places]  # a tensor would have to be on the last device
    logits = model(input_ids=ids, logits_to_keep=before, use_cache=False).logits
    labels = labels[:, places]
    return nn.functional.cross_entropy(logits[labels != IGNORED].float(), labels[labels != IGNORED])


def write_adapter(model: peft.PeftModel, adapter: Path, adapter_config: Path) -> None:
    """Weights as safetensors and configuration as JSON, as ``peft.PeftModel.from_pretrained`` reads them."""
    tensors = peft.get_peft_model_state_dict(model, save_embedding_layers=False)  # "auto" would ask the hub
    save_file({name: tensors[name].contiguous().cpu() for name in sorted(tensors)}, adapter)
    content = dict(_plain(model.peft_config["default"].to_dict())) | {"inference_mode": True}
    adapter_config.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _plain(values: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        yield name, sorted(value) if isinstance(value, set) else value
