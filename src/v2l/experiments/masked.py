"""Stage ``masked``: the LLM fills in masked tokens, before and after tuning (paper, Figure 8)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from v2l.artifacts import read_rows, write_rows
from v2l.config.llm import LlmConfig
from v2l.config.masked import MaskedConfig
from v2l.data.images import load_pictures, to_tensor
from v2l.data.manifest import evenly_spaced, heldout_rows, read_manifest
from v2l.errors import ArtifactError, DataError
from v2l.experiments.measures import Measures, in_passes, measured_rows, picture_png
from v2l.models.llm import Llm, load_llm
from v2l.models.llm_decoding import FillIn
from v2l.models.llm_generation import Request
from v2l.prompts.masked import MaskedPrompt, draw_mask
from v2l.runtime import Runtime
from v2l.seeds import numpy_generator
from v2l.tokenizer.base import ImageTokenizer
from v2l.tokenizer.inputs import read_global_vectors
from v2l.tokenizer.kinds import load_tokenizer

BEFORE, AFTER, MASKED, RANDOM, CLEAN = "before tuning", "after tuning", "masked tokens", "random tokens", "clean tokens"


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
    if adapter.parent != adapter_config.parent:
        raise ArtifactError(f"{adapter_config}: expected the adapter's configuration beside {adapter}")
    model = load_tokenizer(tokenizer).to(runtime.device)
    heldout = heldout_rows(read_manifest(manifest))
    if heldout.empty:
        raise DataError(f"{manifest}: column split: expected some rows with heldout, found none")
    chosen = heldout.iloc[evenly_spaced(len(heldout), config.max_images)]
    maps = read_maps(chosen["image_id"], local_tokens, model)
    holes = np.stack([draw_mask(maps.shape[1], config.mask.share, seed, "held out", i) for i in chosen["image_id"]])
    language_model = load_llm(llm, runtime)
    filled = {CLEAN: maps, RANDOM: at_random(maps, holes, model.vocab_size, chosen["image_id"], seed)}
    filled[BEFORE] = fill_in(language_model, maps, holes, config.mask.text, model.vocab_size, BEFORE)
    tuned = language_model.with_adapter(adapter.parent)
    filled[AFTER] = fill_in(tuned, maps, holes, config.mask.text, model.vocab_size, AFTER)

    pictures = load_pictures(manifest, chosen["path"].tolist(), model.config.image_size_px)
    clean = to_tensor(pictures).to(runtime.device)
    vectors = read_global_vectors(chosen["image_id"], global_tokens, global_vectors, model.config.num_global)
    shown = {c: decode(model, ids, np.zeros_like(holes), vectors) for c, ids in filled.items()}
    shown[MASKED] = decode(model, maps, holes, vectors)
    measures = Measures.load(networks, runtime.device)
    tables = []
    for condition in (BEFORE, AFTER, MASKED, RANDOM, CLEAN):
        hits = filled[condition] == maps if condition in filled else np.full(maps.shape, np.nan)
        restored = np.where(holes, hits, 0).sum(axis=1) / holes.sum(axis=1)
        labels = {"image_id": chosen["image_id"].to_numpy(), "condition": condition, "tokens_restored": restored}
        measured = measured_rows(clean, shown[condition], measures, config.psnr_channel)
        tables.append(pd.concat([pd.DataFrame(labels), measured], axis=1))
    write_rows(rows, pd.concat(tables, ignore_index=True))
    write_rows(decisions, _decisions(chosen["image_id"], maps, filled, holes))
    write_rows(
        examples,
        [
            {
                "image_id": chosen["image_id"].iloc[i],
                "class_name": chosen["class_name"].iloc[i],
                "original": picture_png(clean[i]),
                "masked": picture_png(shown[MASKED][i]),
                "before": picture_png(shown[BEFORE][i]),
                "after": picture_png(shown[AFTER][i]),
                "clean": picture_png(shown[CLEAN][i]),
            }
            for i in evenly_spaced(len(chosen), config.num_examples)
        ],
    )


def read_maps(image_ids: Sequence[str], local_tokens: Path, model: ImageTokenizer) -> np.ndarray:
    """The maps [N, h*w] of pictures. Raises ArtifactError for one without tokens, or with another number of them."""
    stored = read_rows(local_tokens, ["image_id", "local_ids"]).set_index("image_id")["local_ids"]
    for image_id in image_ids:
        found = len(stored[image_id]) if image_id in stored.index else 0
        if found != model.num_tokens:
            raise ArtifactError(f"{local_tokens}: expected {model.num_tokens} local ids of {image_id}, found {found}")
    return np.stack([stored[image_id] for image_id in image_ids]).astype(np.int64)


def fill_in(
    llm: Llm, maps: np.ndarray, holes: np.ndarray, mask_text: str, vocab_size: int, title: str
) -> np.ndarray:  # fmt: skip
    """The maps [N, h*w] with the tokens at ``holes`` predicted, left to right and top to bottom, greedily."""
    prompt = MaskedPrompt.make(llm, mask_text)
    limit = vocab_size if vocab_size < llm.vocab_size else None
    requests = [
        Request(prompt.segments(ids, missing), FillIn(ids.tolist(), missing.tolist(), limit), f"masked: picture {i}")
        for i, (ids, missing) in enumerate(zip(maps, holes, strict=True))
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


def _decisions(
    image_ids: pd.Series, maps: np.ndarray, filled: dict[str, np.ndarray], holes: np.ndarray
) -> pd.DataFrame:  # fmt: skip
    return pd.DataFrame(
        [
            {
                "image_id": image_id,
                "condition": condition,
                "positions": np.flatnonzero(holes[row]).tolist(),
                "prediction": filled[condition][row, holes[row]].tolist(),
                "target": maps[row, holes[row]].tolist(),
                "correct": int((filled[condition][row] == maps[row])[holes[row]].sum()),
            }
            for condition in (BEFORE, AFTER)
            for row, image_id in enumerate(image_ids)
        ]
    )
