"""LoRA tuning with a small random Llama: what is learnt from, what is trained, what is written."""

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import peft
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from v2l.artifacts import sha256_file, write_rows
from v2l.config.llm import LlmConfig
from v2l.config.masked import LoraConfig, MaskConfig
from v2l.data.manifest import COLUMNS as MANIFEST_COLUMNS
from v2l.errors import ArtifactError, ConfigError, DataError, ModelError
from v2l.models.llm import Llm, load_llm
from v2l.prompts.masked import IGNORED, MaskedPrompt, draw_mask, training_sequence
from v2l.runtime import Runtime
from v2l.training import lora
from v2l.training.lora import CHECKPOINT, add_adapter, batch, masked_loss, read_training_maps, take_step, tune_lora
from v2l.training.stopping import StoppedError

NUM_TRAINING, NUM_PICTURES, NUM_TOKENS = 6, 8, 16
OUTPUTS = {"adapter": "adapter_model.safetensors", "adapter_config": "adapter_config.json", "loss": "loss.csv"}
SMALL = {"rank": 2, "steps": 7, "batch_size": 2, "learning_rate": 1e-2, "warmup_steps": 2, "checkpoint_steps": 2}
FP32, BF16 = (Runtime(torch.device("cpu"), dtype, 1, llm_batch_tokens=256) for dtype in (torch.float32, torch.bfloat16))


