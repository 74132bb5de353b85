"""The stage end to end with random tokenizers of every kind and a random LLM, and what it refuses."""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from v2l.artifacts import read_arrays, sha256_file, write_arrays, write_rows
from v2l.config.frechet import FrechetConfig
from v2l.config.llm import LlmConfig
from v2l.config.restore import Region, RestoreProtocol, RestoreRun
from v2l.config.tokenizer import LqaeConfig, SpaeConfig, V2LConfig, VqGanConfig
from v2l.data.degradations import blurred
from v2l.data.images import to_tensor
from v2l.errors import ArtifactError, ConfigError, DataError, ModelError
from v2l.experiments.restore import restore
from v2l.experiments.restore_inputs import prepare
from v2l.experiments.windows import Restorer, draw_variants
from v2l.metrics.images import psnr
from v2l.models.llm import load_llm
from v2l.runtime import Runtime
from v2l.seeds import numpy_generator
from v2l.tokenizer.base import ImageTokenizer, Sources
from v2l.tokenizer.kinds import KINDS, load_tokenizer
from v2l.tokenizer.local_tokens import encode_pictures

from ..parts import assert_parts_make_the_whole
from ..pictures import blotches, write_manifest

NUM_PICTURES, SIZE, GRID, NUM_CODES, DIM = 6, 32, 8, 30, 5
SIZES = {"image_size_px": SIZE, "base_channels": 16, "channel_multipliers": [1, 1, 1], "num_res_blocks": 1}
SIZES |= {"z_channels": 8, "norm_groups": 4, "cross_attention_residual": True}
CONFIGS = {
    "v2l": V2LConfig(**SIZES, code_dim=6, num_global=2),
    "vqgan": VqGanConfig(**SIZES, num_codes=NUM_CODES, code_dim=6),
    "lqae": LqaeConfig(**SIZES),
    "spae": SpaeConfig(**SIZES, levels=[1, 2, 4, 8]),
}
PROTOCOL = {"num_before": 4, "replaced": [0.5, 0.25]}
TASKS = ["inpainting", "outpainting", "deblurring", "rotation", "shift"]
CONDITIONS = ["restored", "degraded tokens", "random tokens", "clean tokens"]
NUM_WINDOWS = {"inpainting": 8, "outpainting": 16, "deblurring": 32, "rotation": 32, "shift": 32}
CPU = torch.device("cpu")


def save_tokenizer(kind: str, path: Path, num_codes: int = NUM_CODES) -> None:
    generator = torch.Generator().manual_seed(0)
    names = ("embeddings", "llm_embeddings", "global_vectors")
    sources = Sources({name: torch.randn(num_codes, DIM, generator=generator) for name in names})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        KINDS[kind].make(CONFIGS[kind], sources).save(path)


@pytest.fixture
def inputs(assets: Path, tmp_path: Path) -> dict[str, Path]:
    """Six pictures, three held out, and what goes with them; `stage` adds the tokenizer."""
    generator = np.random.default_rng(0)
    manifest = write_manifest(tmp_path, blotches(generator, NUM_PICTURES))
    tokens = {"image_id": manifest["image_id"], "global_ids": generator.integers(0, 7, (NUM_PICTURES, 3)).tolist()}
    write_rows(tmp_path / "tokens.parquet", pd.DataFrame(tokens).iloc[::-1])
    write_arrays(tmp_path / "global.safetensors", {"codebook": generator.standard_normal((7, DIM), np.float32)})
    return {
        "manifest": tmp_path / "manifest.parquet",
        "tokenizer": tmp_path / "v2l.safetensors",
        "global_tokens": tmp_path / "tokens.parquet",
        "global_vectors": tmp_path / "global.safetensors",
        "networks": assets / "networks/manifest.json",
    }


@pytest.fixture
def stage(inputs: dict[str, Path], tmp_path: Path, random_llm: LlmConfig) -> Callable[..., Path]:
    """Runs the stage; keywords replace files and sections. Returns its folder."""

    def run(kind: str = "v2l", budget: int = 4096, images: int = 4, **changes: object) -> Path:
        save_tokenizer(kind, tmp_path / f"{kind}.safetensors")
        outputs = {"rows": "parquet", "decisions": "parquet", "features": "safetensors", "examples": "parquet"}
        arguments = {
            **inputs,
            "tokenizer": tmp_path / f"{kind}.safetensors",
            **{key: tmp_path / f"{key}.{suffix}" for key, suffix in outputs.items()},
            "config": RestoreProtocol(**PROTOCOL),
            "frechet": FrechetConfig(),
            "llm": random_llm,
            "run": RestoreRun(tokenizer=kind),
            "name": f"my_{kind}",
            "seed": 0,
            "runtime": Runtime(CPU, torch.float32, image_batch=images, llm_batch_tokens=budget),
        }
        restore(**{**arguments, **changes})
        return tmp_path

    return run


