"""All figures, each as PNG and PDF with a caption that says what it shows, on which data, and the one thing to see."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from v2l.artifacts import read_json, read_rows, write_json, write_rows
from v2l.config.fewshot import FewShotConfig
from v2l.config.figures import FiguresConfig
from v2l.errors import ArtifactError
from v2l.report import charts, pictures
from v2l.report.saver import house_style, save_figure


@dataclass(frozen=True)
class Captioned:
    title: str
    figure: Figure
    caption: str


def figures(
    manifest: Path,
    global_tokens: Path,
    global_rows: Path,
    classify: Path,
    examples: Path,
    usage: Path,
    curves: Path,
    folder: Path,
    config: FiguresConfig,
    fewshot: FewShotConfig,
    seed: int,
) -> None:
    """Writes fig1 to fig5 (.png, .pdf, .txt), index.json, and few_shot.csv, the points of one for other plotters.

    Raises ArtifactError, DataError for a broken picture.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with house_style():
        drawn = [
            _words(manifest, global_tokens, global_rows, config, seed),
            _reconstructions(examples, config, seed),
            _few_shot(classify, fewshot, seed),
            _codebook(usage, seed),
            _curves(curves, seed),
        ]
        write_json(folder / "index.json", list(_save(drawn, folder)))
    write_rows(folder / "few_shot.csv", charts.few_shot_data(read_json(classify), fewshot))


def _save(drawn: list[Captioned], folder: Path) -> Iterator[dict[str, str]]:
    for number, item in enumerate(drawn, start=1):
        name = f"fig{number}"
        (folder / f"{name}.txt").write_text(f"Figure {number}. {item.title}. {item.caption}\n", encoding="utf-8")
        yield {"name": name, "title": item.title, "caption": item.caption, **save_figure(item.figure, folder, name)}


def _words(manifest: Path, global_tokens: Path, global_rows: Path, config: FiguresConfig, seed: int) -> Captioned:
    rows = read_rows(manifest, ["image_id", "path", "split", "class_id", "class_name"])
    chosen = pictures.choose_pictures(rows, config.num_pictures)
    if chosen.empty:
        raise ArtifactError(f"{manifest}: expected held-out pictures, found none")
    items = pictures.read_worded_pictures(
        chosen,
        read_rows(global_tokens, ["image_id", "global_ids"]),
        read_rows(global_rows, ["order", "text"]),
        manifest.parent,
        config.num_words,
    )
    return Captioned("Pictures and their best words", pictures.words_figure(items), pictures.words_caption(items, seed))


def _reconstructions(examples: Path, config: FiguresConfig, seed: int) -> Captioned:
    rows = read_rows(examples, ["image_id", "class_name", "original", "reconstruction"]).head(config.num_pictures)
    if rows.empty:
        raise ArtifactError(f"{examples}: expected pictures, found none")
    items = pictures.decode_examples(rows, examples)
    figure, caption = pictures.reconstruction_figure(items), pictures.reconstruction_caption(items, seed)
    return Captioned("Reconstructions", figure, caption)


def _few_shot(classify: Path, fewshot: FewShotConfig, seed: int) -> Captioned:
    metrics = read_json(classify)
    figure, caption = charts.few_shot_figure(metrics, fewshot), charts.few_shot_caption(metrics, fewshot, seed)
    return Captioned("Few-shot accuracy", figure, caption)


def _codebook(usage: Path, seed: int) -> Captioned:
    rows = read_rows(usage, ["kind", "split", "order", "count"])
    return Captioned("Use of the codebooks", charts.codebook_figure(rows), charts.codebook_caption(rows, seed))


def _curves(curves: Path, seed: int) -> Captioned:
    read_rows(curves, ["step"])  # says clearly what is wrong with the file; which terms it has depends on the training
    rows = pd.read_csv(curves)
    if not charts.curve_names(rows):
        raise ArtifactError(f"{curves}: expected a column with logged values beside step, found none")
    return Captioned("Training curves", charts.curves_figure(rows), charts.curves_caption(rows, seed))
