"""A small results folder: rows made up by this file, metrics, claims, tables and page by the stages that make them."""

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw

from v2l.artifacts import provenance_path, sha256_file, stable_hash, write_arrays, write_json, write_rows
from v2l.claims.stage import claims
from v2l.config.claims import ClaimsConfig
from v2l.config.fewshot import TABLE_1, AnswerConfig, InductionSetting, RunConfig
from v2l.config.frechet import FrechetConfig
from v2l.config.llm import LlmConfig
from v2l.metrics.entries import grouped, mean_of, relative_name
from v2l.metrics.few_shot import classify_metrics
from v2l.metrics.masked import masked_metrics
from v2l.metrics.reconstruction import reconstruct_metrics
from v2l.metrics.restoration import restore_metrics
from v2l.metrics.semantics import semantics_metrics
from v2l.metrics.vqa import vqa_metrics
from v2l.report.page import page
from v2l.report.tables import tables

from .figure_data import FigureData, make_figure_data

CLASSES = ["ant", "bacon", "cloud", "fire engine", "lotus", "oncoming taxi", "polar bear", "violin"]
PICTURES = [f"noto/{name.replace(' ', '-')}" for name in CLASSES]
WAYS, EPISODES = (2, 5), 20
RUNS = {
    "v2l": RunConfig(words="orders_1_3", num_global=[5, 21]),
    "spae": RunConfig(words="spae", num_global=[5, 21], settings=TABLE_1[:3]),
    "vqgan": RunConfig(words="vqgan", num_global=[256], settings=[InductionSetting()], ways=[2], separator=""),
    "ablation_num_global": RunConfig(words="orders_1_3", num_global=[1, 11], settings=[InductionSetting()]),
    "ablation_order_1": RunConfig(words="order_1", num_global=[5], settings=[InductionSetting()]),
}
# SPAE-like is made the better one, so that a claim is contradicted.
SKILL = {"v2l": 0.45, "spae": 0.95, "vqgan": 0.1}
CODEBOOKS = {"order_1": 1040, "orders_1_2": 2070, "orders_1_3": 3090, "unfiltered": 9000}
ALL_NUM_GLOBAL = (1, 5, 11, 21)
TOKENIZERS = ("v2l", "v2l_no_global", "v2l_no_projector", "vqgan", "lqae", "spae")
RESTORING = ("v2l", "vqgan", "spae")
TASKS = ("inpainting", "outpainting", "deblurring", "rotation", "shift")
# Share of tokens right, and what is added to LPIPS; V2L's restored pictures are no nearer than degraded ones.
RESTORATION = {
    "restored": (0.3, 0.2),
    "degraded tokens": (0.5, 0.1),
    "random tokens": (0.0, 0.3),
    "clean tokens": (1.0, 0.0),
}
MASKED = {
    "before tuning": (0.1, 0.2), "after tuning": (0.4, 0.1), "masked tokens": (None, 0.3), "random tokens": (0.0, 0.3),
    "clean tokens": (1.0, 0.0),
}  # fmt: skip
WORDED = {"picture words": 0.6, "random words": 0.2}
SCORES = ("cider_d", "bleu_4", "rouge_l")
FAMILIES = ("classify", "semantics", "reconstruct", "restore", "caption", "vqa", "masked")
PUBLISHED = """table,row,metric,value,source
settings,V2L,global_codebook_size,11908,"A paper, section 4"
table3,V2L,fid,3.41,"A paper, table 3"
table3,VQ-GAN,fid,5.48,"A paper, table 3"
"""


