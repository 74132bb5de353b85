"""A small results folder, every artifact made by this file or by the stages that summarise it."""

import io
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw

from v2l.artifacts import provenance_path, sha256_file, stable_hash, write_arrays, write_json, write_rows
from v2l.config.fewshot import FewShotConfig, InductionSetting
from v2l.config.figures import FiguresConfig
from v2l.experiments.usage import usage
from v2l.metrics.entries import relative_name
from v2l.metrics.few_shot import classify_metrics
from v2l.metrics.reconstruction import reconstruct_metrics
from v2l.metrics.semantics import semantics_metrics
from v2l.report.figures import figures
from v2l.report.page import page
from v2l.report.tables import tables

CLASSES = ["ant", "bacon", "cloud", "fire engine", "lotus", "oncoming taxi", "polar bear", "violin"]
WORDS = [
    ("bear", 1), ("ant", 1), (" polar bear", 2), ("bacon and eggs", 3), (" Taxi", 1), ("a violin concerto", 3),
    ("\n", 1), ("oncoming traffic", 2), ("international fire brigade", 3), ("fluffy cloud", 2),
    ("$x^2$ lotus", 2), ("red", 1),
]  # fmt: skip
WAYS, NUM_GLOBAL, EPISODES = (2, 5), (5, 21), 20
FEWSHOT = FewShotConfig(
    settings=[
        InductionSetting(induction=induction, shots=shots, repeats=repeats)
        for induction, shots, repeats in (
            (False, 1, 0), (True, 1, 0), (True, 3, 0), (True, 5, 0), (True, 1, 1), (True, 1, 3), (True, 1, 5)
        )
    ],
)  # fmt: skip
FIGURES = FiguresConfig()
METRICS = {
    "clip": "clip", "usage": "tokens", "semantics": "semantics", "classify": "classify", "reconstruct": "reconstruct",
}  # fmt: skip
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
        tables(
            self / "classify/metrics.json", self / "semantics/metrics.json", self / "reconstruct/metrics.json",
            self / "published.csv", self / folder, fewshot=FEWSHOT, seed=3,
        )  # fmt: skip
        return self / folder

    def figures(self, folder: str = "figures") -> Path:
        figures(
            self / "data/manifest.parquet", self / "tokens/global.parquet", self / "vocab/global_codebook.parquet",
            self / "classify/metrics.json", self / "reconstruct/examples.parquet", self / "tokens/usage.parquet",
            self / "tokenizer/curves.csv", self / folder, config=FIGURES, fewshot=FEWSHOT, seed=3,
        )  # fmt: skip
        return self / folder

    def page(self, file: str = "report.html", clip: bool = True) -> Path:
        metrics = {name: self / folder / "metrics.json" for name, folder in METRICS.items() if clip or name != "clip"}
        page(self / "tables/index.json", self / "figures/index.json", page=self / file, **metrics)
        return self / file


def make_results(root: Path) -> Results:
    """Writes everything the report reads, and the provenance of the summarised files."""
    for folder in ("data/pictures", "tokens", "vocab", "classify", "semantics", "reconstruct", "tokenizer", "clip"):
        (root / folder).mkdir(parents=True)
    generator = np.random.default_rng(0)
    _write_pictures(root, generator)
    _write_predictions(root / "classify", generator)
    _write_scores(root, generator)
    _write_curves(root / "tokenizer", generator)
    (root / "published.csv").write_text(PUBLISHED)
    hits = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 8, "interval": "95 % Wilson interval"}
    clip = {**hits, "unit": "fraction, 8 classes", "better": "higher", "rows": None}
    write_json(root / "clip/metrics.json", {"zero_shot_top1 | held-out": clip})
    _write_provenance(root)
    return Results(root)


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """With tables, figures and page; tests leave them as they are."""
    made = make_results(tmp_path_factory.mktemp("results") / "demo")
    made.tables()
    made.figures()
    made.page()
    return made