def picture(folder: Path, index: int, size: int = SIZE) -> np.ndarray:
    return np.asarray(Image.open(folder / f"{index}.png").resize((size, size), Image.Resampling.BICUBIC))


def pair(folder: Path, task: str, index: int) -> tuple[np.ndarray, np.ndarray]:
    """The clean and the degraded picture of a task, made anew."""
    clean = picture(folder, index)
    if task == "shift":
        return picture(folder, index, 40)[4:36, 4:36], picture(folder, index, 40)[8:, 8:]
    if task == "deblurring":
        return clean, blurred(clean, [5, 7, 9, 11], numpy_generator(0, "blur", f"set/{index}"))
    if task == "rotation":
        return clean, np.rot90(clean)
    degraded = clean.copy()
    degraded[(slice(8, 24), slice(8, 24)) if task == "inpainting" else slice(16, 32)] = 128
    return clean, degraded


def decode(folder: Path, model: ImageTokenizer, ids: np.ndarray, index: int) -> torch.Tensor:
    """Ids [num_tokens] of a picture decoded with its own global tokens, [1, 3, H, W]."""
    vectors = None
    if count := model.config.num_global:
        tokens = pd.read_parquet(folder / "tokens.parquet").set_index("image_id").loc[f"set/{index}", "global_ids"]
        codebook = torch.from_numpy(read_arrays(folder / "global.safetensors", ["codebook"])["codebook"])
        vectors = codebook[tokens[:count].copy()][None]
    with torch.inference_mode():
        return model.decode_ids(torch.from_numpy(ids)[None], vectors).clamp(0, 1)


@pytest.mark.parametrize(
    ("kind", "tasks"), [("v2l", TASKS), *((kind, ["inpainting", "shift"]) for kind in KINDS if kind != "v2l")]
)
def test_rows_measure_the_maps_that_decisions_and_degraded_pictures_make(
    kind: str, tasks: list[str], stage, tmp_path: Path
) -> None:
    stage(kind, config=RestoreProtocol(**PROTOCOL, tasks=tasks))
    rows = pd.read_parquet(tmp_path / "rows.parquet")
    measures = ["tokens_restored", "psnr", "ssim", "lpips_vgg", "lpips_alex"]
    assert list(rows.columns) == ["image_id", "tokenizer", "task", "condition", *measures]
    keys = rows[["image_id", "task", "condition"]].itertuples(index=False, name=None)
    assert list(keys) == [(f"set/{i}", t, c) for i in (1, 3, 5) for t in tasks for c in CONDITIONS]
    decisions = pd.read_parquet(tmp_path / "decisions.parquet")
    keys = decisions[["image_id", "task"]].drop_duplicates().itertuples(index=False, name=None)
    assert list(keys) == [(f"set/{i}", t) for i in (1, 3, 5) for t in tasks]
    assert (rows["tokenizer"] == f"my_{kind}").all()
    assert (decisions["tokenizer"] == f"my_{kind}").all()
    model = load_tokenizer(tmp_path / f"{kind}.safetensors")
    by_key = rows.set_index(["task", "condition", "image_id"])
    for task in tasks:
        clean, degraded = pair(tmp_path, task, 5)
        ids, degraded_ids = encode_pictures(model, np.stack([clean, degraded]), CPU)
        mine = decisions[(decisions["task"] == task) & (decisions["image_id"] == "set/5")]
        assert mine["window"].tolist() == list(range(NUM_WINDOWS[task]))
        places = np.concatenate(mine["positions"].to_list())
        start = model.num_tokens - GRID**2
        assert (np.concatenate(mine["target"].to_list()) == ids[start:][places]).all()
        maps = {condition: ids.copy() for condition in CONDITIONS}
        maps["restored"][start + places] = np.concatenate(mine["prediction"].to_list())
        maps["degraded tokens"][start + places] = degraded_ids[start + places]
        for condition in ("restored", "degraded tokens", "clean tokens"):
            row = by_key.loc[task, condition, "set/5"]
            equal = (maps[condition] == ids)[start:][places]
            assert row["tokens_restored"] == pytest.approx(equal.mean())
            expected = psnr(decode(tmp_path, model, maps[condition], 5), to_tensor(clean[None]), "rgb")
            assert row["psnr"] == pytest.approx(float(expected), abs=1e-3)
        share = by_key.loc[task, "restored", "set/5"]["tokens_restored"]
        assert mine["correct"].sum() == pytest.approx(share * len(places))
    assert (by_key.xs("clean tokens", level=1)["tokens_restored"] == 1).all()
    # A random id of 30 is right once in 30; nine standard deviations above that for the fewest places, 16.
    assert (by_key.xs("random tokens", level=1)["tokens_restored"] < 0.45).all()
    features = read_arrays(tmp_path / "features.safetensors", [])
    assert sorted(features) == sorted(f"{t}/{c}" for t in tasks for c in ("original", *CONDITIONS))
    assert all(array.shape == (3, 512) for array in features.values())


