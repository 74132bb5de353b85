"""All figures, each as PNG and PDF with a caption that says what it shows, on which data, and the one thing to see."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from v2l.artifacts import read_json, read_rows, write_json, write_rows
from v2l.config.fewshot import RunConfig
from v2l.config.figures import FiguresConfig
from v2l.errors import ArtifactError
from v2l.metrics.entries import Metrics
from v2l.report import ablation_figure, charts, few_shot_figure, language_figures, pictures, restoration_figures
from v2l.report.saver import house_style, save_figure


@dataclass(frozen=True)
class Captioned:
    """name: of the files; ``fig5`` is Figure 5 of the paper, any other name one of this suite's own."""

    name: str
    title: str
    figure: Figure
    caption: str

    @property
    def heading(self) -> str:
        number = re.fullmatch(r"fig(\d+)", self.name)
        return f"Figure {number[1]}. {self.title}" if number else f"Figure. {self.title}"


def figures(
    manifest: Path,
    words_tokens: Path,
    words_rows: Path,
    classify: Path,
    semantics: Path,
    reconstruct: Path,
    reconstruct_examples: Sequence[Path],
    restore_examples: Sequence[Path],
    restore: Path,
    caption: Path,
    vqa: Path,
    masked_examples: Path,
    masked: Path,
    usage: Path,
    folder: Path,
    config: FiguresConfig,
    runs: Mapping[str, RunConfig],
    seed: int,
    curves: Sequence[Path] = (),
) -> None:
    """Writes every figure (.png, .pdf, .txt), index.json, and few_shot.csv, all accuracies for other plotters.

    words_tokens, words_rows: global tokens of the main codebook, and its rows. Whatever tokenizers, runs and tasks
    there are is shown. Raises ArtifactError, DataError for a broken picture.
    """
    folder.mkdir(parents=True, exist_ok=True)
    accuracies, decoded = read_json(classify), read_json(reconstruct)
    words = pictures.PictureWords(words_tokens, words_rows, config.num_words)
    with house_style():
        drawn = [
            _language(manifest, words, caption, vqa, config, seed),
            _words(manifest, words, config, seed),
            _restored(restore_examples, read_json(restore), seed),
            _masked(masked_examples, read_json(masked), seed),
            _reconstructions(reconstruct_examples, decoded, config, seed),
            _few_shot(accuracies, runs, seed),
            _ablation(accuracies, read_json(semantics), decoded, runs, seed),
            _codebook(usage, seed),
            *([_curves(curves, seed)] if curves else []),
        ]
        write_json(folder / "index.json", list(_save(drawn, folder)))
    write_rows(folder / "few_shot.csv", few_shot_figure.few_shot_data(accuracies, runs))


def _save(drawn: Sequence[Captioned], folder: Path) -> Iterator[dict[str, str]]:
    for item in drawn:
        (folder / f"{item.name}.txt").write_text(f"{item.heading}. {item.caption}\n", encoding="utf-8")
        files = save_figure(item.figure, folder, item.name)
        yield {"name": item.name, "title": item.title, "caption": item.caption, **files}


def _language(
    manifest: Path, words: pictures.PictureWords, caption: Path, vqa: Path, config: FiguresConfig, seed: int
) -> Captioned:
    captions, answers = language_figures.read_captions(caption), language_figures.read_answers(vqa)
    paths = read_rows(manifest, ["image_id", "path"]).set_index("image_id")["path"].to_dict()
    shown = [language_figures.choose(rows, config.num_answers) for rows in (captions, answers)]
    figure = language_figures.language_figure(
        language_figures.captioned(shown[0], manifest, paths, words),
        language_figures.answered(shown[1], manifest, paths, words),
    )
    text = language_figures.language_caption(captions, answers, *shown, seed)
    return Captioned("fig5", "Captions and answers of the frozen LLM", figure, text)


def _words(manifest: Path, words: pictures.PictureWords, config: FiguresConfig, seed: int) -> Captioned:
    rows = read_rows(manifest, ["image_id", "path", "split", "class_id", "class_name"])
    chosen = pictures.choose_pictures(rows, config.num_pictures)
    if chosen.empty:
        raise ArtifactError(f"{manifest}: expected held-out pictures, found none")
    items = pictures.read_worded_pictures(chosen, words, manifest.parent)
    figure = pictures.words_figure(items)
    return Captioned("fig6", "Pictures and their best words", figure, pictures.words_caption(items, seed))


def _restored(examples: Sequence[Path], metrics: Metrics, seed: int) -> Captioned:
    restored = restoration_figures.read_restored(examples)
    figure = restoration_figures.restoration_figure(restored)
    text = restoration_figures.restoration_caption(restored, metrics, seed)
    return Captioned("fig7", "Restoration in context", figure, text)


def _masked(examples: Path, metrics: Metrics, seed: int) -> Captioned:
    items = restoration_figures.read_masked(examples)
    figure = restoration_figures.masked_figure(items)
    return Captioned(
        "fig8", "Masked image restoration", figure, restoration_figures.masked_caption(items, metrics, seed)
    )


def _reconstructions(examples: Sequence[Path], metrics: Metrics, config: FiguresConfig, seed: int) -> Captioned:
    items = pictures.read_examples(examples, config.num_pictures)
    figure = pictures.reconstruction_figure(items)
    text = pictures.reconstruction_caption(items, metrics, seed)
    return Captioned("reconstruction", "Reconstructions by tokenizer", figure, text)


def _few_shot(metrics: Metrics, runs: Mapping[str, RunConfig], seed: int) -> Captioned:
    figure = few_shot_figure.few_shot_figure(metrics, runs)
    return Captioned("few_shot", "Few-shot accuracy", figure, few_shot_figure.few_shot_caption(metrics, runs, seed))


def _ablation(
    classify: Metrics, semantics: Metrics, reconstruct: Metrics, runs: Mapping[str, RunConfig], seed: int
) -> Captioned:
    panels = ablation_figure.ablation_panels(classify, semantics, reconstruct, runs)
    figure = ablation_figure.ablation_figure(panels)
    return Captioned("ablation", "Ablations", figure, ablation_figure.ablation_caption(panels, seed))


def _codebook(usage: Path, seed: int) -> Captioned:
    rows = read_rows(usage, ["kind", "split", "order", "count"])
    return Captioned(
        "codebook", "Use of the codebooks", charts.codebook_figure(rows), charts.codebook_caption(rows, seed)
    )


def _curves(files: Sequence[Path], seed: int) -> Captioned:
    curves = charts.read_curves(files)
    return Captioned("curves", "Training curves", charts.curves_figure(curves), charts.curves_caption(curves, seed))