@pytest.fixture
def own_results(results: Results, tmp_path: Path) -> Results:
    """A copy that a test may change."""
    return Results(shutil.copytree(results.root, tmp_path / "demo"))


def draw_picture(place: int, noise: np.ndarray | None = None) -> Image.Image:
    image = Image.new("RGB", (64, 64), "white")
    canvas = ImageDraw.Draw(image)
    canvas.ellipse((8, 8 + place, 56 - 3 * place, 56), fill=(40 + 25 * place, 200 - 20 * place, 90), outline="black")
    canvas.rectangle((4 * place, 4, 4 * place + 12, 16), fill=(200, 60, 20 * place))
    if noise is None:
        return image
    return Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _write_pictures(root: Path, generator: np.random.Generator) -> None:
    manifest, tokens, examples = [], [], []
    for place, name in enumerate(CLASSES):
        for split, source in (("train", "twemoji"), ("heldout", "noto")):
            image_id = f"{source}/{name.replace(' ', '-')}"
            path = root / "data" / "pictures" / f"{split}-{place}.png"
            draw_picture(place).save(path)
            manifest.append(
                {
                    "image_id": image_id, "path": f"pictures/{path.name}", "split": split, "class_id": place,
                    "class_name": name, "captions": [name], "source": source,
                }
            )  # fmt: skip
            local = np.minimum(generator.zipf(1.4, size=64), 500)
            tokens.append(
                {"image_id": image_id, "global_ids": generator.permutation(len(WORDS))[:6], "local_ids": local}
            )
        noise = generator.normal(0, 12, size=(64, 64, 3))
        pair = {"original": _png(draw_picture(place)), "reconstruction": _png(draw_picture(place, noise))}
        examples.append({"image_id": image_id, "class_name": name, **pair})
    write_rows(root / "data/manifest.parquet", manifest)
    for kind in ("global", "local"):
        rows = [{"image_id": row["image_id"], f"{kind}_ids": row[f"{kind}_ids"]} for row in tokens]
        write_rows(root / f"tokens/{kind}.parquet", rows)
    write_rows(root / "vocab/global_codebook.parquet", [{"order": order, "text": text} for text, order in WORDS])
    write_rows(root / "reconstruct/examples.parquet", examples)
    usage(
        root / "tokens/global.parquet", root / "tokens/local.parquet",
        root / "vocab/global_codebook.parquet", root / "data/manifest.parquet",
        rows=root / "tokens/usage.parquet", metrics=root / "tokens/metrics.json",
    )  # fmt: skip


def _write_predictions(folder: Path, generator: np.random.Generator) -> None:
    rows = []
    for ways in WAYS:
        for num_global in NUM_GLOBAL:
            for place, setting in enumerate(FEWSHOT.settings):
                for episode in range(EPISODES):
                    target = CLASSES[episode % ways]
                    correct = bool(generator.random() < 0.45 + 0.06 * place)
                    rows.append(
                        {
                            "episode_id": f"{ways}-way/{episode}", "ways": ways, "num_global": num_global,
                            "setting": setting.name, "induction": setting.induction, "shots": setting.shots,
                            "repeats": setting.repeats, "query_id": f"noto/{target}", "target": target,
                            "prediction": target if correct else "pie", "correct": correct,
                            "prompt": f"###\nInput: < words of {target} >\nOutput: ", "prompt_sha256": "0" * 64,
                            "num_prompt_tokens": 90,
                        }
                    )  # fmt: skip
    write_rows(folder / "predictions.parquet", rows)
    classify_metrics(folder / "predictions.parquet", folder / "metrics.json")