def test_examples_are_the_picture_and_what_its_maps_decode_to(stage, tmp_path: Path) -> None:
    stage(config=RestoreProtocol(**PROTOCOL, tasks=["rotation", "shift"]))
    examples = pd.read_parquet(tmp_path / "examples.parquet")
    assert set(examples.columns) == {"image_id", "class_name", "task", "original", "clean", "degraded", "restored"}
    assert examples["image_id"].tolist() == ["set/1", "set/1", "set/5", "set/5"]
    assert examples["class_name"].tolist() == ["name 1", "name 1", "name 5", "name 5"]
    assert examples["task"].tolist() == ["rotation", "shift"] * 2
    model = load_tokenizer(tmp_path / "v2l.safetensors")
    for row, task in ((2, "rotation"), (3, "shift")):
        pictures = pair(tmp_path, task, 5)
        stored = {c: np.asarray(Image.open(io.BytesIO(examples[c][row]))) for c in ("original", "clean", "degraded")}
        assert (stored["original"] == pictures[0]).all()
        for name, ids in zip(("clean", "degraded"), encode_pictures(model, np.stack(pictures), CPU), strict=True):
            expected = decode(tmp_path, model, ids, 5)[0].permute(1, 2, 0).numpy() * 255
            np.testing.assert_allclose(stored[name], expected, atol=0.6)  # rounded to 8 bits


def test_no_example_may_be_asked_for(stage, tmp_path: Path) -> None:
    stage(config=RestoreProtocol(**PROTOCOL, tasks=["inpainting"], num_examples=0))
    assert pd.read_parquet(tmp_path / "examples.parquet").empty


def test_batch_sizes_change_no_byte(stage) -> None:
    config = RestoreProtocol(**PROTOCOL, tasks=["outpainting", "rotation"])
    hashes = set()
    for budget, images in ((1, 1), (100_000, 16)):
        folder = stage(config=config, budget=budget, images=images)
        names = ("rows.parquet", "decisions.parquet", "features.safetensors", "examples.parquet")
        hashes.add(tuple(sha256_file(folder / name) for name in names))
    assert len(hashes) == 1


@pytest.mark.parametrize("num_examples", [0, 2])
def test_parts_make_the_whole(inputs, tmp_path: Path, random_llm: LlmConfig, num_examples: int) -> None:
    """Of three pictures, so that some parts have none, and some none that is shown."""
    save_tokenizer("v2l", inputs["tokenizer"])
    protocol = RestoreProtocol(**PROTOCOL, tasks=["inpainting", "shift"], num_examples=num_examples)
    sections = {"restore.protocol": protocol, "llm": random_llm, "precision": "bf16"}
    whole = assert_parts_make_the_whole("restore", sections, inputs, tmp_path, options={"name": "v2l"})
    assert len(pd.read_parquet(whole["rows"])) == 3 * 2 * len(CONDITIONS)


def test_order_and_number_of_pictures_change_no_row(stage, tmp_path: Path) -> None:
    config = RestoreProtocol(**PROTOCOL, tasks=["inpainting", "deblurring"], max_images=2)

    def table(name: str, keys: list[str]) -> pd.DataFrame:
        return pd.read_parquet(tmp_path / name).set_index(keys).sort_index()

    keys = {"rows.parquet": ["task", "condition", "image_id"], "decisions.parquet": ["task", "image_id", "window"]}
    stage(config=config.model_copy(update={"max_images": None}))
    before = {name: table(name, key) for name, key in keys.items()}
    write_rows(tmp_path / "turned.parquet", pd.read_parquet(tmp_path / "manifest.parquet").iloc[::-1])
    stage(config=config, manifest=tmp_path / "turned.parquet")
    for name, key in keys.items():
        few = table(name, key)
        assert set(few.index.get_level_values("image_id")) == {"set/1", "set/5"}
        pd.testing.assert_frame_equal(few, before[name].loc[few.index], check_exact=True)


