"""Tables of decoded pictures: reconstruction, restoration in context, masked restoration."""

from collections.abc import Mapping

import pandas as pd

from v2l.conditions import AFTER, BEFORE, CLEAN, DEGRADED, MASKED, RANDOM, RESTORED
from v2l.graph.spec import MAIN_TOKENIZER
from v2l.metrics.entries import Metrics, metric_key
from v2l.report.cells import (
    Place,
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
from v2l.report.display import DISPLAYS, METHODS
from v2l.report.table_files import Table

TASKS = ("inpainting", "outpainting", "deblurring", "rotation", "shift")
FLOORS = (DEGRADED, RANDOM, CLEAN)  # the last is the ceiling
FRECHET = ("frechet_vgg16", "fid")
RESTORATION = ("tokens_restored", "lpips_vgg", "lpips_alex", "psnr", "ssim")
MASKED_CONDITIONS = (BEFORE, AFTER, MASKED, RANDOM, CLEAN)


def reconstruction_table(source: Source, printed: pd.DataFrame, seed: int) -> Table:
    """Table 3: reconstruction of held-out pictures, a row a tokenizer."""
    names = ("psnr", "ssim", "lpips_vgg", "lpips_alex", *dict.fromkeys((*_distances(source), "fid")))
    columns = [measure_column(name, ("table3", name)) for name in names]
    rows = {
        f"{METHODS.get(tokenizer, tokenizer)}, this run": {
            name: (source, metric_key(name, tokenizer=tokenizer)) for name in names
        }
        for tokenizer in ordered(values_of(source.metrics, "tokenizer"), METHODS)
    }
    cells = make_cells(rows, columns, printed)
    text = caption(
        cells,
        "Held-out pictures decoded from their tokens; tokenizers that are trained here learn from the same pictures "
        f"for the same number of steps. {_distance_note(source)}{_best_tokenizers(source)}",
        f"Brackets: 95 % t-interval over {items(cells, 'pictures')}.",
        seed,
    )
    return make_table("table3", "Reconstruction", text, columns, cells)


def _distances(source: Source) -> list[str]:
    """The Fréchet distances that the run has; one, as a rule."""
    return [name for name in FRECHET if any(key.startswith(f"{name} |") for key in source.metrics)]


def _distance_note(source: Source) -> str:
    """A sentence and a blank, or nothing."""
    if "frechet_vgg16" in _distances(source):
        return (
            "Fréchet (VGG16) is FID's formula on VGG16 features: no FID, and larger the fewer the pictures, so to be "
            "compared within this table alone. "
        )
    return "FID is larger the fewer the pictures. " if _distances(source) else ""


def _best_tokenizers(source: Source) -> str:
    """What to see: the tokenizer with the best mean of each measure."""
    best = {}
    for measure, choose in (("psnr", max), ("lpips_vgg", min)):
        found = {
            name: entry["value"]
            for name in values_of(source.metrics, "tokenizer")
            if (entry := source.metrics.get(metric_key(measure, tokenizer=name)))
        }
        if found:
            best[measure] = choose(found, key=found.get)
    listed = " and ".join(f"{METHODS.get(name, name)} by {DISPLAYS[measure].label}" for measure, name in best.items())
    return f"To see: the best mean is that of {listed}." if best else ""


def restoration_table(source: Source, printed: pd.DataFrame, seed: int) -> Table:
    """Table 4: restored pictures by task and tokenizer, with V2L's floors and ceiling."""
    names = (*RESTORATION, *_distances(source))
    columns = [measure_column(name, ("table4", name)) for name in names]
    tokenizers = ordered(values_of(source.metrics, "tokenizer"), METHODS)
    rows: dict[str, Mapping[str, Place]] = {}
    for task in ordered(values_of(source.metrics, "task"), TASKS):
        conditions = [(name, RESTORED) for name in tokenizers] + [(MAIN_TOKENIZER, floor) for floor in FLOORS]
        for tokenizer, condition in conditions:
            rows[f"{task}: {METHODS.get(tokenizer, tokenizer)}, {condition}"] = {
                name: (source, metric_key(name, tokenizer=tokenizer, task=task, condition=condition)) for name in names
            }
    cells = make_cells(rows, columns, printed)
    text = caption(
        cells,
        "Token maps of held-out pictures, degraded and restored by the frozen LLM in context, then decoded with the "
        "clean picture's global tokens (SPAE-like: its coarser levels). Tokens restored: share of the predicted "
        "positions with the clean picture's token. Floors: the degraded tokens left as they are, random ids in the "
        f"predicted positions; ceiling: the clean tokens. {_distance_note(source)}To see: "
        f"{what_is_restored(source.metrics, MAIN_TOKENIZER)}.",
        f"Brackets: 95 % t-interval over {items(cells, 'pictures')}; of tokens restored a Wilson interval.",
        seed,
    )
    return make_table("table4", "Restoration in context", text, columns, cells)


def what_is_restored(metrics: Metrics, tokenizer: str) -> str:
    """Where restored pictures are nearer to the clean one than degraded ones, and the shares of right tokens beside
    both floors."""

    def value(measure: str, task: str, condition: str) -> float | None:
        entry = metrics.get(metric_key(measure, tokenizer=tokenizer, task=task, condition=condition))
        return entry and entry["value"]

    def known(measure: str) -> dict[str, list[float]]:
        """By task: restored, degraded, random."""
        tasks = ordered(values_of(metrics, "task", tokenizer=tokenizer), TASKS)
        found = {task: [value(measure, task, each) for each in (RESTORED, DEGRADED, RANDOM)] for task in tasks}
        return {task: values for task, values in found.items() if None not in values}

    distances, shares = known("lpips_vgg"), known("tokens_restored")
    if not distances:
        return "the pictures themselves; they were not measured in this run"
    nearer = [task for task, (restored, degraded, _) in distances.items() if restored < degraded]
    sides = {
        "nearer to the clean picture than the degraded ones in": nearer,
        "no nearer in" if nearer else "no nearer to the clean picture than the degraded ones in": [
            task for task in distances if task not in nearer
        ],
    }
    counts = sorted({entry["n"] for key, entry in metrics.items() if key.startswith(f"lpips_vgg | {tokenizer} | ")})
    text = (
        f"by mean LPIPS-VGG of {' or '.join(f'{n:,}' for n in counts)} pictures, the restored tokens of "
        f"{METHODS.get(tokenizer, tokenizer)} are "
        + " and ".join(f"{side} {', '.join(tasks)}" for side, tasks in sides.items() if tasks)
    )
    number = DISPLAYS["tokens_restored"].number
    listed = [f"{task} {' / '.join(map(number, values))} %" for task, values in shares.items()]
    return f"{text}; right tokens, restored / degraded / random: {', '.join(listed)}" if listed else text


def masked_table(source: Source, seed: int) -> Table:
    """Table 7: masked restoration before and after tuning, with floors and ceiling."""
    names = ("tokens_restored", "psnr", "ssim", "lpips_vgg", "lpips_alex")
    columns = [measure_column(name) for name in names]
    rows = {
        condition: {name: (source, metric_key(name, condition=condition)) for name in names}
        for condition in ordered(values_of(source.metrics, "condition"), MASKED_CONDITIONS)
    }
    cells = make_cells(rows, columns)
    text = caption(
        cells,
        "Masked local tokens of held-out pictures filled in by the LLM, as it is and tuned with LoRA on maps of "
        "training pictures. Masked tokens: their features set to 0, the figure's input; random tokens: uniform ids "
        "in their place; clean tokens: the ceiling. "
        f"{standing(source, 'tokens_restored', AFTER, (BEFORE, RANDOM))}",
        f"Brackets: 95 % t-interval over {items(cells, 'pictures')}; of tokens restored a Wilson interval.",
        seed,
        published=False,
    )
    return make_table("table7", "Masked image restoration", text, columns, cells)
