"""Tables of what the LLM reads: few-shot classification, words, captions and answers."""

from collections.abc import Mapping

import pandas as pd

from v2l.conditions import PICTURE_WORDS, RANDOM_WORDS
from v2l.config.fewshot import AnswerConfig, InductionSetting, RunConfig
from v2l.metrics.entries import metric_key
from v2l.metrics.few_shot import AVERAGE
from v2l.report.cells import (
    Column,
    Source,
    caption,
    items,
    make_cells,
    make_table,
    measure_column,
    ordered,
    standing,
    values_of,
)
from v2l.report.display import CODEBOOKS, DISPLAYS, METHODS
from v2l.report.table_files import Table

ONE_SHOT = InductionSetting().name
WORDED = (PICTURE_WORDS, RANDOM_WORDS)


def few_shot_table(
    source: Source, printed: pd.DataFrame, runs: Mapping[str, RunConfig], answer: AnswerConfig, seed: int
) -> Table:
    """Table 1: rows method x ways x Kg, columns all settings of these methods and their average.

    A method that was run in some of the settings has no average: it would be one of other settings.
    """
    display = DISPLAYS["accuracy"]
    methods = {run: runs[run] for run in METHODS if run in runs}
    settings = list(dict.fromkeys(setting.name for run in methods.values() for setting in run.settings))
    columns = [Column(name, name, display, ("table1", name)) for name in (*settings, AVERAGE)]
    rows = {}
    for run, config in methods.items():
        names = [*settings, *([AVERAGE] if {setting.name for setting in config.settings} == set(settings) else [])]
        for ways in values_of(source.metrics, "ways", run=run):
            for num_global in values_of(source.metrics, "num_global", run=run):
                rows[f"{METHODS[run]}, {ways}-way, Kg={num_global}"] = {
                    name: (source, metric_key("accuracy", run=run, ways=ways, num_global=num_global, setting=name))
                    for name in names
                }
    cells = make_cells(rows, columns, printed)
    exact = answer.constraint == "exact"
    constraint = "one of the class names" if exact else "class names position by position (mixtures pass)"
    text = caption(
        cells,
        "Held-out query pictures classified by the frozen LLM from Kg words a picture: the best global tokens of V2L, "
        "the coarsest tokens of SPAE-like, the tokens of the other methods' maps in raster order. Words are "
        f"{_joined(methods, answer)}. K: support examples a class; repeats: further copies of each. With induction the "
        f"answer is constrained to {constraint}; without, it is free. {_one_shot(source, methods)}",
        f"Brackets: 95 % Wilson interval over {items(cells, 'episodes')}.",
        seed,
    )
    return make_table("table1", "Few-shot classification", text, columns, cells, corner=display.heading)


def _joined(methods: Mapping[str, RunConfig], answer: AnswerConfig) -> str:
    """What stands between words, and the methods in which it is something else."""

    def by(separator: str) -> str:
        return f"joined by {separator!r}" if separator else "joined by nothing"

    others: dict[str, list[str]] = {}
    for run, config in methods.items():
        if config.separator not in (None, answer.separator):
            others.setdefault(by(config.separator), []).append(METHODS[run])
    listed = [f"those of {' and '.join(names)} {joined}" for joined, names in others.items()]
    return ", ".join([by(answer.separator), *listed])


def _one_shot(source: Source, methods: Mapping[str, RunConfig]) -> str:
    """What to see: every method at its best Kg, one support example a class, with induction, most ways."""
    ways = max(values_of(source.metrics, "ways"), default=None)
    best = {}
    for run in methods:
        for num_global in values_of(source.metrics, "num_global", run=run):
            key = metric_key("accuracy", run=run, ways=ways, num_global=num_global, setting=ONE_SHOT)
            if key in source.metrics:
                value = source.metrics[key]["value"]
                best[run] = max(best.get(run, (0, 0)), (value, num_global))
    if not best:
        return ""
    ranked = sorted(best, key=lambda run: -best[run][0])
    number = DISPLAYS["accuracy"].number
    listed = ", ".join(f"{METHODS[run]} {number(best[run][0])} (Kg={best[run][1]})" for run in ranked)
    return f"To see: {ways}-way, {ONE_SHOT}, each at its best Kg, in %: {listed}; chance {number(1 / ways)}."


