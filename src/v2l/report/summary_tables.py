"""Tables over all experiments: ablations, and the claims of the paper."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from v2l.claims.statistics import CONTRADICTED, NOT_TESTED, VERDICTS
from v2l.config.fewshot import RunConfig
from v2l.graph.spec import MAIN_TOKENIZER
from v2l.metrics.entries import metric_key, relative_name
from v2l.report.cells import Column, Place, Source, caption, make_cells, make_table, measure_column, ordered, values_of
from v2l.report.display import CODEBOOKS, DASH, DISPLAYS, METHODS
from v2l.report.language_tables import ONE_SHOT
from v2l.report.table_files import Cell, Table

# The verdict comes first, so that it is seen on a narrow screen too.
CLAIM_COLUMNS = {
    "verdict": "Verdict",
    "value": "Value [95 % interval]",
    "n": "n",
    "statistic": "Statistic",
    "scale": "Scale",
}
CLAIM_WIDTHS_CM = (3.6, 1.9, 2.4, 0.7, 3.6, 2.6)
CLAIM_DIGITS = {"points": 1, "dB": 2}
VARIANTS = (MAIN_TOKENIZER, "v2l_no_projector", "v2l_no_global")


def few_shot_place(classify: Source, runs: Mapping[str, RunConfig], words: str, ways: int, num_global: int) -> Place:
    """One-shot accuracy with induction of the first run that has these words and Kg."""
    for name, run in runs.items():
        key = metric_key("accuracy", run=name, ways=ways, num_global=num_global, setting=ONE_SHOT)
        if run.words == words and key in classify.metrics:
            return classify, key
    return None


def ablation_table(
    classify: Source, semantics: Source, reconstruct: Source, runs: Mapping[str, RunConfig], seed: int
) -> Table:
    """What changes with the number of words, the codebook, and parts of the tokenizer."""
    main = runs.get(MAIN_TOKENIZER)
    all_ways = values_of(classify.metrics, "ways")
    accuracy, clip = DISPLAYS["accuracy"], ("clip", "clip_r")
    columns = [
        *(Column(f"{ways}-way", f"{accuracy.label}, {ways}-way (%) ↑", accuracy) for ways in all_ways),
        *(measure_column(name) for name in (*clip, "codebook_size", "psnr", "lpips_vgg")),
    ]

    def words_row(codebook: str, num_global: int) -> dict[str, Place]:
        shots = {f"{ways}-way": few_shot_place(classify, runs, codebook, ways, num_global) for ways in all_ways}
        scores = {name: (semantics, metric_key(name, codebook=codebook, num_global=num_global)) for name in clip}
        return {**shots, **scores, "codebook_size": (semantics, metric_key("codebook_size", codebook=codebook))}

    all_num_global = values_of(semantics.metrics, "num_global")
    rows: dict[str, Mapping[str, Place]] = {
        f"Kg = {num_global}": words_row(main.words, num_global) for num_global in all_num_global if main
    }
    smallest = min(main.num_global if main else all_num_global, default=0)
    for codebook in ordered(values_of(semantics.metrics, "codebook"), CODEBOOKS):
        rows[f"codebook: {CODEBOOKS.get(codebook, codebook)}, Kg = {smallest}"] = words_row(codebook, smallest)
    for tokenizer in ordered(values_of(reconstruct.metrics, "tokenizer"), VARIANTS):
        if tokenizer in VARIANTS:
            rows[f"tokenizer: {METHODS[tokenizer]}"] = {
                name: (reconstruct, metric_key(name, tokenizer=tokenizer)) for name in ("psnr", "lpips_vgg")
            }
    cells = make_cells(rows, columns)
    text = caption(
        cells,
        "One thing changed at a time: the number of global tokens a picture, the n-grams of the global codebook and "
        "whether it is filtered, and parts of the tokenizer. Accuracy: one support example a class, with induction; "
        f"held-out pictures throughout. {_best_rows(cells)}",
        "Brackets: 95 % intervals (Wilson over episodes, t over pictures).",
        seed,
        published=False,
    )
    return make_table("ablations", "Ablations", text, columns, cells)


def _best_rows(cells: Sequence[Cell]) -> str:
    """What to see: the row with the best mean of each measure."""
    best = {}
    for cell in cells:
        if cell.value is not None and cell.column != "codebook_size":
            sign = -1 if cell.column == "lpips_vgg" else 1
            kept = best.get(cell.column)
            if kept is None or sign * cell.value > sign * kept.value:
                best[cell.column] = cell
    labels = {name: DISPLAYS[name].label if name in DISPLAYS else name for name in best}
    listed = "; ".join(f"{cell.row} ({labels[name]})" for name, cell in best.items())
    return f"To see: the best means are those of {listed}." if best else ""


def claims_table(file: Path, claims: list[dict[str, Any]], seed: int) -> Table:
    """The claims of the paper with statistic, interval, scale and verdict; contradicted ones in bold."""
    cells = [_claim_cell(relative_name(file), claim, column) for claim in claims for column in CLAIM_COLUMNS]
    contradicted = ", ".join(claim["id"] for claim in claims if claim["verdict"] == CONTRADICTED)
    text = (
        "Each claim is a difference between paired items, positive as claimed. "
        "Supported: the whole 95 % interval lies on the side of the claim; contradicted: on the other; else undecided. "
        "Where a claim says that nothing is lost, a loss up to the margin in its statistic counts as none. "
        "No correction for the number of claims: about one interval in twenty misses by chance. "
        f"{count_verdicts(claims)}. Contradicted: {contradicted or 'none'}. Seed {seed}."
    )
    columns, headings = list(CLAIM_COLUMNS), list(CLAIM_COLUMNS.values())
    return Table("claims", "Claims of the paper", text, "Claim", columns, headings, cells, CLAIM_WIDTHS_CM)


def count_verdicts(claims: list[dict[str, Any]]) -> str:
    """How many claims got each verdict, e.g. ``5 supported, 2 contradicted, 0 undecided, 1 not tested here``."""
    counts = {verdict: sum(claim["verdict"] == verdict for claim in claims) for verdict in VERDICTS}
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items())


def claim_value(claim: Mapping[str, Any]) -> str:
    """Value with interval and unit; a dash where there is none."""
    if claim["value"] is None:
        return DASH
    digits = CLAIM_DIGITS.get(claim["unit"], 3)
    value, low, high = (f"{claim[name]:+.{digits}f}" for name in ("value", "low", "high"))
    return f"{value} [{low}, {high}] {claim['unit']}".rstrip()


def _claim_cell(file: str, claim: Mapping[str, Any], column: str) -> Cell:
    """Every cell leads to its claim; the number itself is in the column value."""
    place = {"metrics_file": file, "metric_key": claim["id"], "files": tuple(claim["rows"])}
    row = f"{claim['claim']} ({claim['id']})"
    if column == "value":
        numbers = {name: claim[name] for name in ("value", "low", "high", "n")}
        return Cell(row, column, claim_value(claim), **numbers, unit=claim["unit"], **place)
    untested = claim["verdict"] == NOT_TESTED
    text = f"{claim['n']:,}" if column == "n" else claim[column]
    strong = column == "verdict" and claim["verdict"] == CONTRADICTED
    return Cell(row, column, DASH if column == "n" and untested else text, **place, strong=strong)
