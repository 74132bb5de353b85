"""Stage ``masked``: the LLM fills in masked tokens, before and after tuning (paper, Figure 8)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from v2l.artifacts import read_rows, write_rows
from v2l.conditions import AFTER, BEFORE, CLEAN, MASKED, RANDOM
from v2l.config.llm import LlmConfig
from v2l.config.masked import MaskedConfig
from v2l.data.images import load_pictures, to_tensor
from v2l.data.manifest import evenly_spaced, heldout_rows, read_manifest
from v2l.errors import ArtifactError, DataError
from v2l.experiments.measures import Measures, in_passes, measured_rows, picture_png
from v2l.models.llm import ADAPTER_FILES, Llm, load_llm
from v2l.models.llm_decoding import FillIn
from v2l.models.llm_generation import Request
from v2l.prompts.masked import MaskedPrompt, draw_mask
from v2l.runtime import Runtime
from v2l.seeds import numpy_generator
from v2l.tokenizer.base import ImageTokenizer
from v2l.tokenizer.inputs import read_global_vectors
from v2l.tokenizer.kinds import load_tokenizer

CONDITIONS = (BEFORE, AFTER, MASKED, RANDOM, CLEAN)
PICTURED = {MASKED: "masked", BEFORE: "before", AFTER: "after", CLEAN: "clean"}  # columns of the examples


def masked(
    manifest: Path,
    local_tokens: Path,
    global_tokens: Path,
    global_vectors: Path,
    tokenizer: Path,
    networks: Path,
    adapter: Path,
    adapter_config: Path,
    rows: Path,
    decisions: Path,
    examples: Path,
    config: MaskedConfig,
    llm: LlmConfig,
    seed: int,
    runtime: Runtime,
) -> None:
    """Writes a row a picture and condition, a row of predicted ids a picture and condition, and some pictures.

    The decoder gets the picture's own global tokens. Raises ArtifactError, DataError or ModelError for inputs that do
    not fit.
    """
    folder = adapter.parent
    if [adapter, adapter_config] != [folder / name for name in ADAPTER_FILES]:
        raise ArtifactError(f"{adapter}, {adapter_config}: expected {' and '.join(ADAPTER_FILES)} of one folder")
    model = load_tokenizer(tokenizer).to(runtime.device)
    heldout = heldout_rows(read_manifest(manifest))
    if heldout.empty:
        raise DataError(f"{manifest}: column split: expected some rows with heldout, found none")
    chosen = heldout.iloc[evenly_spaced(len(heldout), config.max_images)].reset_index(drop=True)
    image_ids = chosen["image_id"].tolist()
    maps = read_maps(image_ids, local_tokens, model)
    vectors = read_global_vectors(image_ids, global_tokens, global_vectors, model.config.num_global)
    holes = np.stack([draw_mask(maps.shape[1], config.mask.share, seed, "held out", i) for i in image_ids])
    language_model = load_llm(llm, runtime)
    if model.vocab_size > language_model.vocab_size:
        raise ArtifactError(
            f"{tokenizer}: expected ids of the {language_model.vocab_size} tokens of {llm.source}, "
            f"found {model.vocab_size} codes"
        )
    task = (image_ids, maps, holes, config.mask.text, model.vocab_size)
    filled = {BEFORE: fill_in(language_model, *task, BEFORE)}
    filled[AFTER] = fill_in(language_model.with_adapter(folder), *task, AFTER)
    write_rows(decisions, decision_rows(image_ids, maps, filled, holes))
    filled |= {RANDOM: at_random(maps, holes, model.vocab_size, image_ids, seed), CLEAN: maps}

    originals = to_tensor(load_pictures(manifest, chosen["path"].tolist(), model.config.image_size_px))
    originals = originals.to(runtime.device)
    decoded = {condition: decode(model, ids, np.zeros_like(holes), vectors) for condition, ids in filled.items()}
    decoded[MASKED] = decode(model, maps, holes, vectors)
    measures = Measures.load(networks, runtime.device)
    tables = []
    for condition in CONDITIONS:
        equal = filled[condition] == maps if condition in filled else np.full(maps.shape, np.nan)
        restored = np.where(holes, equal, 0).sum(axis=1) / holes.sum(axis=1)
        labels = pd.DataFrame({"image_id": image_ids, "condition": condition, "tokens_restored": restored})
        measured = measured_rows(originals, decoded[condition], measures, config.psnr_channel)
        tables.append(pd.concat([labels, measured], axis=1))
    write_rows(rows, pd.concat(tables, ignore_index=True))

    shown = evenly_spaced(len(chosen), config.num_examples)
    table = chosen[["image_id", "class_name"]].iloc[shown].reset_index(drop=True)
    for column, pictures in {"original": originals, **{PICTURED[name]: decoded[name] for name in PICTURED}}.items():
        table[column] = [picture_png(pictures[i]) for i in shown]
    write_rows(examples, table)


def read_maps(image_ids: Sequence[str], local_tokens: Path, model: ImageTokenizer) -> np.ndarray:
    """The maps [N, h*w] of pictures. Raises ArtifactError for one without tokens, or with another number of them."""
    stored = read_rows(local_tokens, ["image_id", "local_ids"]).set_index("image_id")["local_ids"]
    for image_id in image_ids:
        found = len(stored[image_id]) if image_id in stored.index else 0
        if found != model.num_tokens:
            raise ArtifactError(f"{local_tokens}: expected {model.num_tokens} local ids of {image_id}, found {found}")
    return np.stack([stored[image_id] for image_id in image_ids]).astype(np.int64)


def fill_in(
    llm: Llm,
    image_ids: Sequence[str],
    maps: np.ndarray,
    holes: np.ndarray,
    mask_text: str,
    vocab_size: int,
    title: str,
) -> np.ndarray:
    """The maps [N, h*w] with the tokens at ``holes`` predicted, left to right and top to bottom, greedily."""
    prompt = MaskedPrompt.make(llm, mask_text)
    limit = vocab_size if vocab_size < llm.vocab_size else None
    requests = [
        Request(prompt.segments(ids, missing), FillIn(ids.tolist(), missing.tolist(), limit), f"masked: {image_id}")
        for image_id, ids, missing in zip(image_ids, maps, holes, strict=True)
    ]
    return np.array(llm.generate(requests, f"masked restoration, {title}"), dtype=np.int64)


def at_random(
    maps: np.ndarray, holes: np.ndarray, vocab_size: int, image_ids: Sequence[str], seed: int
) -> np.ndarray:  # fmt: skip
    """The floor: uniformly random ids at ``holes``."""
    filled = maps.copy()
    for row, image_id in enumerate(image_ids):
        generator = numpy_generator(seed, "masked at random", image_id)
        filled[row, holes[row]] = generator.integers(vocab_size, size=int(holes[row].sum()))
    return filled


@torch.inference_mode()
def decode(model: ImageTokenizer, maps: np.ndarray, zeroed: np.ndarray, vectors: Tensor | None) -> Tensor:
    """Pictures [N, 3, H, W] in [0, 1] of maps; features at ``zeroed`` [N, h*w] are set to 0."""
    device = next(model.parameters()).device

    def of_pass(ids: Tensor, zero: Tensor, *context: Tensor) -> Tensor:
        features = model.features_of(ids)
        features = features.masked_fill(zero.unflatten(1, features.shape[2:])[:, None], 0.0)
        return model.decode(features, *(context or (None,))).clamp(0, 1)

    stacks = [torch.from_numpy(maps), torch.from_numpy(zeroed), *([] if vectors is None else [vectors])]
    return in_passes(of_pass, *(stack.to(device) for stack in stacks))


def decision_rows(
    image_ids: Sequence[str], maps: np.ndarray, filled: dict[str, np.ndarray], holes: np.ndarray
) -> list[dict[str, object]]:
    """What was predicted: a row a condition and picture. positions: in the map, in raster order."""
    return [
        {
            "image_id": image_id,
            "condition": condition,
            "positions": np.flatnonzero(missing).tolist(),
            "prediction": predicted[missing].tolist(),
            "target": target[missing].tolist(),
            "correct": int((predicted == target)[missing].sum()),
        }
        for condition, all_predicted in filled.items()
        for image_id, target, predicted, missing in zip(image_ids, maps, all_predicted, holes, strict=True)
    ]