def test_a_window_is_asked_for_in_the_protocols_words(stage, tmp_path: Path, random_llm: LlmConfig) -> None:
    config = RestoreProtocol(**PROTOCOL, tasks=["deblurring"])
    stage(config=config)
    (row,) = (
        pd.read_parquet(tmp_path / "decisions.parquet").query("image_id == 'set/5' and window == 9").to_dict("records")
    )
    assert row["positions"].tolist() == [18, 19]
    model = load_tokenizer(tmp_path / "v2l.safetensors")
    chosen = pd.DataFrame({"image_id": ["set/5"], "path": ["5.png"]})
    (job,) = prepare("deblurring", chosen, tmp_path / "manifest.parquet", model, config, 0, CPU).jobs
    language_model = load_llm(random_llm, Runtime(CPU, torch.float32, image_batch=1, llm_batch_tokens=64))
    variants = draw_variants(job, config, NUM_CODES, seed=0)
    request = Restorer(language_model, config, GRID, NUM_CODES, seed=0).request(job, variants, (18, 19), job.degraded)
    prompt = np.array([i for segment in request.segments for i in segment], dtype=np.int64)
    assert row["num_prompt_tokens"] == len(prompt)
    assert row["prompt_sha256"] == hashlib.sha256(prompt.tobytes()).hexdigest()

    def spelt(ids: np.ndarray) -> str:
        return "".join(language_model.token_texts[i] for i in ids)

    expected = "Learning a new language and predict the 2 tokens following the examples.\n"
    for seen, clean in zip(variants.degraded, variants.clean, strict=True):
        expected += f"###\nInput: < {spelt(seen[14:20])} >\nOutput: {spelt(clean[18:20])}\n"
    expected += f"###\nInput: < {spelt(job.degraded[14:20])} >\nOutput: "
    assert language_model.decode([prompt.tolist()]) == [expected]


def test_a_protocol_that_does_not_fit_is_refused_in_one_line(stage) -> None:
    def refused(match: str, **changes: object) -> None:
        with pytest.raises(ConfigError, match=match) as caught:
            stage(config=RestoreProtocol(**{**PROTOCOL, **changes}), llm=LlmConfig(source="unused"))
        assert "\n" not in str(caught.value)

    refused(r"restore\.protocol: num_before and num_predicted must fit .* 8 x 8, found 64 and 2", num_before=64)
    refused(r"restore\.protocol: num_predicted must divide the 4 tokens that inpainting .*, found 3", num_predicted=3)
    mask = Region(top=4, left=4, height=2, width=6)
    refused(
        r"restore\.protocol: outpainting: expected a mask within the token map of 8 x 8, "
        r"found top=4 left=4 height=2 width=6",
        outpainting=mask,
    )
    refused(r"blur_kernels: expected sides below twice the picture's 32 px, found 65", blur_kernels=[65])


def test_inputs_that_do_not_fit_are_named(stage, tmp_path: Path, random_llm: LlmConfig) -> None:
    save_tokenizer("lqae", tmp_path / "large.safetensors", num_codes=49_153)
    with pytest.raises(ArtifactError, match=r"large\.safetensors: expected ids of the 49152 tokens of .*, found 49153"):
        stage(tokenizer=tmp_path / "large.safetensors")
    short = LlmConfig(source=random_llm.source, max_context=60)
    with pytest.raises(ModelError, match=r"restore: inpainting of set/1, window at 18: \d+ tokens .* context of 60"):
        stage(llm=short)
    tokens = pd.read_parquet(tmp_path / "tokens.parquet")
    write_rows(tmp_path / "other.parquet", tokens[tokens["image_id"] != "set/5"])
    with pytest.raises(ArtifactError, match=r"other\.parquet: expected 2 or more global ids of set/5, found 0"):
        stage(global_tokens=tmp_path / "other.parquet")
    write_rows(tmp_path / "other.parquet", pd.read_parquet(tmp_path / "manifest.parquet").assign(split="train"))
    with pytest.raises(DataError, match=r"other\.parquet: column split: expected some rows with heldout, found none"):
        stage(manifest=tmp_path / "other.parquet")