def _write_scores(root: Path, generator: np.random.Generator) -> None:
    sizes = {"order 1": 1040, "orders 1-2": 2070, "orders 1-3": 3090}
    semantics = [
        {
            "image_id": f"noto/{name}", "codebook": codebook, "num_global": num_global, "codebook_size": size,
            "clip": generator.uniform(0.2, 0.3), "clip_r": generator.uniform(0.5, 0.9),
        }
        for codebook, size in sizes.items() for num_global in NUM_GLOBAL for name in CLASSES
    ]  # fmt: skip
    write_rows(root / "semantics/rows.parquet", semantics)
    semantics_metrics(root / "semantics/rows.parquet", root / "semantics/metrics.json")
    reconstruct = [
        {
            "image_id": f"noto/{name}", "psnr": generator.uniform(20, 26), "ssim": generator.uniform(0.7, 0.9),
            "lpips_vgg": generator.uniform(0.2, 0.3), "lpips_alex": generator.uniform(0.1, 0.2),
        }
        for name in CLASSES
    ]  # fmt: skip
    write_rows(root / "reconstruct/rows.parquet", reconstruct)
    features = {name: generator.random((len(CLASSES), 16), dtype=np.float32) for name in ("original", "reconstruction")}
    write_arrays(root / "reconstruct/features.safetensors", features)
    reconstruct_metrics(
        root / "reconstruct/rows.parquet", root / "reconstruct/features.safetensors", root / "reconstruct/metrics.json"
    )


def _write_curves(folder: Path, generator: np.random.Generator) -> None:
    steps = np.arange(0, 300, 10)
    terms = {"total": 1.4, "reconstruction": 0.3, "perceptual": 0.6, "quantizer": 0.02}
    decays = {
        name: high * (0.3 + 0.7 * np.exp(-steps / 80)) + generator.normal(0, 0.01, 30) for name, high in terms.items()
    }
    late = np.where(steps >= 200, generator.normal(0.7, 0.05, len(steps)), np.nan)
    rows = {"step": steps, "epoch": steps / 281, "learning_rate": 1e-3 * np.exp(-steps / 200), **decays}
    frame = pd.DataFrame({**rows, "adversarial": late, "discriminator": late + 0.3, "unused": np.nan})
    write_rows(folder / "curves.csv", frame)


def _write_provenance(root: Path) -> None:
    """As the runner writes it: inputs by path and hash, from a command run two folders above the results."""
    made_by: dict[str, tuple[str, dict, list[str]]] = {
        "data/manifest.parquet": ("emoji", {"data": {"heldout_family": "noto", "min_sets": 5}}, []),
        "tokens/global.parquet": ("global-tokens", {"tokens": {"num_global": 6}}, ["data/manifest.parquet"]),
        "tokens/metrics.json": ("usage", {}, ["tokens/global.parquet", "data/manifest.parquet"]),
        "classify/predictions.parquet": ("classify", {"fewshot": FEWSHOT.model_dump()}, ["tokens/global.parquet"]),
        "classify/metrics.json": ("classify-metrics", {}, ["classify/predictions.parquet"]),
        "semantics/metrics.json": ("semantics-metrics", {}, ["semantics/rows.parquet"]),
        "reconstruct/metrics.json": ("reconstruct-metrics", {}, ["reconstruct/rows.parquet"]),
    }
    for place, (name, (stage, parameters, inputs)) in enumerate(made_by.items()):
        record = {
            "stage": stage, "parameters": parameters, "parameters_hash": stable_hash(parameters), "seed": 3,
            "code_version": "0.1.0+abc123", "wall_seconds": 1.5 + place, "peak_memory_bytes": 2**29, "device": "cpu",
            "inputs": {f"results/{root.name}/{item}": sha256_file(root / item) for item in inputs},
            "sha256": sha256_file(root / name), "size": (root / name).stat().st_size,
        }  # fmt: skip
        assert relative_name(root / name) == name
        write_json(provenance_path(root / name), record)


@pytest.fixture(scope="session")
def digests() -> Callable[[Path], dict[str, str]]:
    """SHA-256 of every file of a folder by name."""
    return lambda folder: {path.name: sha256_file(path) for path in sorted(folder.iterdir())}
