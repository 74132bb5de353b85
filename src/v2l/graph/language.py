"""Stages in which the LLM reads pictures as words: classification, captions, answers; and how well the words fit."""

from dataclasses import replace

from v2l.graph.files import (
    CANDIDATES,
    CODEBOOK_VECTORS,
    EMBEDDINGS,
    EPISODES,
    FEATURES,
    GLOBAL_TOKENS,
    PICTURES,
    QUESTIONS,
    RUN_OPTION,
    WORDS,
)
from v2l.graph.spec import Stage, result
from v2l.shards import JOINED

PREDICTIONS = result("classify/predictions_{run}.parquet", "one row a decision")
ALL_PREDICTIONS = result(
    "classify/predictions_{}.parquet", "one row a decision, a file for each run", each="fewshot.runs"
)
FEW_SHOT = result("classify/metrics.json", "accuracy by run and setting")
CAPTIONS = result("caption/predictions.parquet", "one row a caption")
CAPTION_SCORES = result("caption/metrics.json", "caption scores by condition")
ANSWERS = result("vqa/predictions.parquet", "one row an answer")
VQA_SCORES = result("vqa/metrics.json", "VQA accuracy by condition")
SEMANTICS_ROWS = result("semantics/rows.parquet", "scores of each picture by codebook and Kg")
SEMANTICS = result("semantics/metrics.json", "semantic quality by codebook and Kg")

STAGES = (
    Stage(
        "classify",
        "classify",
        "v2l.experiments.classify:classify",
        "Few-shot classification with the frozen LLM.",
        inputs={"episodes": EPISODES, "words": WORDS},
        outputs={"predictions": PREDICTIONS},
        params={"answer": "fewshot.answer", "run_config": "fewshot.runs.{run}", "llm": "llm"},
        options={"run": RUN_OPTION},
        shards={"predictions": JOINED},
    ),
    Stage(
        "classify-metrics",
        "classify",
        "v2l.metrics.few_shot:classify_metrics",
        "Few-shot accuracy with intervals, from the predictions.",
        inputs={"predictions": ALL_PREDICTIONS},
        outputs={"metrics": FEW_SHOT},
        compute=False,
    ),
    Stage(
        "semantics",
        "semantics",
        "v2l.experiments.semantics:semantics",
        "CLIP score and relative CLIP score of held-out pictures' words, by codebook.",
        inputs={
            "manifest": PICTURES,
            "features": FEATURES,
            "candidates": CANDIDATES,
            "embeddings": EMBEDDINGS,
            "global_vectors": replace(
                CODEBOOK_VECTORS, path="results/demo/vocab/codebook_{}.safetensors", each="vocab.codebooks"
            ),
            "global_tokens": replace(
                GLOBAL_TOKENS, path="results/demo/tokens/global_{}.parquet", each="vocab.codebooks"
            ),
        },
        outputs={"rows": SEMANTICS_ROWS},
        params={"config": "semantics"},
    ),
    Stage(
        "semantics-metrics",
        "semantics",
        "v2l.metrics.semantics:semantics_metrics",
        "Mean CLIP scores with intervals.",
        inputs={"rows": SEMANTICS_ROWS},
        outputs={"metrics": SEMANTICS},
        compute=False,
    ),
    Stage(
        "caption",
        "caption",
        "v2l.experiments.caption:caption",
        "Caption held-out pictures with the frozen LLM, from their words.",
        inputs={"manifest": PICTURES, "words": WORDS},
        outputs={"predictions": CAPTIONS},
        params={"config": "caption", "llm": "llm"},
        seeded=True,
        shards={"predictions": JOINED},
    ),
    Stage(
        "caption-metrics",
        "caption",
        "v2l.metrics.captions:caption_metrics",
        "CIDEr-D, BLEU-4 and ROUGE-L with intervals.",
        inputs={"predictions": CAPTIONS},
        outputs={"metrics": CAPTION_SCORES},
        seeded=True,
        compute=False,
    ),
    Stage(
        "vqa",
        "vqa",
        "v2l.experiments.vqa:vqa",
        "Answer questions about held-out pictures with the frozen LLM, from their words.",
        inputs={"manifest": PICTURES, "questions": QUESTIONS, "words": WORDS},
        outputs={"predictions": ANSWERS},
        params={"config": "vqa", "llm": "llm"},
        seeded=True,
        shards={"predictions": JOINED},
    ),
    Stage(
        "vqa-metrics",
        "vqa",
        "v2l.metrics.vqa:vqa_metrics",
        "VQA accuracy with intervals, by answer type.",
        inputs={"predictions": ANSWERS},
        outputs={"metrics": VQA_SCORES},
        compute=False,
    ),
)
