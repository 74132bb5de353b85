"""Stage ``classify``: few-shot classification with the frozen LLM (paper, Table 1)."""

import hashlib
import logging
import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from v2l.artifacts import write_rows
from v2l.config.fewshot import AnswerConfig, InductionSetting, RunConfig
from v2l.config.llm import LlmConfig
from v2l.data.episodes import Episode, chosen_episodes, episodes_by_shots, read_episodes, used_pictures
from v2l.models.llm import Llm, load_llm
from v2l.models.llm_decoding import Decoding, Free, OneOf
from v2l.models.llm_generation import Request, shared_segments
from v2l.prompts.fewshot import ANSWER_CUE, ANSWER_LEAD, BLOCK_START, classification_prompt, join_words
from v2l.runtime import Runtime
from v2l.shards import WHOLE, Shard
from v2l.words.spelling import read_words

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Decision:
    """One question to the LLM: an episode in one setting with Kg words an image."""

    episode: Episode
    num_global: int
    setting: InductionSetting
    prompt: str


def classify(
    episodes: Path,
    words: Path,
    predictions: Path,
    answer: AnswerConfig,
    run_config: RunConfig,
    run: str,
    llm: LlmConfig,
    runtime: Runtime,
    shard: Shard = WHOLE,
) -> None:
    """Writes one row a decision of the run called ``run``, ordered by episode, Kg and setting as in the configuration.

    Raises ArtifactError if a picture has no words, and ModelError if a prompt exceeds the LLM's context.
    """
    everyone = chosen_episodes(read_episodes(episodes), run_config)
    answered = {shots: set(episodes_by_shots(everyone, shots)) for shots in {s.shots for s in run_config.settings}}
    drawn = whole_episodes([each for each in everyone if any(each in some for some in answered.values())], shard)
    read = read_words(words, used_pictures(drawn, run_config.max_shots), max(run_config.num_global))
    separator = answer.separator if run_config.separator is None else run_config.separator
    decisions = make_decisions(drawn, answered, read, run_config, separator)
    source = run_config.llm or llm
    model = load_llm(source, runtime)
    requests = make_requests(decisions, model, answer)
    answers = model.decode(model.generate(requests, f"classification, {run}"))
    table = prediction_rows(decisions, requests, answers).assign(
        run=run, words=run_config.words, llm=source.source, llm_parameters=model.num_parameters
    )
    write_rows(predictions, table)
    logger.info("%s: %d decisions, %.3f correct", run, len(table), table["correct"].mean())


def whole_episodes(questions: Sequence[Episode], shard: Shard) -> list[Episode]:
    """The part's questions; those of an episode stay together, as their prompts share what is read.

    What is read of an episode grows with its ways.
    """
    ways = {question.episode_id: question.ways for question in questions}
    kept = set(shard.of_weighted(list(ways), list(ways.values())))
    return [question for question in questions if question.episode_id in kept]


def make_decisions(
    episodes: Sequence[Episode],
    answered: Mapping[int, Collection[Episode]],
    words: Mapping[str, Sequence[str]],
    run: RunConfig,
    separator: str,
) -> list[Decision]:
    """Every episode with every Kg in every setting that answers it.

    answered: by K. words: texts of each picture, best first.
    """

    def read(image_id: str, num_global: int) -> str:
        return join_words(words[image_id][:num_global], separator)

    return [
        Decision(
            episode,
            num_global,
            setting,
            classification_prompt(
                episode.class_names,
                [(read(image_id, num_global), name) for image_id, name in episode.supports(setting.shots)],
                read(episode.query_id, num_global),
                setting.induction,
                setting.repeats,
            ),
        )
        for episode in episodes
        for num_global in run.num_global
        for setting in run.settings
        if episode in answered[setting.shots]
    ]


def make_requests(decisions: Sequence[Decision], llm: Llm, config: AnswerConfig) -> list[Request]:
    """What the LLM is to compute. The prompts of an episode share what they begin with, repeats above all."""
    ids = llm.tokenize([decision.prompt.removesuffix(ANSWER_LEAD) for decision in decisions])
    families: dict[tuple[str, int], list[int]] = defaultdict(list)
    for index, decision in enumerate(decisions):
        families[decision.episode.episode_id, decision.num_global].append(index)
    segments = {}
    for members in families.values():
        prompts = [[*llm.start_ids, *ids[index]] for index in members]
        segments.update(zip(members, shared_segments(prompts), strict=True))
    decodings = _Decodings(llm, config)
    return [
        Request(
            segments[index],
            decodings.of(decision),
            f"fewshot: episode {decision.episode.episode_id}, Kg={decision.num_global}, {decision.setting.name}",
        )
        for index, decision in enumerate(decisions)
    ]


class _Decodings:
    """The rule of each answer: one of the class names with induction, anything up to the line's end without."""

    def __init__(self, llm: Llm, config: AnswerConfig) -> None:
        newlines = frozenset(token_id for token_id, text in enumerate(llm.token_texts) if "\n" in text)
        self._free = Free(config.max_new_tokens, stop_ids=newlines)
        self._constraint = config.constraint
        self._llm = llm

    def of(self, decision: Decision) -> Decoding:
        if not decision.setting.induction:
            return self._free
        class_names = decision.episode.class_names
        names = [self._llm.tokenize_after(ANSWER_CUE, ANSWER_LEAD + name) for name in class_names]
        end_id, *_ = self._llm.tokenize_after(ANSWER_CUE + ANSWER_LEAD + class_names[0], "\n" + BLOCK_START)
        return OneOf(names, end_id, self._constraint)


def begins_with_name(text: str, name: str) -> bool:
    """Whether a generated text begins with the whole class name, as whole words: the protocol's "correct"."""
    return re.match(re.escape(name) + r"(?!\w)", text.lstrip()) is not None


def prediction_rows(decisions: Sequence[Decision], requests: Sequence[Request], answers: Sequence[str]) -> pd.DataFrame:
    """One row a decision. answers: the generated texts, of which the first line counts."""
    rows = []
    for decision, request, answer in zip(decisions, requests, answers, strict=True):
        episode, setting = decision.episode, decision.setting
        prediction = answer.split("\n", 1)[0].strip()
        rows.append(
            {
                "episode_id": episode.episode_id,
                "ways": episode.ways,
                "num_global": decision.num_global,
                "setting": setting.name,
                "induction": setting.induction,
                "shots": setting.shots,
                "repeats": setting.repeats,
                "query_id": episode.query_id,
                "target": episode.query_class,
                "prediction": prediction,
                "correct": begins_with_name(prediction, episode.query_class),
                "prompt_sha256": hashlib.sha256(decision.prompt.encode()).hexdigest(),
                "prompt": decision.prompt,
                "num_prompt_tokens": request.num_prompt_tokens,
            }
        )
    return pd.DataFrame(rows)
