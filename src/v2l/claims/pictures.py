"""Claims about decoded pictures (paper, Tables 3 and 4, Figure 8): items are held-out pictures."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd

from v2l.claims.statistics import Claim, item_means, judged, paired_difference, untested
from v2l.conditions import AFTER, BEFORE, RESTORED
from v2l.graph.spec import MAIN_TOKENIZER

RECONSTRUCTION_COLUMNS = ["image_id", "tokenizer", "psnr", "lpips_vgg"]
RESTORATION_COLUMNS = ["image_id", "tokenizer", "task", "condition", "lpips_vgg"]
MASKED_COLUMNS = ["image_id", "condition", "tokens_restored"]

# Label, unit, and the sign that makes a larger number the better one.
MEASURES = {"psnr": ("PSNR", "dB", 1), "lpips_vgg": ("LPIPS-VGG", "", -1)}
RIVALS = {
    "v2l_no_global": ("Global tokens improve reconstruction.", "V2L without global tokens"),
    "v2l_no_projector": ("The projector improves reconstruction.", "V2L without projector"),
    "vqgan": ("V2L reconstructs better than VQ-GAN at equal budget.", "VQ-GAN"),
    "lqae": ("V2L reconstructs better than LQAE-like at equal budget.", "LQAE-like"),
    "spae": ("V2L reconstructs better than SPAE-like at equal budget.", "SPAE-like"),
}
TASKS = ("inpainting", "outpainting", "deblurring", "rotation", "shift")
# Whose pictures are decoded with more than the restored tokens: see docs/protocol.md.
RESTORING_RIVALS = {"vqgan": "", "lqae": "", "spae": ", decoded with its clean coarser levels"}

Rows = Mapping[str, tuple[Path, pd.DataFrame]]


def reconstruction_claims(tokenizers: Rows, scale: str) -> list[Claim]:
    """tokenizers: file and rows of each, by name. scale: what pictures, and the budget of training."""
    return [
        _reconstruction(tokenizers, scale, rival, *words, measure)
        for rival, words in RIVALS.items()
        for measure in MEASURES
    ]


def _reconstruction(tokenizers: Rows, scale: str, rival: str, text: str, label: str, measure: str) -> Claim:
    name, unit, sign = MEASURES[measure]
    order = f"V2L minus {label}" if sign > 0 else f"{label} minus V2L"
    claim = Claim(f"reconstruction_{rival}_{measure}", text, f"{name}, {order}", unit, scale)
    if absent := [key for key in (MAIN_TOKENIZER, rival) if key not in tokenizers]:
        return untested(claim, f"no tokenizer {absent[0]} in this run")
    (own_file, own), (file, other) = tokenizers[MAIN_TOKENIZER], tokenizers[rival]
    pair = (sign * item_means(rows, "image_id", measure) for rows in (own, other))
    return judged(claim, paired_difference(*pair), [own_file, file])


def restoration_claims(tokenizers: Rows, llm: str) -> list[Claim]:
    """One a task: V2L against whichever baseline restores best, which makes the comparison a hard one."""
    return [_restoration(tokenizers, task, llm) for task in TASKS]


def _restoration(tokenizers: Rows, task: str, llm: str) -> Claim:
    claim = Claim(
        f"restoration_{task}", f"V2L's tokens restore better than the baselines' in {task}.",
        "LPIPS-VGG of restored pictures, best baseline minus V2L", "", f"{llm}, held-out pictures",
    )  # fmt: skip
    means = {}
    for name in (MAIN_TOKENIZER, *RESTORING_RIVALS):
        if name in tokenizers:
            rows = tokenizers[name][1]
            means[name] = item_means(
                rows[(rows["task"] == task) & (rows["condition"] == RESTORED)], "image_id", "lpips_vgg"
            )
    rivals = {name: series for name, series in means.items() if name != MAIN_TOKENIZER and len(series)}
    if MAIN_TOKENIZER not in means or not rivals:
        return untested(claim, "V2L or every baseline is missing in this run")
    best = min(rivals, key=lambda name: rivals[name].mean())
    named = replace(
        claim, statistic=f"LPIPS-VGG of restored pictures, best baseline ({best}{RESTORING_RIVALS[best]}) minus V2L"
    )
    files = [tokenizers[name][0] for name in (MAIN_TOKENIZER, best)]
    return judged(named, paired_difference(rivals[best], means[MAIN_TOKENIZER]), files)


def masked_claims(file: Path, rows: pd.DataFrame, llm: str) -> list[Claim]:
    claim = Claim(
        "masked_tuning", "Tuning with LoRA lets the LLM restore more masked tokens.",
        "share of masked tokens restored, after minus before tuning", "points", f"{llm}, held-out pictures",
    )  # fmt: skip
    sides = (item_means(rows[rows["condition"] == side], "image_id", "tokens_restored") for side in (AFTER, BEFORE))
    return [judged(claim, paired_difference(*sides), [file], factor=100)]