@dataclass(frozen=True)
class Results:
    """Paths below one results folder, and the report stages applied to them."""

    root: Path

    def __truediv__(self, name: str) -> Path:
        return self.root / name

    def tables(self, folder: str = "tables") -> Path:
        metrics = {family: self / family / "metrics.json" for family in FAMILIES}
        tables(
            **metrics, claims=self / "claims/claims.json", published=self / "published.csv", folder=self / folder,
            runs=RUNS, answer=AnswerConfig(), seed=3,
        )  # fmt: skip
        return self / folder

    def page(self, file: str = "report.html", clip: bool = True) -> Path:
        metrics = {family: self / family / "metrics.json" for family in FAMILIES}
        page(
            self / "tables/index.json", self / "figures/index.json", self / "claims/claims.json",
            usage=self / "tokens/metrics.json", **metrics, page=self / file,
            clip=self / "clip/metrics.json" if clip else None,
        )  # fmt: skip
        return self / file


def make_results(root: Path) -> Results:
    """Writes everything that tables and page read, and the provenance of some of it."""
    for folder in ("data", "tokens", "claims", "clip", "figures", *FAMILIES):
        (root / folder).mkdir(parents=True)
    generator = np.random.default_rng(0)
    _write_predictions(root / "classify", generator)
    _write_semantics(root / "semantics", generator)
    _write_reconstructions(root / "reconstruct", generator)
    _write_restored(root / "restore", generator)
    _write_masked(root / "masked", generator)
    _write_language(root, generator)
    _write_figures(root / "figures")
    (root / "published.csv").write_text(PUBLISHED)
    counted = {"low": None, "high": None, "n": 8, "interval": "none: a count", "better": None, "rows": None}
    write_json(
        root / "tokens/metrics.json", {"codes_used | local | heldout": {**counted, "value": 90, "unit": "codes"}}
    )
    hits = {"value": 0.5, "low": 0.4, "high": 0.6, "interval": "95 % Wilson interval", "unit": "fraction, 8 classes"}
    clip = {f"zero_shot_top{k} | held-out": {**counted, **hits, "better": "higher"} for k in (1, 5)}
    write_json(root / "clip/metrics.json", clip)
    write_json(root / "data/report.json", {"num_pictures": 16, "num_classes": 8})
    claims(
        [root / f"classify/predictions_{run}.parquet" for run in RUNS],
        root / "semantics/rows.parquet",
        [root / f"reconstruct/rows_{name}.parquet" for name in TOKENIZERS],
        [root / f"restore/rows_{name}.parquet" for name in RESTORING],
        root / "caption/predictions.parquet",
        root / "vqa/predictions.parquet",
        root / "masked/rows.parquet",
        root / "claims/claims.json",
        config=ClaimsConfig(),
        llm=LlmConfig(source="data/llm"),
        image_size_px=64,
        epochs=0.5,
    )
    _write_provenance(root)
    return Results(root)


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """With tables and page; tests leave them as they are."""
    made = make_results(tmp_path_factory.mktemp("results") / "demo")
    made.tables()
    made.page()
    return made


@pytest.fixture
def own_results(results: Results, tmp_path: Path) -> Results:
    """A copy that a test may change."""
    return Results(shutil.copytree(results.root, tmp_path / "demo"))


@pytest.fixture(scope="session")
def figure_data(tmp_path_factory: pytest.TempPathFactory) -> FigureData:
    """Every input of the figures; tests leave them as they are."""
    return make_figure_data(tmp_path_factory.mktemp("figure_data") / "demo")


@pytest.fixture(scope="session")
def digests() -> Callable[[Path], dict[str, str]]:
    """SHA-256 of every file of a folder by name."""
    return lambda folder: {path.name: sha256_file(path) for path in sorted(folder.iterdir())}


def _write_predictions(folder: Path, generator: np.random.Generator) -> None:
    files = []
    for run, config in RUNS.items():
        rows = [
            _decision(run, config, ways, num_global, setting, episode, generator)
            for ways in config.ways or WAYS
            for num_global in config.num_global
            for setting in config.settings
            for episode in range(EPISODES)
        ]
        files.append(folder / f"predictions_{run}.parquet")
        write_rows(files[-1], rows)
    classify_metrics(files, folder / "metrics.json")