@pytest.fixture(scope="module")
def source(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> LlmConfig:
    """A Llama with random weights, large enough to matter, its embedding its output layer; the embedded tokenizer."""
    folder = tmp_path_factory.mktemp("llm")
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sizes |= {"max_position_embeddings": 256, "initializer_range": 0.5}
        config = LlamaConfig(vocab_size=49_152, tie_word_embeddings=True, **sizes)
        LlamaForCausalLM(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(assets / "llm" / name, folder)
    return LlmConfig(source=str(folder))


@pytest.fixture
def llm(source: LlmConfig) -> Llm:
    return load_llm(source, FP32)


def write_inputs(folder: Path, maps: np.ndarray | None = None) -> dict[str, Path]:
    """Six training and two held-out pictures with maps of 4 x 4 tokens."""
    if maps is None:
        maps = np.random.default_rng(0).integers(0, 49_152, (NUM_PICTURES, NUM_TOKENS))
    image_ids = [f"set/{i}" for i in range(NUM_PICTURES)]
    splits = ["train" if i < NUM_TRAINING else "heldout" for i in range(NUM_PICTURES)]
    frame = pd.DataFrame({**dict.fromkeys(MANIFEST_COLUMNS, ""), "image_id": image_ids, "split": splits})
    write_rows(folder / "manifest.parquet", frame)
    write_rows(folder / "tokens.parquet", pd.DataFrame({"image_id": image_ids, "local_ids": list(maps)}).iloc[::-1])
    return {"manifest": folder / "manifest.parquet", "local_tokens": folder / "tokens.parquet"}


@pytest.fixture
def stage(tmp_path: Path, source: LlmConfig) -> Callable[..., Path]:
    """Runs the stage; keywords replace files and sections. Returns the folder of its outputs."""
    inputs = write_inputs(tmp_path)

    def run(name: str = "out", config: dict | None = None, **changes) -> Path:
        folder = tmp_path / name
        (folder / "scratch").mkdir(parents=True, exist_ok=True)
        arguments = {
            **inputs,
            **{output: folder / file for output, file in OUTPUTS.items()},
            "config": LoraConfig(**{**SMALL, **(config or {})}),
            "mask": MaskConfig(),
            "llm": source,
            "seed": 0,
            "runtime": FP32,
            "scratch": folder / "scratch",
        }
        tune_lora(**{**arguments, **changes})
        return folder

    return run


def hashes(folder: Path) -> list[str]:
    return [sha256_file(folder / name) for name in OUTPUTS.values()]


def test_loss_is_the_mean_surprise_at_masked_places(llm: Llm):
    """Oracle: a pass for every masked place over what stands before it."""
    prompt = MaskedPrompt.make(llm, "_")
    generator = np.random.default_rng(0)
    rows = []
    for row in range(3):
        ids = generator.integers(0, 49_152, NUM_TOKENS)
        rows.append(training_sequence(prompt, ids, draw_mask(NUM_TOKENS, 0.3, 0, row)))
    surprises = []
    for ids, labels in rows:
        for place, label in enumerate(labels):
            if label != IGNORED:
                assert ids[place] == label
                with torch.no_grad():
                    logits = llm.model(input_ids=torch.tensor([ids[:place]])).logits[0, -1]
                surprises.append(-logits.log_softmax(dim=0)[label].item())
    assert len(surprises) == 3 * 5
    ids, labels = (torch.tensor(column) for column in zip(*rows, strict=True))
    # 49,152 terms of a sum in float32, in another order.
    assert float(masked_loss(llm.model, ids, labels)) == pytest.approx(np.mean(surprises), abs=1e-4)


def test_a_step_moves_the_adapter_and_nothing_else(llm: Llm, source: LlmConfig):
    before = {name: tensor.clone() for name, tensor in llm.model.state_dict().items()}
    model = add_adapter(llm, LoraConfig(rank=2), source.source, seed=0)
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert {name.split(".")[-4] for name in trained} == {"q_proj", "k_proj"}
    assert len(trained) == 2 * 2 * 2  # layers, projections, A and B
    fresh = {name: parameter.detach().clone() for name, parameter in trained.items()}
    prompt = MaskedPrompt.make(llm, "_")
    maps = np.random.default_rng(0).integers(0, 49_152, (4, NUM_TOKENS))
    optimiser = torch.optim.AdamW(trained.values(), weight_decay=0.0)
    for step in range(2):  # B begins at 0, so the first step leaves A where it was
        take_step(model, optimiser, *batch(step, list("abcd"), maps, prompt, 0.3, 2, seed=0), 1e-2)
    assert all((parameter != fresh[name]).any() for name, parameter in trained.items())
    after = load_llm(source, FP32).model.state_dict()
    moved = model.get_base_model().state_dict()
    for name, tensor in before.items():
        now = moved.get(name, moved.get(name.replace(".weight", ".base_layer.weight")))
        assert torch.equal(tensor, now)
        assert torch.equal(tensor, after[name])


def test_a_fresh_adapter_changes_no_logit(llm: Llm, source: LlmConfig):
    ids = torch.arange(100, 120)[None]
    with torch.no_grad():
        before = llm.model(input_ids=ids).logits
        after = add_adapter(llm, LoraConfig(), source.source, seed=0)(input_ids=ids).logits
    assert torch.equal(before, after)


def test_tuning_lowers_the_loss(stage, tmp_path: Path):
    """On maps that are all one token, with every projection tuned."""
    inputs = write_inputs(tmp_path, np.full((NUM_PICTURES, NUM_TOKENS), 700))
    targets = ["q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "down_proj", "gate_proj"]
    folder = stage(config={"steps": 40, "targets": targets, "rank": 8}, **inputs)
    loss = pd.read_csv(folder / "loss.csv")
    assert loss["step"].tolist() == list(range(40))
    assert loss["loss"].iloc[-5:].mean() < loss["loss"].iloc[0] - 1
    assert loss["learning_rate"].iloc[0] == pytest.approx(1e-2 / 2)
    assert loss["learning_rate"].max() == pytest.approx(1e-2)
    assert loss["learning_rate"].iloc[-1] < 1e-4


def test_peft_loads_the_adapter(stage, source: LlmConfig, monkeypatch: pytest.MonkeyPatch):
    made = []
    monkeypatch.setattr(lora, "add_adapter", lambda *given: made.append(add_adapter(*given)) or made[-1])
    folder = stage()
    plain = AutoModelForCausalLM.from_pretrained(source.source, dtype=torch.float32)
    ids = torch.arange(100, 120)[None]
    with torch.no_grad():
        untuned = plain(input_ids=ids).logits
        loaded = peft.PeftModel.from_pretrained(plain, folder).eval()(input_ids=ids).logits
        tuned = made[0].eval()(input_ids=ids).logits
    assert torch.equal(loaded, tuned)
    assert (loaded - untuned).abs().max() > 1e-3
    assert torch.equal(load_llm(source, FP32).with_adapter(folder).model(input_ids=ids).logits, tuned)


def test_files_name_no_place_on_this_machine(stage, source: LlmConfig, tmp_path: Path):
    content = json.loads((stage() / "adapter_config.json").read_text(encoding="utf-8"))
    assert content["base_model_name_or_path"] == source.source
    assert str(tmp_path) not in json.dumps({**content, "base_model_name_or_path": ""})
    assert (content["r"], content["lora_alpha"], content["target_modules"]) == (2, 32, ["k_proj", "q_proj"])
    assert content["inference_mode"] is True


@pytest.mark.parametrize("interrupted_at", [1, 4, 6])
def test_an_interrupted_run_ends_with_the_bytes_of_an_unbroken_one(
    stage, interrupted_at: int, monkeypatch: pytest.MonkeyPatch
):
    config = {"dropout": 0.5}
    expected = hashes(stage("unbroken", config))
    steps = []

    def counted(*given):
        if len(steps) == interrupted_at:
            raise KeyboardInterrupt
        steps.append(given)
        return take_step(*given)

    monkeypatch.setattr(lora, "take_step", counted)
    with pytest.raises(KeyboardInterrupt):
        stage("broken", config)
    monkeypatch.setattr(lora, "take_step", lambda *given: steps.append(given) or take_step(*given))
    torch.manual_seed(123)  # a new process draws from elsewhere
    folder = stage("broken", config)
    assert len(steps) == 7 + interrupted_at % 2  # a checkpoint every two steps
    assert hashes(folder) == expected


def test_a_run_that_sigterm_stops_ends_with_the_bytes_of_an_unbroken_one(stage, monkeypatch: pytest.MonkeyPatch):
    expected, steps = hashes(stage("unbroken")), []

    def told_to_stop(*given):
        steps.append(given)
        if len(steps) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return take_step(*given)

    monkeypatch.setattr(lora, "take_step", told_to_stop)
    with pytest.raises(StoppedError, match=r"^tune-lora: stopped by SIGTERM at step 3; run again to go on$"):
        stage("stopped")
    assert hashes(stage("stopped")) == expected
    assert len(steps) == 7  # none twice


def test_a_checkpoint_holds_the_adapter_alone(stage):
    """Not the frozen model, whose output layer is its embedding under another name."""
    tensors = load_file(stage() / "scratch" / CHECKPOINT)
    assert sum(name.startswith("lora.weight.") for name in tensors) == 2 * 2 * 2
    assert max(tensor.numel() for tensor in tensors.values()) < 100


def test_equal_seeds_give_equal_bytes_and_others_do_not(stage):
    assert hashes(stage("first")) == hashes(stage("second"))
    assert hashes(stage("third", seed=1)) != hashes(stage("first"))


def test_maps_of_held_out_pictures_change_nothing(stage, tmp_path: Path):
    expected = hashes(stage("all"))
    tokens = pd.read_parquet(tmp_path / "tokens.parquet")
    write_rows(tmp_path / "few.parquet", tokens[tokens["image_id"].isin([f"set/{i}" for i in range(NUM_TRAINING)])])
    assert hashes(stage("few", local_tokens=tmp_path / "few.parquet")) == expected


def test_maps_are_those_of_the_manifests_training_pictures(tmp_path: Path):
    inputs = write_inputs(tmp_path)
    image_ids, maps = read_training_maps(**inputs)
    stored = pd.read_parquet(tmp_path / "tokens.parquet").set_index("image_id")["local_ids"]
    assert image_ids == [f"set/{i}" for i in range(NUM_TRAINING)]
    assert maps.tolist() == [stored[image_id].tolist() for image_id in image_ids]


def test_every_epoch_shows_every_picture_once_with_another_mask(llm: Llm, tmp_path: Path):
    image_ids, maps = read_training_maps(**write_inputs(tmp_path))
    prompt = MaskedPrompt.make(llm, "_")
    ids, labels = batch(0, image_ids, maps, prompt, 0.3, 2 * NUM_TRAINING, seed=0)
    seen = ids[:, -NUM_TOKENS:].tolist()
    assert sorted(seen[:NUM_TRAINING]) == sorted(seen[NUM_TRAINING:]) == sorted(maps.tolist())
    assert seen[:NUM_TRAINING] != seen[NUM_TRAINING:]
    masks = {(tuple(row), tuple(label != IGNORED)) for row, label in zip(seen, labels.numpy(), strict=True)}
    assert len(masks) == 2 * NUM_TRAINING


def test_a_large_step_reads_what_small_ones_read(llm: Llm, tmp_path: Path):
    image_ids, maps = read_training_maps(**write_inputs(tmp_path))
    given = (image_ids, maps, MaskedPrompt.make(llm, "_"), 0.3)
    large = batch(1, *given, 4, 0)
    small = [batch(step, *given, 1, 0) for step in range(4, 8)]
    for column in (0, 1):
        assert torch.equal(large[column], torch.cat([part[column] for part in small]))
    with torch.no_grad():
        losses = [float(masked_loss(llm.model, *part)) for part in small]
        # float32; every picture has as many masked places
        assert float(masked_loss(llm.model, *large)) == pytest.approx(np.mean(losses), abs=1e-5)


def test_the_adapter_is_trained_in_fp32_on_a_model_in_bf16(stage):
    folder = stage(runtime=BF16)
    tensors = load_file(folder / "adapter_model.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}
    assert all(tensor.isfinite().all() for tensor in tensors.values())
    assert pd.read_csv(folder / "loss.csv")["loss"].notna().all()


def test_what_cannot_be_tuned_is_refused_in_one_line(stage, source: LlmConfig, monkeypatch: pytest.MonkeyPatch):
    def refused(error: type[Exception], match: str, **changes) -> None:
        with pytest.raises(error, match=match) as caught:
            stage(**changes)
        assert "\n" not in str(caught.value)

    refused(
        ConfigError,
        r"masked\.lora\.targets: the LLM has no module of the name c_attn, w_q",
        config={"targets": ["q_proj", "w_q", "c_attn"]},
    )
    refused(ConfigError, r"masked\.lora: no adapter can be made \(.*", config={"targets": ["self_attn"]})
    refused(ConfigError, r"masked\.mask\.text: expected the text of one token", mask=MaskConfig(text="a mask"))
    short = LlmConfig(source=source.source, max_context=40)
    refused(ModelError, r"masked: a map twice, \d+ tokens, exceeds the LLM's context of 40", llm=short)
    monkeypatch.setattr(lora, "take_step", lambda *_: float("nan"))
    refused(ModelError, "tune-lora: expected a finite loss, found nan at step 0")


def test_tokens_that_do_not_fit_are_named(stage, tmp_path: Path):
    tokens = pd.read_parquet(tmp_path / "tokens.parquet").set_index("image_id")["local_ids"]

    def refused(match: str, changed: pd.Series) -> None:
        write_rows(tmp_path / "other.parquet", changed.reset_index())
        with pytest.raises(ArtifactError, match=rf"other\.parquet: {match}"):
            stage(local_tokens=tmp_path / "other.parquet")

    refused("expected local tokens of training picture set/3, found none", tokens.drop("set/3"))
    square = r"local_ids: expected square maps of one size, found"
    refused(rf"{square} 15 of set/0", tokens.map(lambda ids: ids[:15]))
    refused(rf"{square} 0 of set/0", tokens.map(lambda ids: ids[:0]))
    refused(rf"{square} 9 of set/2", tokens.where(tokens.index != "set/2", tokens.map(lambda ids: ids[:9])))
    refused("expected ids of the LLM's 49152 tokens, found 49152", tokens.map(lambda ids: np.full_like(ids, 49_152)))


def test_a_manifest_without_training_pictures_is_refused(stage, tmp_path: Path):
    write_rows(tmp_path / "other.parquet", pd.read_parquet(tmp_path / "manifest.parquet").assign(split="heldout"))
    with pytest.raises(DataError, match=r"other\.parquet: column split: expected some rows with train, found none"):
        stage(manifest=tmp_path / "other.parquet")
