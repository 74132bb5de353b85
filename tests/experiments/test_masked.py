"""Masked restoration end to end with a random tokenizer, a random LLM and an adapter, and what is refused."""

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from v2l.artifacts import read_arrays, sha256_file, write_arrays, write_rows
from v2l.config.llm import LlmConfig
from v2l.config.masked import LoraConfig, MaskConfig, MaskedConfig
from v2l.config.tokenizer import V2LConfig
from v2l.data.images import to_tensor
from v2l.errors import ArtifactError, DataError, ModelError
from v2l.experiments.masked import fill_in, masked
from v2l.metrics.images import psnr
from v2l.models.llm import load_llm
from v2l.prompts.masked import MaskedPrompt, draw_mask
from v2l.runtime import Runtime
from v2l.tokenizer.base import Sources
from v2l.tokenizer.kinds import load_tokenizer
from v2l.tokenizer.model import LocalTokenizer
from v2l.training.lora import add_adapter, write_adapter

from ..pictures import blotches, write_manifest
from .random_llm import write_llm

NUM_PICTURES, SIZE, GRID, NUM_CODES, DIM = 6, 32, 8, 30, 5
CONDITIONS = ["before tuning", "after tuning", "masked tokens", "random tokens", "clean tokens"]
MEASURES = ["tokens_restored", "psnr", "ssim", "lpips_vgg", "lpips_alex"]
OUTPUTS = ("rows", "decisions", "examples")
CPU = torch.device("cpu")
FP32 = Runtime(CPU, torch.float32, image_batch=1, llm_batch_tokens=2048)


def save_adapter(folder: Path, llm: LlmConfig, strength: float = 3.0) -> None:
    """An adapter of random weights; of strength 0 it changes nothing."""
    folder.mkdir(exist_ok=True)
    model = add_adapter(load_llm(llm, FP32), LoraConfig(), llm.source, seed=0)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.copy_(strength * torch.randn(parameter.shape, generator=generator))
    write_adapter(model, folder / "adapter_model.safetensors", folder / "adapter_config.json")


def save_tokenizer(path: Path, num_codes: int = NUM_CODES) -> None:
    generator = torch.Generator().manual_seed(0)
    names = ("embeddings", "global_vectors")
    sources = Sources({name: torch.randn(num_codes, DIM, generator=generator) for name in names})
    sizes = {"image_size_px": SIZE, "base_channels": 16, "channel_multipliers": [1, 1, 1], "num_res_blocks": 1}
    sizes |= {"z_channels": 8, "norm_groups": 4, "cross_attention_residual": True}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        LocalTokenizer.make(V2LConfig(**sizes, code_dim=6, num_global=2), sources).save(path)


@pytest.fixture
def stage(assets: Path, tmp_path: Path, random_llm: LlmConfig) -> Callable[..., Path]:
    """Runs the stage on six pictures, three held out; keywords replace files and sections. Returns its folder."""
    generator = np.random.default_rng(0)
    manifest = write_manifest(tmp_path, blotches(generator, NUM_PICTURES))
    for name, limit, count in (("global", 7, 3), ("local", NUM_CODES, GRID**2)):
        ids = list(generator.integers(0, limit, (NUM_PICTURES, count)))
        table = pd.DataFrame({"image_id": manifest["image_id"], f"{name}_ids": ids})
        write_rows(tmp_path / f"{name}.parquet", table.iloc[::-1])
    write_arrays(tmp_path / "global.safetensors", {"codebook": generator.standard_normal((7, DIM), np.float32)})
    save_tokenizer(tmp_path / "tokenizer.safetensors")
    save_adapter(tmp_path / "adapter", random_llm)

    def run(budget: int = 2048, config: MaskedConfig | None = None, adapter: str = "adapter", **changes) -> Path:
        arguments = {
            "manifest": tmp_path / "manifest.parquet",
            "local_tokens": tmp_path / "local.parquet",
            "global_tokens": tmp_path / "global.parquet",
            "global_vectors": tmp_path / "global.safetensors",
            "tokenizer": tmp_path / "tokenizer.safetensors",
            "networks": assets / "networks/manifest.json",
            "adapter": tmp_path / adapter / "adapter_model.safetensors",
            "adapter_config": tmp_path / adapter / "adapter_config.json",
            **{name: tmp_path / f"{name}.parquet" for name in OUTPUTS},
            "config": config or MaskedConfig(),
            "llm": random_llm,
            "seed": 0,
            "runtime": Runtime(CPU, torch.float32, image_batch=4, llm_batch_tokens=budget),
        }
        masked(**{**arguments, **changes})
        return tmp_path

    return run