def _decision(
    run: str,
    config: RunConfig,
    ways: int,
    num_global: int,
    setting: InductionSetting,
    episode: int,
    generator: np.random.Generator,
) -> dict[str, object]:
    target = CLASSES[episode % ways]
    correct = bool(generator.random() < SKILL.get(run, 0.4))
    return {
        "run": run, "words": config.words, "llm": "data/llm", "llm_parameters": 7_000_000,
        "episode_id": f"{ways}-way/{episode}", "ways": ways,
        "num_global": num_global, "setting": setting.name, "induction": setting.induction, "shots": setting.shots,
        "repeats": setting.repeats, "query_id": f"noto/{target}", "target": target,
        "prediction": target if correct else "pie", "correct": correct,
        "prompt": f"###\nInput: < words of {target} >\nOutput: ", "prompt_sha256": "0" * 64, "num_prompt_tokens": 90,
    }  # fmt: skip


def _write_semantics(folder: Path, generator: np.random.Generator) -> None:
    rows = [
        {
            "image_id": image_id, "codebook": codebook, "num_global": num_global, "codebook_size": size,
            "clip": generator.uniform(0.2, 0.3) + place / 50, "clip_r": generator.uniform(0.5, 0.9),
        }
        for place, (codebook, size) in enumerate(CODEBOOKS.items())
        for num_global in ALL_NUM_GLOBAL for image_id in PICTURES
    ]  # fmt: skip
    write_rows(folder / "rows.parquet", rows)
    semantics_metrics(folder / "rows.parquet", folder / "metrics.json")


def _measured(generator: np.random.Generator, worse: float = 0.0) -> dict[str, float]:
    return {
        "psnr": generator.uniform(20, 26) - 20 * worse, "ssim": generator.uniform(0.7, 0.9) - worse,
        "lpips_vgg": generator.uniform(0.2, 0.3) + worse, "lpips_alex": generator.uniform(0.1, 0.2) + worse,
    }  # fmt: skip


def _features(generator: np.random.Generator, names: Iterable[str]) -> dict[str, np.ndarray]:
    return {name: generator.random((len(PICTURES), 16), dtype=np.float32) for name in names}


def _write_reconstructions(folder: Path, generator: np.random.Generator) -> None:
    for place, name in enumerate(TOKENIZERS):
        rows = [{"image_id": item, "tokenizer": name, **_measured(generator, place / 10)} for item in PICTURES]
        write_rows(folder / f"rows_{name}.parquet", rows)
        write_arrays(folder / f"features_{name}.safetensors", _features(generator, ("original", "reconstruction")))
    reconstruct_metrics(
        [folder / f"rows_{name}.parquet" for name in TOKENIZERS],
        [folder / f"features_{name}.safetensors" for name in TOKENIZERS],
        folder / "metrics.json",
        FrechetConfig(),
    )


def _write_restored(folder: Path, generator: np.random.Generator) -> None:
    for name in RESTORING:
        rows = [
            {
                "image_id": item, "tokenizer": name, "task": task, "condition": condition, "tokens_restored": share,
                **_measured(generator, worse),
            }
            for task in TASKS for condition, (share, worse) in RESTORATION.items() for item in PICTURES
        ]  # fmt: skip
        write_rows(folder / f"rows_{name}.parquet", rows)
        names = [f"{task}/{condition}" for task in TASKS for condition in ("original", *RESTORATION)]
        write_arrays(folder / f"features_{name}.safetensors", _features(generator, names))
    restore_metrics(
        [folder / f"rows_{name}.parquet" for name in RESTORING],
        [folder / f"features_{name}.safetensors" for name in RESTORING],
        folder / "metrics.json",
        FrechetConfig(),
    )


def _write_masked(folder: Path, generator: np.random.Generator) -> None:
    rows = [
        {"image_id": item, "condition": condition, "tokens_restored": share, **_measured(generator, worse)}
        for condition, (share, worse) in MASKED.items() for item in PICTURES
    ]  # fmt: skip
    write_rows(folder / "rows.parquet", pd.DataFrame(rows).astype({"tokens_restored": float}))
    masked_metrics(folder / "rows.parquet", folder / "metrics.json")


