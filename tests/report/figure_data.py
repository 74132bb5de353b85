"""Everything the figures read, small and made up, with the figures stage applied to it."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from v2l.artifacts import write_json, write_rows
from v2l.config.fewshot import InductionSetting, RunConfig
from v2l.config.figures import FiguresConfig
from v2l.metrics.entries import grouped, mean_of
from v2l.metrics.few_shot import few_shot_metrics
from v2l.report.figures import figures

CLASSES = ["ant", "bacon", "cloud", "fire engine", "lotus", "oncoming taxi", "polar bear", "violin"]
WORDS = [
    ("bear", 1), ("ant", 1), (" polar bear", 2), ("bacon and eggs", 3), (" Taxi", 1), ("a violin concerto", 3),
    ("\n", 1), ("oncoming traffic", 2), ("international fire brigade", 3), ("fluffy cloud", 2),
    ("$x^2$ lotus", 2), ("red", 1),
]  # fmt: skip
TOKENIZERS = ("v2l", "v2l_no_global", "v2l_no_projector", "vqgan", "lqae", "spae")
TASKS = ("inpainting", "outpainting", "deblurring", "rotation", "shift")
CODEBOOKS = {"order_1": 1040, "orders_1_2": 2070, "orders_1_3": 3090, "unfiltered": 9000}
ONE_SHOT = InductionSetting()
TABLE_1 = [InductionSetting(induction=False), *(InductionSetting(shots=k) for k in (1, 3, 5)),
           *(InductionSetting(repeats=k) for k in (1, 3, 5))]  # fmt: skip
RUNS = {
    "v2l": RunConfig(words="orders_1_3", num_global=[5, 21], settings=TABLE_1),
    "spae": RunConfig(words="spae", num_global=[5, 21], settings=TABLE_1[:3], per_way=10),
    "lqae": RunConfig(words="lqae", num_global=[64], settings=[ONE_SHOT], ways=[2]),
    "vqgan": RunConfig(words="vqgan", num_global=[64], settings=[ONE_SHOT]),
    "ablation_num_global": RunConfig(words="orders_1_3", num_global=[1, 11], settings=[ONE_SHOT]),
    "ablation_order_1": RunConfig(words="order_1", num_global=[5], settings=[ONE_SHOT]),
    "ablation_orders_1_2": RunConfig(words="orders_1_2", num_global=[5], settings=[ONE_SHOT]),
    "ablation_unfiltered": RunConfig(words="unfiltered", num_global=[5], settings=[ONE_SHOT]),
}
MEASURES = {"psnr": (15, 26), "ssim": (0.5, 0.9), "lpips_vgg": (0.2, 0.5), "lpips_alex": (0.1, 0.4)}
EPISODES = 20


@dataclass(frozen=True)
class FigureData:
    """Files below one folder, and which tokenizers and runs the figures get."""

    root: Path
    tokenizers: Sequence[str] = TOKENIZERS
    restored: Sequence[str] = ("v2l", "v2l_no_global", "vqgan", "lqae", "spae")
    runs: dict[str, RunConfig] = field(default_factory=lambda: RUNS)

    def __truediv__(self, name: str) -> Path:
        return self.root / name

    def figures(self, folder: str = "figures", **changed: Any) -> Path:
        inputs = {
            "manifest": self / "data/manifest.parquet",
            "words_tokens": self / "tokens/global_orders_1_3.parquet",
            "words_rows": self / "vocab/codebook_orders_1_3.parquet",
            "classify": self / "classify/metrics.json",
            "semantics": self / "semantics/metrics.json",
            "reconstruct": self / "reconstruct/metrics.json",
            "reconstruct_examples": [self / f"reconstruct/examples_{name}.parquet" for name in self.tokenizers],
            "restore_examples": [self / f"restore/examples_{name}.parquet" for name in self.restored],
            "restore": self / "restore/metrics.json",
            "caption": self / "caption/predictions.parquet",
            "vqa": self / "vqa/predictions.parquet",
            "masked_examples": self / "masked/examples.parquet",
            "masked": self / "masked/metrics.json",
            "usage": self / "tokens/usage.parquet",
            "curves": [self / f"tokenizer/curves_{name}.csv" for name in self.tokenizers],
            "config": FiguresConfig(),
            "runs": self.runs,
            "seed": 3,
        }
        figures(**{**inputs, "folder": self / folder, **changed})
        return self / folder


def make_figure_data(root: Path) -> FigureData:
    """Writes every input of the figures."""
    data = FigureData(root)
    for folder in ("data/pictures", "tokens", "vocab", "classify", "semantics", "reconstruct", "restore", "caption",
                   "vqa", "masked", "tokenizer"):  # fmt: skip
        (root / folder).mkdir(parents=True)
    generator = np.random.default_rng(0)
    _write_words(root, generator)
    _write_language(root, generator)
    _write_classify(root, generator)
    _write_semantics(root, generator)
    _write_decoded(data, generator)
    _write_masked(root, generator)
    _write_curves(data, generator)
    return data


def draw_picture(place: int, noise: np.ndarray | None = None) -> Image.Image:
    image = Image.new("RGB", (64, 64), "white")
    canvas = ImageDraw.Draw(image)
    canvas.ellipse((8, 8 + place, 56 - 3 * place, 56), fill=(40 + 25 * place, 200 - 20 * place, 90), outline="black")
    canvas.rectangle((4 * place, 4, 4 * place + 12, 16), fill=(200, 60, 20 * place))
    if noise is None:
        return image
    return Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def image_id(name: str) -> str:
    return f"noto/{name.replace(' ', '-')}"


def _noisy(place: int, generator: np.random.Generator, strength: float = 12) -> bytes:
    return png(draw_picture(place, generator.normal(0, strength, size=(64, 64, 3))))


def _write_words(root: Path, generator: np.random.Generator) -> None:
    manifest, tokens = [], []
    for place, name in enumerate(CLASSES):
        path = f"pictures/{place}.png"
        draw_picture(place).save(root / "data" / path)
        row = {"image_id": image_id(name), "path": path, "split": "heldout", "class_id": place, "class_name": name}
        manifest += [row, {**row, "image_id": f"twemoji/{place}", "split": "train"}]
        tokens.append({"image_id": image_id(name), "global_ids": generator.permutation(len(WORDS))[:6]})
    write_rows(root / "data/manifest.parquet", manifest)
    write_rows(root / "tokens/global_orders_1_3.parquet", tokens)
    rows = [{"order": order, "text": text} for text, order in WORDS]
    write_rows(root / "vocab/codebook_orders_1_3.parquet", rows)
    usage = [
        {"kind": "local", "split": split, "code": code, "order": 1, "count": int(count)}
        for split in ("train", "heldout") for code, count in enumerate(1 + generator.zipf(1.6, 80) % 500)
    ]  # fmt: skip
    usage += [
        {"kind": kind, "split": "heldout", "code": code, "order": order, "count": count}
        for kind in ("global", "best global") for code, (order, count) in enumerate(((1, 5), (2, 2), (3, 1)))
    ]  # fmt: skip
    write_rows(root / "tokens/usage.parquet", usage)


def _write_language(root: Path, generator: np.random.Generator) -> None:
    captions, answers = [], []
    said = [("a picture of a small animal in the garden, next to what looks like a very long wooden table", 0.2),
            ("ant", 1.0), ("", 0.0)]  # fmt: skip
    for condition in ("picture words", "random words", "most frequent caption"):
        for place, name in enumerate(CLASSES):
            text, rouge = said[place % 3] if condition == "picture words" else ("face", 0.0)
            text = name if rouge == 1 else text
            captions.append(
                {
                    "image_id": image_id(name),
                    "condition": condition, "prediction": text, "references": [name, "thing"],
                    "cider_d": 3 * rouge + generator.uniform(0, 0.2), "rouge_l": rouge,
                }
            )  # fmt: skip
    for condition in ("picture words", "random words", "majority answer"):
        for place, name in enumerate(CLASSES):
            kind, question, true = [
                ("yes/no", f"Is there a {name} in the picture?", ["yes"] * 10),
                ("other", "What kind of thing is shown here, and where would it be found?", [name] * 7 + ["red"] * 3),
            ][place % 2]
            right = place % 3 if condition == "picture words" else 0
            answers.append(
                {
                    "question_id": f"q{place}", "image_id": image_id(name), "question": question, "answer_type": kind,
                    "condition": condition, "prediction": [f"no {name}s", true[0], true[-1]][right],
                    "answers": true, "accuracy": [0.0, 1.0, 0.3][right],
                }
            )  # fmt: skip
    write_rows(root / "caption/predictions.parquet", captions)
    write_rows(root / "vqa/predictions.parquet", answers)


def _write_classify(root: Path, generator: np.random.Generator) -> None:
    entries = {}
    for place, (name, run) in enumerate(RUNS.items()):
        rows = [
            {
                "episode_id": f"{ways}-way/{episode}", "query_id": "noto/ant", "run": name, "ways": ways,
                "num_global": num_global, "setting": setting.name,
                "correct": generator.random() < 0.8 - 0.05 * place - 0.05 * ways,
            }
            for ways in run.ways or (2, 5) for num_global in run.num_global for setting in run.settings
            for episode in range(run.per_way or EPISODES)
        ]  # fmt: skip
        entries |= few_shot_metrics(pd.DataFrame(rows), root / f"classify/predictions_{name}.parquet")
    write_json(root / "classify/metrics.json", entries)


def _write_semantics(root: Path, generator: np.random.Generator) -> None:
    file, by = root / "semantics/rows.parquet", ["codebook", "num_global"]
    rows = pd.DataFrame(
        {
            "codebook": codebook, "num_global": num_global, "clip": generator.uniform(0.2, 0.3) + place / 100,
            "clip_r": generator.uniform(0.5, 0.9),
        }
        for place, codebook in enumerate(CODEBOOKS) for num_global in (1, 5, 11, 21) for _ in CLASSES
    )  # fmt: skip
    write_json(
        root / "semantics/metrics.json",
        {
            key: entry
            for name in ("clip", "clip_r")
            for key, entry in grouped(name, rows, file, by, mean_of(name)).items()
        },
    )


def _measured(generator: np.random.Generator, worse: float = 0.0) -> dict[str, float]:
    return {name: generator.uniform(low, high) + worse * (high - low) for name, (low, high) in MEASURES.items()}


def _write_metrics(rows: Sequence[dict[str, Any]], file: Path, by: Sequence[str], names: Sequence[str]) -> None:
    frame = pd.DataFrame(rows)
    entries = {}
    for name in names:
        entries |= grouped(name, frame.dropna(subset=[name]), file, by, mean_of(name))
    write_json(file.parent / "metrics.json", entries)


def _write_decoded(data: FigureData, generator: np.random.Generator) -> None:
    rows = [
        {"tokenizer": name, **_measured(generator, place / 5)}
        for place, name in enumerate(data.tokenizers) for _ in CLASSES
    ]  # fmt: skip
    _write_metrics(rows, data / "reconstruct/rows.parquet", ["tokenizer"], list(MEASURES))
    for name in data.tokenizers:
        pictures = [
            {
                "image_id": image_id(label), "class_name": label, "original": png(draw_picture(place)),
                "reconstruction": _noisy(place, generator),
            }
            for place, label in enumerate(CLASSES[:6])
        ]  # fmt: skip
        write_rows(data / f"reconstruct/examples_{name}.parquet", pictures)
    rows = []
    for name in data.restored:
        kept = [
            {
                "image_id": image_id(label), "class_name": label, "task": task, "original": png(draw_picture(place)),
                **{column: _noisy(place, generator, strength)
                   for column, strength in (("degraded", 60), ("restored", 30), ("clean", 10))},
            }
            for task in TASKS for place, label in enumerate(CLASSES[:2])
        ]  # fmt: skip
        write_rows(data / f"restore/examples_{name}.parquet", kept)
        conditions = {"restored": 0.3, "degraded tokens": 0.4, "random tokens": 0.8, "clean tokens": 0.0}
        rows += [
            {"tokenizer": name, "task": task, "condition": condition, "tokens_restored": generator.uniform(0, 1),
             **_measured(generator, worse)}
            for task in TASKS for condition, worse in conditions.items() for _ in range(4)
        ]  # fmt: skip
    by = ["tokenizer", "task", "condition"]
    _write_metrics(rows, data / "restore/rows.parquet", by, ["tokens_restored", *MEASURES])


def _write_masked(root: Path, generator: np.random.Generator) -> None:
    states = {"original": 0, "masked": 60, "before": 50, "after": 30, "clean": 10}
    kept = [
        {
            "image_id": image_id(label), "class_name": label,
            **{column: _noisy(place, generator, strength) for column, strength in states.items()},
        }
        for place, label in enumerate(CLASSES[2:6])
    ]  # fmt: skip
    write_rows(root / "masked/examples.parquet", kept)
    conditions = {"before tuning": 0.05, "after tuning": 0.3, "masked tokens": None, "random tokens": 0.0,
                  "clean tokens": 1.0}  # fmt: skip
    rows = [
        {"condition": condition, "tokens_restored": share, **_measured(generator, 1 - (share or 0.5))}
        for condition, share in conditions.items() for _ in CLASSES
    ]  # fmt: skip
    _write_metrics(rows, root / "masked/rows.parquet", ["condition"], ["tokens_restored", *MEASURES])


def _write_curves(data: FigureData, generator: np.random.Generator) -> None:
    steps = np.arange(0, 300, 10)
    for place, name in enumerate(data.tokenizers):
        terms = {"total": 1.4 + place / 10, "reconstruction": 0.3 + place / 20, "perceptual": 0.6, "quantizer": 0.02}
        decays = {
            term: high * (0.1 + 0.9 * np.exp(-steps / 80)) * np.exp(generator.normal(0, 0.05, len(steps)))
            for term, high in terms.items()
        }
        codes = 300 + 50 * place + generator.integers(0, 100, len(steps))
        late = np.where(steps >= 200, generator.normal(0.7, 0.05, len(steps)), np.nan)
        frame = pd.DataFrame({"step": steps, "epoch": steps / 281, **decays, "codes_in_batch": codes})
        write_rows(data / f"tokenizer/curves_{name}.csv", frame.assign(adversarial=late, unused=np.nan))