def local_ids(folder: Path, image_id: str) -> np.ndarray:
    return pd.read_parquet(folder / "local.parquet").set_index("image_id").loc[image_id, "local_ids"].copy()


def decode(folder: Path, image_id: str, ids: np.ndarray, zeroed: np.ndarray | None = None) -> torch.Tensor:
    """A map [h*w] decoded with the picture's own global tokens, [3, H, W]; features at the places ``zeroed`` are 0."""
    model = load_tokenizer(folder / "tokenizer.safetensors")
    tokens = pd.read_parquet(folder / "global.parquet").set_index("image_id").loc[image_id, "global_ids"]
    codebook = torch.from_numpy(read_arrays(folder / "global.safetensors", ["codebook"])["codebook"])
    with torch.inference_mode():
        features = model.features_of(torch.from_numpy(ids)[None])
        for place in [] if zeroed is None else zeroed:
            features[0, :, place // GRID, place % GRID] = 0
        return model.decode(features, codebook[tokens[:2].copy()][None])[0].clamp(0, 1)


def original(folder: Path, index: int) -> np.ndarray:
    return np.asarray(Image.open(folder / f"{index}.png").resize((SIZE, SIZE), Image.Resampling.BICUBIC))


def test_rows_measure_the_maps_that_the_decisions_make(stage, tmp_path: Path):
    stage()
    rows, decisions = (pd.read_parquet(tmp_path / f"{name}.parquet") for name in ("rows", "decisions"))
    assert list(rows.columns) == ["image_id", "condition", *MEASURES]
    keys = rows[["condition", "image_id"]].itertuples(index=False, name=None)
    assert list(keys) == [(condition, f"set/{i}") for condition in CONDITIONS for i in (1, 3, 5)]
    rows = rows.set_index(["condition", "image_id"])
    columns = ["image_id", "condition", "positions", "prediction", "target", "correct"]
    assert list(decisions.columns) == columns
    assert len(decisions) == 2 * 3
    for decision in decisions.to_dict("records"):
        image_id, places = decision["image_id"], decision["positions"]
        clean = local_ids(tmp_path, image_id)
        assert len(places) == round(0.3 * GRID**2)
        assert (np.diff(places) > 0).all()
        assert (decision["target"] == clean[places]).all()
        assert (decision["prediction"] < NUM_CODES).all()
        assert decision["correct"] == (decision["prediction"] == decision["target"]).sum()
        filled = clean.copy()
        filled[places] = decision["prediction"]
        maps = {decision["condition"]: (filled, None), "clean tokens": (clean, None), "masked tokens": (clean, places)}
        picture = to_tensor(original(tmp_path, int(image_id[-1]))[None])
        for condition, (ids, zeroed) in maps.items():
            row = rows.loc[condition, image_id]
            expected = psnr(decode(tmp_path, image_id, ids, zeroed)[None], picture, "rgb")
            assert row["psnr"] == pytest.approx(float(expected), abs=1e-3)  # passes of another size
        row = rows.loc[decision["condition"], image_id]
        assert row["tokens_restored"] == pytest.approx(decision["correct"] / len(places))
    assert (rows.loc["clean tokens", "tokens_restored"] == 1).all()
    assert rows.loc["masked tokens", "tokens_restored"].isna().all()
    # A random id of 30 is right once in 30; 57 places in all, of which more than 10 has a chance of one in 10,000.
    assert rows.loc["random tokens", "tokens_restored"].mean() < 10 / 57
    assert rows.drop(columns="tokens_restored").notna().all(axis=None)


def test_examples_are_the_picture_and_what_each_condition_decodes_to(stage, tmp_path: Path):
    stage(config=MaskedConfig(num_examples=2))
    examples = pd.read_parquet(tmp_path / "examples.parquet")
    assert list(examples.columns) == ["image_id", "class_name", "original", "masked", "before", "after", "clean"]
    assert examples["image_id"].tolist() == ["set/1", "set/5"]
    assert examples["class_name"].tolist() == ["name 1", "name 5"]
    decisions = pd.read_parquet(tmp_path / "decisions.parquet").set_index(["condition", "image_id"])
    clean, after = local_ids(tmp_path, "set/5"), decisions.loc["after tuning", "set/5"]
    before = decisions.loc["before tuning", "set/5"]
    maps = {"clean": clean, "masked": clean, "before": clean.copy(), "after": clean.copy()}
    maps["before"][before["positions"]] = before["prediction"]
    maps["after"][after["positions"]] = after["prediction"]
    stored = {name: np.asarray(Image.open(io.BytesIO(examples[name][1]))) for name in ("original", *maps)}
    assert (stored["original"] == original(tmp_path, 5)).all()
    for name, ids in maps.items():
        zeroed = after["positions"] if name == "masked" else None
        expected = decode(tmp_path, "set/5", ids, zeroed).permute(1, 2, 0).numpy() * 255
        np.testing.assert_allclose(stored[name], expected, atol=0.6)  # rounded to 8 bits


@pytest.mark.parametrize("limit", [NUM_CODES, 49_152])
def test_masked_places_are_filled_greedily_from_left_to_right(random_llm: LlmConfig, limit: int):
    """Oracle: a pass over the whole sequence so far for every masked place."""
    language_model = load_llm(random_llm, FP32)
    maps = np.random.default_rng(0).integers(0, NUM_CODES, (3, GRID**2))
    holes = np.stack([draw_mask(GRID**2, 0.3, 0, row) for row in range(3)])
    holes[1], holes[2] = True, np.arange(GRID**2) < 1  # all, and the first alone
    filled = fill_in(language_model, list("abc"), maps, holes, "_", limit, "test")
    assert (filled[~holes] == maps[~holes]).all()
    assert (filled < limit).all()
    prompt = MaskedPrompt.make(language_model, "_")
    for ids, missing, found in zip(maps, holes, filled, strict=True):
        answer: list[int] = []
        for given, open_ in zip(ids.tolist(), missing, strict=True):
            sequence = [i for segment in prompt.segments(ids, missing) for i in segment] + answer
            with torch.no_grad():
                logits = language_model.model(input_ids=torch.tensor([sequence])).logits[0, -1, :limit]
            answer.append(int(logits.argmax()) if open_ else given)
        assert found.tolist() == answer


def test_masked_ids_are_not_shown_to_the_llm(random_llm: LlmConfig):
    language_model = load_llm(random_llm, FP32)
    maps = np.random.default_rng(0).integers(0, NUM_CODES, (2, GRID**2))
    holes = np.stack([draw_mask(GRID**2, 0.3, 0, row) for row in range(2)])
    changed = np.where(holes, (maps + 1) % NUM_CODES, maps)
    filled = [fill_in(language_model, list("ab"), ids, holes, "_", NUM_CODES, "test") for ids in (maps, changed)]
    assert (filled[0] == filled[1]).all()


def test_the_adapter_changes_what_comes_after_tuning_alone(stage, tmp_path: Path, random_llm: LlmConfig):
    save_adapter(tmp_path / "none", random_llm, strength=0.0)
    tables = []
    for adapter in ("adapter", "none"):
        stage(adapter=adapter)
        decisions = pd.read_parquet(tmp_path / "decisions.parquet").set_index(["condition", "image_id"])
        tables.append(decisions["prediction"].map(list))
    assert (tables[0]["before tuning"] == tables[1]["before tuning"]).all()
    assert (tables[1]["after tuning"] == tables[1]["before tuning"]).all()
    assert (tables[0]["after tuning"] != tables[0]["before tuning"]).all()


def test_batch_sizes_change_no_byte(stage):
    hashes = set()
    for budget in (1, 100_000):
        folder = stage(budget=budget)
        hashes.add(tuple(sha256_file(folder / f"{name}.parquet") for name in OUTPUTS))
    assert len(hashes) == 1


def test_order_and_number_of_pictures_change_no_row(stage, tmp_path: Path):
    keys = {"rows": ["condition", "image_id"], "decisions": ["condition", "image_id"]}

    def table(name: str) -> pd.DataFrame:
        return pd.read_parquet(tmp_path / f"{name}.parquet").set_index(keys[name]).sort_index()

    stage()
    before = {name: table(name) for name in keys}
    write_rows(tmp_path / "turned.parquet", pd.read_parquet(tmp_path / "manifest.parquet").iloc[::-1])
    stage(config=MaskedConfig(max_images=2), manifest=tmp_path / "turned.parquet")
    for name in keys:
        few = table(name)
        assert set(few.index.get_level_values("image_id")) == {"set/1", "set/5"}
        pd.testing.assert_frame_equal(few, before[name].loc[few.index], check_exact=True)


def test_an_adapter_of_another_model_is_refused(stage, assets: Path, tmp_path: Path):
    def refused(match: str, adapter: str) -> None:
        with pytest.raises(ModelError, match=match) as caught:
            stage(adapter=adapter)
        assert "\n" not in str(caught.value)

    wide = write_llm(tmp_path / "wide", assets, hidden_size=32, num_layers=1)
    save_adapter(tmp_path / "other", wide)
    refused(r"other: no LoRA adapter for this model \(.*size mismatch", "other")
    deep = write_llm(tmp_path / "deep", assets, hidden_size=16, num_layers=2)
    save_adapter(tmp_path / "other", deep)
    refused(r"other: no LoRA adapter for this model \(only one of the two has .*layers\.1\..*\)", "other")
    shutil.copytree(tmp_path / "adapter", tmp_path / "part")
    weights = load_file(tmp_path / "part/adapter_model.safetensors")
    weights.pop(next(iter(weights)))
    save_file(weights, tmp_path / "part/adapter_model.safetensors")
    refused(r"part: no LoRA adapter for this model \(only one of the two has .*layers\.0\..*\)", "part")


def test_an_adapter_that_is_none_is_refused(stage, tmp_path: Path):
    with pytest.raises(ArtifactError, match=r"expected adapter_model\.safetensors and adapter_config\.json of one"):
        stage(adapter_config=tmp_path / "adapter_config.json")
    (tmp_path / "adapter/adapter_model.safetensors").write_bytes(b"short")
    with pytest.raises(ArtifactError, match=r"adapter_model\.safetensors: not a readable safetensors file"):
        stage()
    save_file({}, tmp_path / "adapter/adapter_model.safetensors")
    (tmp_path / "adapter/adapter_config.json").write_text(json.dumps({"r": 4}))
    with pytest.raises(ModelError, match="adapter: no LoRA adapter for this model") as caught:
        stage()
    assert "\n" not in str(caught.value)


def test_inputs_that_do_not_fit_are_named(stage, tmp_path: Path, random_llm: LlmConfig):
    tokens = pd.read_parquet(tmp_path / "local.parquet")
    write_rows(tmp_path / "other.parquet", tokens[tokens["image_id"] != "set/5"])
    with pytest.raises(ArtifactError, match=r"other\.parquet: expected 64 local ids of set/5, found 0"):
        stage(local_tokens=tmp_path / "other.parquet")
    write_rows(tmp_path / "other.parquet", tokens.assign(local_ids=tokens["local_ids"].map(lambda ids: ids[:49])))
    with pytest.raises(ArtifactError, match=r"other\.parquet: expected 64 local ids of set/1, found 49"):
        stage(local_tokens=tmp_path / "other.parquet")
    save_tokenizer(tmp_path / "large.safetensors", num_codes=49_153)
    with pytest.raises(ArtifactError, match=r"large\.safetensors: expected ids of the 49152 tokens of .*, found 49153"):
        stage(tokenizer=tmp_path / "large.safetensors")
    with pytest.raises(ModelError, match=r"masked: set/1: \d+ tokens and an answer of up to 64 exceed the LLM"):
        stage(llm=LlmConfig(source=random_llm.source, max_context=100))
    write_rows(tmp_path / "other.parquet", pd.read_parquet(tmp_path / "manifest.parquet").assign(split="train"))
    with pytest.raises(DataError, match=r"other\.parquet: column split: expected some rows with heldout, found none"):
        stage(manifest=tmp_path / "other.parquet")


def test_another_share_masks_as_many(stage, tmp_path: Path):
    stage(config=MaskedConfig(mask=MaskConfig(share=0.5, text=" mask"), num_examples=0))
    assert pd.read_parquet(tmp_path / "decisions.parquet")["positions"].map(len).eq(GRID**2 // 2).all()
    assert pd.read_parquet(tmp_path / "examples.parquet").empty
