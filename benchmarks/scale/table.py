"""Expected GPU hours of a configuration: what there is to do, over what one GPU was measured to do in a second."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from v2l.config.tree import Config
from v2l.data.manifest import HELDOUT, TRAIN
from v2l.data.sources.vqa_v2 import COUNTS as VQA_COUNTS
from v2l.models.llm import Llm
from v2l.vocab.embed import load_templates
from v2l.vocab.expand import MAX_ORDER

from ..common.machine import Measured
from ..common.sizes import LLAMA2_PARAMETERS
from .counts import (
    Lengths,
    encoded_pictures,
    few_shot_pictures,
    few_shot_run,
    limited,
    num_parameters,
    num_pictures,
    restoration_run,
    restored_pictures,
)

NUM_TOKENS = 32_000  # of LLaMA 2
CONDITIONS = 2  # picture words and random words, before and after tuning
DECODED = 4  # conditions of restoration: restored, degraded, random, clean


@dataclass(frozen=True)
class Row:
    """amount: how many ``unit``; formula: it in words.   measure: whose rate.   scale: how much heavier the LLM is."""

    stage: str
    formula: str
    amount: float
    unit: str
    measure: str
    scale: float = 1.0

    def hours(self, measured: Mapping[str, Measured]) -> float | None:
        """Hours of one GPU; None if its rate was not measured."""
        if self.measure not in measured:
            return None
        return self.amount * self.scale / measured[self.measure].rate(self.unit) / 3600


def rows(config: Config, lengths: Lengths, llm: Llm) -> list[Row]:
    """The stages that take a GPU long. llm: whose tokenizer cuts the prompts; data.kind must be sources."""
    return [*_picture_rows(config), *_language_rows(config, lengths, llm)]


def _picture_rows(config: Config) -> Iterator[Row]:
    pictures = num_pictures(config.data)
    rows_by_kind = {kind: sum(splits.values()) for kind, splits in pictures.items()}
    listed = " + ".join(f"{number:,} {kind}" for kind, number in rows_by_kind.items() if number)
    every = sum(rows_by_kind.values())
    yield Row("image-features", f"all pictures: {listed}", every, "pictures", "clip images")
    tokens, templates = config.vocab.expand.num_tokens or NUM_TOKENS, len(load_templates(config.vocab.embed.templates))
    texts = MAX_ORDER * tokens * templates
    formula = f"{MAX_ORDER} orders x {tokens:,} tokens x {templates} templates, at most (equal texts once)"
    yield Row("embed", formula, texts, "texts", "clip texts")
    train, count = pictures["imagenet"][TRAIN], len(config.tokenizers)
    formula = f"{config.train.epochs:g} epochs x {train:,} pictures x {count} tokenizers"
    yield Row("train", formula, config.train.epochs * train * count, "pictures", "training, features cached")
    heldout = limited(pictures["imagenet"][HELDOUT], config.reconstruct.max_images)
    few_shot = few_shot_pictures(config)
    formula = f"{every:,} by the main tokenizer + ({heldout:,} + {few_shot:,} few-shot, at most) x {count - 1} others"
    yield Row("local-tokens", formula, encoded_pictures(config), "pictures", "local tokens")
    formula = f"{heldout:,} pictures x {count} tokenizers"
    yield Row("reconstruct", formula, heldout * count, "pictures", "decoding and measures")
    restored, runs, tasks = restored_pictures(config), len(config.restore.runs), len(config.restore.protocol.tasks)
    formula = f"{restored:,} pictures x {tasks} tasks x {runs} runs x "
    amount = restored * tasks * runs
    yield Row("restore, encoding", formula + "2 (clean, degraded)", 2 * amount, "pictures", "local tokens")
    formula += f"{DECODED} conditions"
    yield Row("restore, decoding", formula, DECODED * amount, "pictures", "decoding and measures")


def _language_rows(config: Config, lengths: Lengths, llm: Llm) -> Iterator[Row]:
    def scale(source: str) -> float:
        return num_parameters(source) / LLAMA2_PARAMETERS["7b"]

    def heavier(source: str) -> str:
        return "" if scale(source) == 1 else f", x {scale(source):.2f} by parameters"

    own, pictures = config.llm.source, num_pictures(config.data)
    tokens = config.vocab.expand.num_tokens or NUM_TOKENS
    formula = f"{tokens:,} tokens, two greedy ones each" + heavier(own)
    yield Row("expand", formula, tokens, "tokens", "expansion", scale(own))
    for name, run in config.fewshot.runs.items():
        count, source = few_shot_run(config, name, lengths, llm), (run.llm or config.llm).source
        ways = run.ways or config.episodes.ways
        numbers = dict.fromkeys(limited(config.episodes.ways[each], run.per_way) for each in ways)
        formula = (
            f"{_listed(f'{number:,}' for number in numbers)} episodes x {_listed(ways)} ways x Kg "
            f"{_listed(run.num_global)} x {len(run.settings)} settings: {count.questions:,} questions of "
            f"{count.tokens:,.0f} tokens in all, read at most" + heavier(source)
        )
        yield Row(f"classify, {name}", formula, count.read, "prompt tokens", "few-shot", scale(source))
    if "coco" in pictures:
        asked = limited(pictures["coco"][HELDOUT], config.caption.max_images)
        formula = f"{asked:,} pictures x {CONDITIONS} conditions, {config.caption.num_context} samples each"
        yield Row("caption", formula + heavier(own), asked * CONDITIONS, "questions", "captions", scale(own))
    if any(source.kind == "vqa_v2" and "val" in source.splits for source in config.data.sources):
        asked = limited(VQA_COUNTS["val"]["questions"], config.vqa.max_questions)
        formula = f"{asked:,} questions x {CONDITIONS} conditions, {config.vqa.num_context} samples each"
        yield Row("vqa", formula + heavier(own), asked * CONDITIONS, "questions", "vqa", scale(own))
    for name, run in config.restore.runs.items():
        count, source = restoration_run(config, name, llm), (run.llm or config.llm).source
        windows, lines = count.questions // restored_pictures(config), len(config.restore.protocol.replaced) + 1
        formula = f"{restored_pictures(config):,} pictures x {windows} windows, {lines} lines each" + heavier(source)
        yield Row(f"restore, {name}", formula, count.read, "prompt tokens", "restoration", scale(source))
    formula = f"steps of {config.masked.lora.batch_size} maps" + heavier(own)
    yield Row("tune-lora", formula, config.masked.lora.steps, "steps", "LoRA", scale(own))
    asked = limited(pictures["imagenet"][HELDOUT], config.masked.max_images)
    formula = f"{asked:,} pictures x {CONDITIONS} (before and after tuning)" + heavier(own)
    yield Row("masked", formula, asked * CONDITIONS, "pictures", "masked maps", scale(own))


def _listed(numbers: Iterable[object]) -> str:
    return " and ".join(map(str, numbers))


def hours_table(table: list[Row], measured: Mapping[str, Measured]) -> str:
    """Markdown; rate and hours are left empty where nothing was measured, their sum where anything was not."""
    lines = ["| stage | what there is to do | amount | a second | GPU hours |", "| --- | --- | --- | --- | --- |"]
    spent_by_row = [row.hours(measured) for row in table]
    for row, hours in zip(table, spent_by_row, strict=True):
        rate = "" if hours is None else f"{measured[row.measure].rate(row.unit) / row.scale:,.4g}"
        spent = "" if hours is None else f"{hours:,.1f}"
        lines.append(f"| {row.stage} | {row.formula} | {row.amount:,.0f} {row.unit} | {rate} | {spent} |")
    total = "" if None in spent_by_row else f"{sum(spent_by_row):,.0f}"
    lines.append(f"| all of these | | | | {total} |")
    return "\n".join(lines)


def measured_table(measured: Mapping[str, Measured], peaks: Mapping[bool, float]) -> str:
    """Markdown. peaks: FLOP/s of matrix products in the configured precision (False) and in fp32 (True)."""
    lines = ["| measured | a second | share of the peak | peak memory |", "| --- | --- | --- | --- |"]
    for name, each in measured.items():
        rates = ", ".join(f"{each.rate(unit):,.4g} {unit}" for unit in each.items)
        share = f"{100 * each.flops / each.seconds / peaks[each.fp32]:.1f} %"
        memory = "" if each.memory_bytes is None else f"{each.memory_bytes / 1e9:.2f} GB"
        lines.append(f"| {name} | {rates} | {share} | {memory} |")
    return "\n".join(lines)
