"""The closing words of a run: its main figures in a few lines, and where the report lies."""

from collections.abc import Iterator
from pathlib import Path

from v2l.artifacts import PROVENANCE_SUFFIX, read_json
from v2l.config.tree import Config
from v2l.metrics.entries import Metrics, metric_key
from v2l.metrics.few_shot import AVERAGE
from v2l.report.display import DISPLAYS, display_of


def summary(config: Config, results: Path) -> str:
    """A line a subject, each value with its interval. Raises ArtifactError if a stage has not run."""
    data = read_json(results / "data" / "report.json")
    lines = [
        f"Results of {config.name}, seed {config.seed}",
        f"  pictures          {data['num_pictures']:,} of {data['num_classes']} concepts, "
        f"family {config.data.heldout_family} held out",
        *_locked_text(results / "clip" / "metrics.json"),
        *_semantics(read_json(results / "semantics" / "metrics.json"), config.semantics.num_global),
        *_few_shot(read_json(results / "classify" / "metrics.json"), config),
        f"  reconstruction    {_values(read_json(results / 'reconstruct' / 'metrics.json'))}",
        f"  cost              {_cost(results)}",
        f"Report: {results / 'report.html'}",
    ]
    return "\n".join(lines)


def _locked_text(path: Path) -> Iterator[str]:
    if path.is_file():
        metrics = read_json(path)
        texts = [
            f"top-{k} {DISPLAYS[f'zero_shot_top{k}'].text(metrics[f'zero_shot_top{k} | held-out'])} %" for k in (1, 5)
        ]
        yield f"  CLIP, zero-shot   {', '.join(texts)}"


def _semantics(metrics: Metrics, num_global: list[int]) -> Iterator[str]:
    for codebook in ("order 1", "orders 1-3"):
        size = DISPLAYS["codebook_size"].text(metrics[metric_key("codebook_size", codebook=codebook)])
        score = DISPLAYS["clip"].text(metrics[metric_key("clip", codebook=codebook, num_global=num_global[0])])
        yield f"  {f'words, {codebook}':<17} {size} in the codebook, CLIP score {score} with Kg={num_global[0]}"


def _few_shot(metrics: Metrics, config: Config) -> Iterator[str]:
    one_shot = next((s.name for s in config.fewshot.settings if s.induction and s.shots == 1), AVERAGE)
    for ways in config.episodes.ways:
        keys = {
            kg: metric_key("accuracy", ways=ways, num_global=kg, setting=one_shot) for kg in config.fewshot.num_global
        }
        texts = [f"Kg={kg} {DISPLAYS['accuracy'].text(metrics[key])} %" for kg, key in keys.items()]
        yield f"  {ways}-way 1-shot      {', '.join(texts)} (chance {100 / ways:.0f} %)"


def _values(metrics: Metrics) -> str:
    shown = []
    for name, entry in metrics.items():
        display = display_of(name, entry)
        shown.append(f"{display.label} {display.text(entry)} {display.unit}".rstrip())
    return ", ".join(shown)


def _cost(results: Path) -> str:
    """Sums over the stages' provenance, each stage once though it may have several outputs."""
    runs = {}
    for path in results.rglob(f"*{PROVENANCE_SUFFIX}"):
        record = read_json(path)
        runs[record["stage"]] = (record["wall_seconds"], record["peak_memory_bytes"])
    seconds = sum(wall for wall, _ in runs.values())
    peak = max(memory for _, memory in runs.values())
    return f"{len(runs)} stages, {seconds / 60:.1f} min of work, peak memory {peak / 2**30:.1f} GiB"
