"""Stage ``caption``: captions of held-out pictures from the frozen LLM, beside two floors (paper, Figure 5).

Conditions: the picture's words after in-context samples; random words after the same samples; and, without the LLM,
the caption that most often stands at training pictures.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from v2l.artifacts import write_rows
from v2l.conditions import MOST_FREQUENT, PICTURE_WORDS, RANDOM_WORDS
from v2l.config.caption import CaptionConfig
from v2l.config.llm import LlmConfig
from v2l.data.manifest import CAPTION, evenly_spaced, heldout_rows, read_manifest, training_rows
from v2l.errors import DataError
from v2l.experiments.in_context import (
    NO_PROMPT,
    Answer,
    Query,
    Words,
    answer_queries,
    draw_context,
    most_frequent,
)
from v2l.metrics.caption_scores import score_captions, tokenize
from v2l.models.llm import load_llm
from v2l.prompts.caption import caption_prompt
from v2l.runtime import Runtime
from v2l.shards import WHOLE, Shard

CONDITIONS = (PICTURE_WORDS, RANDOM_WORDS, MOST_FREQUENT)

# Picture, caption, and the columns about its prompt.
_Output = tuple[str, str, Mapping[str, Any]]

logger = logging.getLogger(__name__)


def caption(
    manifest: Path,
    words: Path,
    predictions: Path,
    config: CaptionConfig,
    llm: LlmConfig,
    seed: int,
    runtime: Runtime,
    shard: Shard = WHOLE,
) -> None:
    """Writes a row a held-out picture and condition, with the scores of its caption (see `score_captions`).

    A picture's references are all its captions that have a word; an in-context sample shows the first of them.
    Raises DataError if a picture has no caption, too few pictures are held out or trained on, ArtifactError if one has
    too few words, and ModelError if a prompt exceeds the LLM's context.
    """
    pictures = read_manifest(manifest)
    used = [rows(pictures, CAPTION) for rows in (training_rows, heldout_rows)]
    captions = read_captions(pd.concat(used), manifest)
    training, heldout = (rows["image_id"].tolist() for rows in used)
    if len(heldout) < 2:
        raise DataError(f"{manifest}: captions are scored on 2 or more held-out pictures, found {len(heldout)}")
    chosen = [heldout[i] for i in evenly_spaced(len(heldout), config.max_images)]
    picture_words = Words(words, config.num_global, config.separator, seed)
    queries = make_queries(shard.of(chosen), training, captions, picture_words, config, seed)
    answers = answer_queries(queries, load_llm(llm, runtime), config.max_new_tokens, "captioning")
    floor = most_frequent(text for image_id in training for text in captions[image_id])
    table = prediction_rows(answers, floor, captions, chosen)
    write_rows(predictions, table)
    scored = table["image_id"].nunique()
    logger.info("%d pictures, CIDEr-D %s", scored, table.groupby("condition")["cider_d"].mean().round(3).to_dict())


def read_captions(pictures: pd.DataFrame, manifest: Path) -> dict[str, list[str]]:
    """The captions of every picture that have a word. Raises DataError if a picture has none."""
    captions = {
        image_id: [text for text in texts if tokenize(text)]
        for image_id, texts in zip(pictures["image_id"], pictures["captions"], strict=True)
    }
    if bare := [image_id for image_id, texts in captions.items() if not texts]:
        raise DataError(f"{manifest}: {len(bare)} picture(s) have no caption with a word, the first is {bare[0]!r}")
    return captions


def make_queries(
    image_ids: Sequence[str],
    training: Sequence[str],
    captions: Mapping[str, Sequence[str]],
    words: Words,
    config: CaptionConfig,
    seed: int,
) -> list[Query]:
    """The prompts of every picture: its own words and random ones, after the same samples."""
    queries, candidates = [], sorted(training)
    for image_id in image_ids:
        context_ids = draw_context(candidates, config.num_context, seed, "caption", image_id)
        samples = [(words.of(sample), captions[sample][0]) for sample in context_ids]
        queries += [
            Query(
                image_id,
                condition,
                caption_prompt(samples, shown),
                context_ids,
                f"caption: picture {image_id}, {condition}",
            )
            for condition, shown in ((PICTURE_WORDS, words.of(image_id)), (RANDOM_WORDS, words.random(image_id)))
        ]
    return queries


def prediction_rows(
    answers: Sequence[Answer], floor: str, captions: Mapping[str, Sequence[str]], scored: Sequence[str]
) -> pd.DataFrame:
    """One row a picture and condition, pictures in the order of the answers.

    floor: the caption that every picture gets in the condition without LLM.
    scored: the pictures whose references say how rare an n-gram is, those of the answers among them.
    """
    image_ids = list(dict.fromkeys(answer.query.item_id for answer in answers))
    outputs: dict[str, list[_Output]] = {condition: [] for condition in CONDITIONS}
    for answer in answers:
        outputs[answer.query.condition].append((answer.query.item_id, answer.text, answer.prompt_columns))
    outputs[MOST_FREQUENT] = [(image_id, floor, NO_PROMPT) for image_id in image_ids]
    table = pd.concat([_condition_rows(*item, captions, scored) for item in outputs.items()])
    return table.sort_index(kind="stable").reset_index(drop=True)  # picture by picture


def _condition_rows(
    condition: str, outputs: Sequence[_Output], captions: Mapping[str, Sequence[str]], scored: Sequence[str]
) -> pd.DataFrame:
    image_ids, predictions, prompts = zip(*outputs, strict=True)
    given = dict(zip(image_ids, predictions, strict=True))
    # A picture's scores depend on all references but on no other caption, so any stands for those of other shards.
    candidates = [given.get(image_id, captions[image_id][0]) for image_id in scored]
    scores = score_captions(candidates, [list(captions[image_id]) for image_id in scored])
    scores = scores.set_axis(list(scored), axis=0).loc[list(image_ids)].reset_index(drop=True)
    references = [list(captions[image_id]) for image_id in image_ids]
    columns = {"image_id": image_ids, "condition": condition, "prediction": predictions, "references": references}
    return pd.concat([pd.DataFrame(columns), scores, pd.DataFrame(prompts)], axis=1)
