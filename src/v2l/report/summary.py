"""The closing words of a run: its main figures in a few lines, and where the report lies."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from v2l.artifacts import PROVENANCE_SUFFIX, read_json
from v2l.conditions import AFTER, CLEAN, DEGRADED, PICTURE_WORDS, RANDOM, RESTORED
from v2l.config.fewshot import RunConfig
from v2l.config.tree import Config
from v2l.graph.spec import MAIN_TOKENIZER
from v2l.metrics.entries import Metrics, metric_key
from v2l.report.cells import ordered, values_of
from v2l.report.display import CODEBOOKS, DASH, DISPLAYS, METHODS
from v2l.report.language_tables import ONE_SHOT
from v2l.report.picture_tables import TASKS
from v2l.report.provenance import job_name
from v2l.report.summary_tables import count_verdicts

LABEL_LENGTH = 17


def summary(config: Config, results: Path) -> str:
    """A line a subject; main values with their intervals. Raises ArtifactError if a stage has not run."""
    data = read_json(results / "data" / "report.json")

    def of(family: str) -> Metrics:
        return read_json(results / family / "metrics.json")

    lines = {
        "pictures": f"{data['num_pictures']:,} of {data['num_classes']} classes{_heldout(config)}",
        **_locked_text(results / "clip" / "metrics.json"),
        **_words(of("semantics"), config.vocab.main),
        **_few_shot(of("classify"), config.fewshot.runs),
        "reconstruction": _reconstruction(of("reconstruct")),
        "restoration": _restoration(of("restore")),
        "captions": _beside_floors(of("caption"), "cider_d", PICTURE_WORDS),
        "answers": _beside_floors(of("vqa"), "vqa_accuracy", PICTURE_WORDS),
        "masked tokens": _beside_floors(of("masked"), "tokens_restored", AFTER, [CLEAN]),
        "claims": count_verdicts(read_json(results / "claims" / "claims.json")),
        "cost": _cost(results),
    }
    return "\n".join(
        [
            f"Results of {config.name}, seed {config.seed}",
            *(f"  {label:<{LABEL_LENGTH}} {text}" for label, text in lines.items()),
            f"Report: {results / 'report.html'}",
        ]
    )


def _heldout(config: Config) -> str:
    return f", family {config.data.heldout_family} held out" if config.data.kind == "emoji" else ""


def _value(metrics: Metrics, measure: str, interval: bool = True, **parts: Any) -> str:
    """A value as in tables, with its unit; a dash where there is none."""
    display, entry = DISPLAYS[measure], metrics.get(metric_key(measure, **parts))
    if entry is None:
        return DASH
    return f"{display.text(entry) if interval else display.number(entry['value'])} {display.unit}".rstrip()


def _locked_text(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    metrics = read_json(path)
    texts = [f"top-{k} {DISPLAYS[f'zero_shot_top{k}'].text(metrics[f'zero_shot_top{k} | held-out'])} %" for k in (1, 5)]
    return {"CLIP, zero-shot": ", ".join(texts)}


def _words(metrics: Metrics, main: str) -> dict[str, str]:
    """Size and CLIP score of the main codebook, and of the others at the same Kg."""
    num_global = min(values_of(metrics, "num_global", codebook=main))
    others = [name for name in ordered(values_of(metrics, "codebook"), CODEBOOKS) if name != main]
    texts = []
    for name in (main, *others):
        score = _value(metrics, "clip", name == main, codebook=name, num_global=num_global)
        texts.append(f"{CODEBOOKS.get(name, name)} {score} ({_value(metrics, 'codebook_size', codebook=name)})")
    return {"words": f"CLIP score, Kg={num_global}: {'; '.join(texts)}"}


def _few_shot(metrics: Metrics, runs: Mapping[str, RunConfig]) -> dict[str, str]:
    """One-shot accuracy with induction, a line for each number of ways."""
    return {
        f"{ways}-way 1-shot": "; ".join([*_accuracies(metrics, runs, ways), f"chance {100 / ways:.0f} %"])
        for ways in values_of(metrics, "ways")
    }


def _accuracies(metrics: Metrics, runs: Iterable[str], ways: int) -> Iterator[str]:
    """The methods that were run with so many ways in that setting, each with every Kg; V2L with intervals."""
    for run in (name for name in METHODS if name in runs):
        texts = []
        for num_global in values_of(metrics, "num_global", run=run, ways=ways):
            parts = {"run": run, "ways": ways, "num_global": num_global, "setting": ONE_SHOT}
            texts.append(f"Kg={num_global} {_value(metrics, 'accuracy', run == MAIN_TOKENIZER, **parts)}")
        if texts:
            yield f"{METHODS[run]} {', '.join(texts)}"


def _reconstruction(metrics: Metrics) -> str:
    texts = []
    for name in ordered(values_of(metrics, "tokenizer"), METHODS):
        values = [
            f"{DISPLAYS[measure].label} {_value(metrics, measure, name == MAIN_TOKENIZER, tokenizer=name)}"
            for measure in ("psnr", "lpips_vgg")
        ]
        texts.append(f"{METHODS.get(name, name)} {', '.join(values)}")
    return "; ".join(texts)


def _restoration(metrics: Metrics) -> str:
    """Share of tokens that V2L restores, that are right as they are, and that random ids would restore."""
    main = {"tokenizer": MAIN_TOKENIZER}
    texts = []
    for task in ordered(values_of(metrics, "task", **main), TASKS):
        own, *floors = (
            _value(metrics, "tokens_restored", condition == RESTORED, task=task, condition=condition, **main)
            for condition in (RESTORED, DEGRADED, RANDOM)
        )
        texts.append(f"{task} {own} (degraded {floors[0]}, random {floors[1]})")
    return f"V2L, tokens restored: {'; '.join(texts)}"


def _beside_floors(metrics: Metrics, measure: str, own: str, without: Iterable[str] = ()) -> str:
    """A condition's value with its interval, then the others' values."""
    others = [
        f"{name} {_value(metrics, measure, False, condition=name)}"
        for name in values_of(metrics, "condition")
        if name not in (own, *without) and metric_key(measure, condition=name) in metrics
    ]
    return "; ".join([f"{DISPLAYS[measure].label} {_value(metrics, measure, condition=own)} {own}", *others])


def _cost(results: Path) -> str:
    """Sums over the jobs' provenance, each job once though it may have several outputs."""
    records = [read_json(path) for path in results.rglob(f"*{PROVENANCE_SUFFIX}")]
    jobs = {job_name(record): record for record in records if "shard" not in record}
    stages = {record["stage"] for record in jobs.values()}
    seconds = sum(record["wall_seconds"] for record in jobs.values())
    peak = max(record["peak_memory_bytes"] for record in jobs.values())
    return f"{len(stages)} stages, {len(jobs)} jobs, {seconds / 60:.1f} min of work, peak memory {peak / 2**30:.1f} GiB"
