"""How much work a configuration is: pictures, questions, prompt tokens, windows.

Prompts are counted from the suite's own texts, cut by the tokenizer of ``llm``; words, names, captions and questions
have the lengths that are assumed here.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from v2l.config.data import EpisodesConfig
from v2l.config.fewshot import InductionSetting, RunConfig
from v2l.config.restore import RestoreProtocol
from v2l.config.sources import (
    AnySourceConfig,
    CocoConfig,
    ImageNetConfig,
    MiniImageNetConfig,
    SourcesConfig,
    VqaV2Config,
)
from v2l.config.tree import Config
from v2l.data.manifest import HELDOUT, TRAIN
from v2l.data.sources import coco, imagenet, mini_imagenet, vqa_v2
from v2l.errors import ConfigError
from v2l.experiments.windows import input_positions, window_positions
from v2l.graph.spec import MAIN_TOKENIZER
from v2l.models.llm import Llm
from v2l.prompts.fewshot import ANSWER_LEAD, image_block, induction_line
from v2l.prompts.restore import RestorationPrompt

from ..common.sizes import LLAMA2_PARAMETERS


@dataclass(frozen=True)
class Lengths:
    """Assumed tokens of a text. ngram: of a word of a global codebook, without what separates it from the next."""

    ngram: float = 2.0  # the mean of orders 1, 2 and 3; 1.85 in the default's codebook, with its own LLM
    name: float = 3.0  # of a class, "golden retriever" for instance
    caption: float = 13.0  # ten to eleven words in COCO
    question: float = 8.0  # six words in VQA v2
    answer: float = 1.0


def num_parameters(source: str) -> int:
    """Of a LLaMA 2 by the size in its name. Raises ConfigError for another name."""
    found = re.search(r"(?<![\d.])(7|13|70)b(?![a-z])", source.lower())
    if found is None:
        raise ConfigError(f"llm.source: expected a LLaMA 2 with 7b, 13b or 70b in its name, found {source}")
    return LLAMA2_PARAMETERS[found[0]]


def num_pictures(data: SourcesConfig) -> dict[str, dict[str, int]]:
    """Rows by source and split, as the owners state them. Pictures of VQA v2 that are also COCO's are counted there.

    Raises ConfigError without ImageNet, which tokenizers are trained on.
    """
    found: dict[str, dict[str, int]] = {}
    for source in data.sources:
        counts = found.setdefault(source.kind, {TRAIN: 0, HELDOUT: 0})
        for split, number in _by_split(source, data):
            counts[split] += number
    if imagenet.KIND not in found:
        raise ConfigError(f"data.sources: expected one of kind imagenet, found {', '.join(found)}")
    return found


def _by_split(source: AnySourceConfig, data: SourcesConfig) -> Iterator[tuple[str, int]]:
    match source:
        case MiniImageNetConfig():
            for group, split in source.splits.items():
                yield split, mini_imagenet.NUM_CLASSES[group] * mini_imagenet.PICTURES_PER_CLASS
        case ImageNetConfig():
            yield from ((imagenet.SPLITS[split], imagenet.NUM_PICTURES[split]) for split in source.splits)
        case CocoConfig():
            counts = coco.COUNTS
            yield from ((coco.SPLITS[split], counts[f"{split}{source.year}"]["pictures"]) for split in source.splits)
        case VqaV2Config():
            shared = _captioned_splits(data, source.pictures or source.root)
            own = [split for split in source.splits if split not in shared]
            yield from ((coco.SPLITS[split], vqa_v2.COUNTS[split]["pictures"]) for split in own)


def _captioned_splits(data: SourcesConfig, folder: Path) -> set[str]:
    """The splits of COCO 2014 in a folder that a source of captions lists."""
    sources = (source for source in data.sources if isinstance(source, CocoConfig))
    return {split for source in sources if source.root == folder and source.year == 2014 for split in source.splits}


def limited(count: int, limit: int | None) -> int:
    return count if limit is None else min(count, limit)


def few_shot_pictures(config: Config) -> int:
    """At most so many pictures have to be encoded by tokenizers whose local tokens are a run's words."""
    if all(run.words in config.vocab.codebooks for run in config.fewshot.runs.values()):
        return 0
    pictures = num_pictures(config.data).get("mini_imagenet", {TRAIN: 0, HELDOUT: 0})
    drawn = sum(count * (ways * config.episodes.shots + 1) for ways, count in config.episodes.ways.items())
    of_support = pictures[TRAIN] if config.episodes.support_split == TRAIN else 0
    return min(drawn, pictures[HELDOUT] + of_support)


@dataclass(frozen=True)
class PromptCount:
    """questions; tokens of all their prompts; of these ``read`` at most, as common beginnings are read once."""

    questions: int = 0
    tokens: float = 0
    read: float = 0

    def __add__(self, other: "PromptCount") -> "PromptCount":
        return PromptCount(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))

    def __mul__(self, times: int) -> "PromptCount":
        return PromptCount(*(times * each for each in vars(self).values()))