def _write_language(root: Path, generator: np.random.Generator) -> None:
    captions = [
        {
            "image_id": item, "condition": condition, "prediction": name, "references": [name, "thing"],
            **{score: skill * generator.uniform(0.5, 1) for score in SCORES},
        }
        for condition, skill in {**WORDED, "most frequent caption": 0.1}.items()
        for item, name in zip(PICTURES, CLASSES, strict=True)
    ]  # fmt: skip
    write_rows(root / "caption/predictions.parquet", captions)
    file = root / "caption/predictions.parquet"
    # The stage itself takes BLEU-4 of the whole set, with a library that is slow to import.
    scores = [grouped(name, pd.DataFrame(captions), file, ["condition"], mean_of(name)) for name in SCORES]
    write_json(root / "caption/metrics.json", {key: entry for found in scores for key, entry in found.items()})
    answers = [
        {
            "question_id": f"q{place}", "image_id": item, "question": f"Is this a {name}?",
            "answer_type": ("yes/no", "other")[place % 2], "condition": condition, "prediction": "yes",
            "answers": ["yes"] * 10, "accuracy": float(place < skill * len(PICTURES)),
        }
        for condition, skill in {**WORDED, "majority answer": 0.8}.items()
        for place, (item, name) in enumerate(zip(PICTURES, CLASSES, strict=True))
    ]  # fmt: skip
    write_rows(root / "vqa/predictions.parquet", answers)
    vqa_metrics(root / "vqa/predictions.parquet", root / "vqa/metrics.json")


def _write_figures(folder: Path) -> None:
    """As the stage figures leaves them: one figure of the paper, one of this suite's own."""
    index = []
    for name, title in (("fig6", "Pictures and their best words"), ("curves", "Training curves")):
        image = Image.new("RGB", (1200, 400), "white")
        ImageDraw.Draw(image).ellipse((100, 50, 900, 350), fill=(40, 90, 200))
        image.save(folder / f"{name}.png")
        caption = f"{title} of made-up pictures. To see: an ellipse. Seed 3."
        index.append({"name": name, "title": title, "caption": caption, "png": f"{name}.png", "pdf": f"{name}.pdf"})
    write_json(folder / "index.json", index)


def _write_provenance(root: Path) -> None:
    """As the runner writes it: inputs by path and hash, from a command run two folders above the results."""
    runs = {name: run.model_dump(mode="json") for name, run in RUNS.items()}
    predictions = {
        f"classify/predictions_{name}.parquet": ("classify", {"run": name}, {f"fewshot.runs.{name}": run}, [])
        for name, run in runs.items()
    }
    made_by: dict[str, tuple[str, dict, dict, list[str]]] = {
        "data/report.json": ("emoji", {}, {"data": {"heldout_family": "noto", "min_sets": 5}}, []),
        **{name: (*made, ["data/report.json"]) for name, (*made, _) in predictions.items()},
        "classify/metrics.json": ("classify-metrics", {}, {}, sorted(predictions)),
        "semantics/metrics.json": ("semantics-metrics", {}, {}, ["semantics/rows.parquet"]),
        "tokens/metrics.json": ("usage", {}, {}, []),
        "claims/claims.json": ("claims", {}, {"claims": {"margin": 0.02}}, ["semantics/rows.parquet"]),
    }
    for place, (name, (stage, options, parameters, inputs)) in enumerate(made_by.items()):
        record = {
            "stage": stage, "options": options, "parameters": parameters, "parameters_hash": stable_hash(parameters),
            "seed": 3, "code_version": "0.1.0+abc123", "wall_seconds": 1.5 + place, "peak_memory_bytes": 2**29,
            "device": "cpu",
            "inputs": {f"results/{root.name}/{item}": sha256_file(root / item) for item in inputs},
            "sha256": sha256_file(root / name), "size": (root / name).stat().st_size,
        }  # fmt: skip
        assert relative_name(root / name) == name
        write_json(provenance_path(root / name), record)