def semantics_table(source: Source, printed: pd.DataFrame, seed: int) -> Table:
    """Table 2: rows codebook x Kg, columns CLIP score, relative CLIP score, codebook size."""
    columns = [
        measure_column("clip", ("table2", "clip")),
        measure_column("clip_r", ("table2", "clip_r")),
        measure_column("codebook_size", ("settings", "global_codebook_size")),
    ]
    rows = {
        f"{CODEBOOKS.get(codebook, codebook)}, Kg={num_global}": {
            "clip": (source, metric_key("clip", codebook=codebook, num_global=num_global)),
            "clip_r": (source, metric_key("clip_r", codebook=codebook, num_global=num_global)),
            "codebook_size": (source, metric_key("codebook_size", codebook=codebook)),
        }
        for codebook in ordered(values_of(source.metrics, "codebook"), CODEBOOKS)
        for num_global in values_of(source.metrics, "num_global")
    }
    cells = make_cells(rows, columns, printed)
    text = caption(
        cells,
        "How well the Kg global tokens of held-out pictures fit them, by the n-gram orders that the global codebook "
        "may draw on. CLIP: cosine of image and text embedding, mean over tokens; CLIP-R: relative CLIP score. "
        f"{_best_codebooks(source)}",
        f"Brackets: 95 % t-interval over {items(cells, 'pictures')}.",
        seed,
    )
    return make_table("table2", "Semantic quality of global tokens", text, columns, cells)


def _best_codebooks(source: Source) -> str:
    """What to see: the codebook with the highest mean of each score, at the smallest Kg."""
    num_global = min(values_of(source.metrics, "num_global"), default=None)
    best = {}
    for measure in ("clip", "clip_r"):
        found = {
            codebook: entry["value"]
            for codebook in values_of(source.metrics, "codebook")
            if (entry := source.metrics.get(metric_key(measure, codebook=codebook, num_global=num_global)))
        }
        if found:
            best[measure] = max(found, key=found.get)
    listed = " and ".join(f"{DISPLAYS[name].label} with {CODEBOOKS.get(book, book)}" for name, book in best.items())
    return f"To see: at Kg={num_global} the means are highest in {listed}." if best else ""


def caption_table(source: Source, seed: int) -> Table:
    """Table 5: caption scores with the picture's words, with random ones, and of the most frequent caption."""
    columns = [measure_column(name) for name in ("cider_d", "bleu_4", "rouge_l")]
    conditions = ordered(values_of(source.metrics, "condition"), WORDED)
    rows = {
        condition: {column.id: (source, metric_key(column.id, condition=condition)) for column in columns}
        for condition in conditions
    }
    cells = make_cells(rows, columns)
    text = caption(
        cells,
        "Captions of held-out pictures by the frozen LLM after in-context samples. Below the picture's own words two "
        "floors: random words in their place, and the caption that training pictures have most often. References of "
        "emoji are names and tags of one to three words, which leaves BLEU-4 hardly a 4-gram to count. "
        f"{standing(source, 'cider_d', PICTURE_WORDS, conditions[1:])}",
        f"Brackets: 95 % t-interval over {items(cells, 'pictures')}; of BLEU-4 a bootstrap interval.",
        seed,
        published=False,
    )
    return make_table("table5", "Captioning", text, columns, cells)


def vqa_table(source: Source, seed: int) -> Table:
    """Table 6: VQA accuracy over all questions and by answer type."""
    display = DISPLAYS["vqa_accuracy"]
    kinds = values_of(source.metrics, "answer_type")
    conditions = ordered(values_of(source.metrics, "condition"), WORDED)
    columns = [Column("all", "All", display), *(Column(kind, kind.capitalize(), display) for kind in kinds)]
    rows = {
        condition: {
            "all": (source, metric_key("vqa_accuracy", condition=condition)),
            **{kind: (source, metric_key("vqa_accuracy", kind=kind, condition=condition)) for kind in kinds},
        }
        for condition in conditions
    }
    cells = make_cells(rows, columns)
    text = caption(
        cells,
        "Questions about held-out pictures, answered by the frozen LLM after in-context samples and scored by the "
        "official VQA rule. Questions about emoji are templates filled from the pictures' groups. Below the picture's "
        "own words two floors: random words in their place, and the most frequent answer of the question's type. "
        f"{standing(source, 'vqa_accuracy', PICTURE_WORDS, conditions[1:])}",
        f"Brackets: 95 % Wilson interval over {items(cells, 'questions')}, those about one picture taken together.",
        seed,
        published=False,
    )
    return make_table("table6", "Visual question answering", text, columns, cells, corner=display.heading)