class FewShotPrompts:
    """Prompt lengths of one run: instruction + ways x K x (1 + repeats) x (words + overhead) + query."""

    def __init__(self, run: RunConfig, separator: str, of_codebook: bool, lengths: Lengths, llm: Llm) -> None:
        """of_codebook: whether words are n-grams; the words of a tokenizer are single tokens."""
        self._run, self._lengths, self._llm = run, lengths, llm
        self._separator = separator if run.separator is None else run.separator
        self._word = lengths.ngram if of_codebook else 1.0
        self._block_overhead = self._count(image_block("a", "a") + "\n") - 2
        self._query_overhead = self._count(image_block("a", "").removesuffix(ANSWER_LEAD)) - 1

    def _count(self, text: str) -> int:
        return len(self._llm.tokenize([text])[0])

    def _words(self, num_global: int) -> float:
        # Joined with nothing, words keep the blank before the first, a second one after the prompt's own.
        between = (num_global - 1) * self._count(self._separator.rstrip()) if self._separator else 1
        return num_global * self._word + between

    def _instruction(self, ways: int) -> float:
        return self._count(induction_line(["a"] * ways)) + ways * (self._lengths.name - 1)

    def parts(self, ways: int, num_global: int, setting: InductionSetting) -> tuple[float, float, float]:
        """Tokens before the support, of the support given once, of the query."""
        before = len(self._llm.start_ids) + (self._instruction(ways) if setting.induction else 0)
        words = self._words(num_global)
        once = ways * setting.shots * (words + self._block_overhead + self._lengths.name)
        return before, once, words + self._query_overhead

    def of_episode(self, ways: int, num_global: int, queries: int) -> PromptCount:
        """All settings of an episode. Repeats of the same support begin alike; other settings share the instruction at
        most, which is not counted as shared."""
        questions, tokens, read = 0, 0.0, 0.0
        longest: dict[tuple[bool, int], float] = defaultdict(float)
        for setting in self._run.settings:
            before, once, query = self.parts(ways, num_global, setting)
            support = before + once * (1 + setting.repeats)
            questions += queries
            tokens += queries * (support + query)
            read += queries * query
            key = setting.induction, setting.shots
            longest[key] = max(longest[key], support)
        return PromptCount(questions, tokens, read + sum(longest.values()))

    def of_run(self, episodes: EpisodesConfig) -> PromptCount:
        """The whole run over drawn episodes."""
        total = PromptCount()
        for ways in self._run.ways or episodes.ways:
            queries = 1 if episodes.queries == "one" else ways
            for num_global in self._run.num_global:
                total += self.of_episode(ways, num_global, queries) * limited(episodes.ways[ways], self._run.per_way)
        return total


def few_shot_run(config: Config, name: str, lengths: Lengths, llm: Llm) -> PromptCount:
    """Questions and prompt tokens of one of the configured runs."""
    run = config.fewshot.runs[name]
    of_codebook = run.words in config.vocab.codebooks
    prompts = FewShotPrompts(run, config.fewshot.answer.separator, of_codebook, lengths, llm)
    return prompts.of_run(config.episodes)


def restoration_windows(protocol: RestoreProtocol, task: str, grid: int, llm: Llm) -> PromptCount:
    """All windows of one picture in a task. The instruction, which all prompts begin with, is not counted as read."""
    prompt = RestorationPrompt.make(llm, protocol.num_predicted)
    windows = window_positions(protocol.region(task, grid), grid, protocol.num_predicted)
    variants, tokens = len(protocol.replaced), 0
    for window in windows:
        shown = len(input_positions(window, task, protocol))
        line = len(prompt.input) + shown + len(prompt.output)
        tokens += (variants + 1) * line + variants * (len(window) + len(prompt.end))
    return PromptCount(len(windows), tokens + len(windows) * len(prompt.instruction), tokens)


def restoration_run(config: Config, name: str, llm: Llm) -> PromptCount:
    """Windows and prompt tokens of one of the configured runs."""
    protocol, grid = config.restore.protocol, config.tokenizers[config.restore.runs[name].tokenizer].grid
    picture = sum((restoration_windows(protocol, task, grid, llm) for task in protocol.tasks), PromptCount())
    return picture * restored_pictures(config)


def restored_pictures(config: Config) -> int:
    return limited(num_pictures(config.data)["imagenet"][HELDOUT], config.restore.protocol.max_images)


def encoded_pictures(config: Config) -> int:
    """Pictures that tokenizers encode: the main one all, the others those of reconstruction and few-shot runs."""
    pictures = num_pictures(config.data)
    every = sum(sum(splits.values()) for splits in pictures.values())
    asked = limited(pictures["imagenet"][HELDOUT], config.reconstruct.max_images) + few_shot_pictures(config)
    return every + asked * sum(name != MAIN_TOKENIZER for name in config.tokenizers)
