"""Stages that train the tokenizers and turn pictures into tokens and words."""

from dataclasses import replace

from v2l.graph.files import (
    CANDIDATES,
    CODEBOOK_ROWS,
    CODEBOOK_VECTORS,
    EMBEDDINGS,
    EVALUATION,
    FEATURES,
    GLOBAL_TOKENS,
    LLM_EMBEDDINGS,
    LOCAL_TOKENS,
    NETWORKS,
    PICTURES,
    TOKENIZER,
    TOKENIZER_OPTION,
    WORDS,
)
from v2l.graph.spec import Stage, result
from v2l.shards import JOINED

STAGES = (
    Stage(
        "train",
        "train",
        "v2l.training.train:train",
        "Train one of the tokenizers; resumes from its last checkpoint.",
        inputs={
            "manifest": PICTURES,
            "networks": NETWORKS,
            "features": replace(FEATURES, optional=True),
            "embeddings": replace(EMBEDDINGS, optional=True),
            "global_vectors": replace(CODEBOOK_VECTORS, optional=True),
            "llm_embeddings": replace(LLM_EMBEDDINGS, optional=True),
        },
        outputs={"tokenizer": TOKENIZER, "curves": result("tokenizer/curves_{name}.csv", "loss terms by step")},
        params={"config": "train", "tokenizer_config": "tokenizers.{name}"},
        options={"name": TOKENIZER_OPTION},
        seeded=True,
        resumable=True,
        shared_batch="train.batch_size",
    ),
    Stage(
        "global-tokens",
        "tokens",
        "v2l.tokenizer.global_tokens:global_tokens",
        "Translate every picture into words: its nearest rows of a global codebook.",
        inputs={"manifest": PICTURES, "features": FEATURES, "global_vectors": CODEBOOK_VECTORS},
        outputs={"tokens": GLOBAL_TOKENS},
        params={"config": "tokens"},
    ),
    Stage(
        "local-tokens",
        "tokens",
        "v2l.tokenizer.local_tokens:local_tokens",
        "Encode pictures as maps of vocabulary tokens.",
        inputs={"manifest": PICTURES, "tokenizer": TOKENIZER, "selection": EVALUATION},
        outputs={"tokens": LOCAL_TOKENS},
        shards={"tokens": JOINED},
    ),
    Stage(
        "global-words",
        "tokens",
        "v2l.words.global_words:global_words",
        "Spell out the global tokens of every picture.",
        inputs={"global_tokens": GLOBAL_TOKENS, "global_rows": CODEBOOK_ROWS},
        outputs={"words": WORDS},
        compute=False,
    ),
    Stage(
        "local-words",
        "tokens",
        "v2l.words.local_words:local_words",
        "Spell out the local tokens of pictures, the words of a tokenizer without global tokens.",
        inputs={"local_tokens": LOCAL_TOKENS, "candidates": CANDIDATES},
        outputs={"words": replace(WORDS, path="results/demo/words/{name}.parquet")},
        compute=False,
    ),
    Stage(
        "usage",
        "tokens",
        "v2l.experiments.usage:usage",
        "Count how the tokens of the pictures use the codebooks.",
        inputs={
            "global_tokens": GLOBAL_TOKENS,
            "local_tokens": LOCAL_TOKENS,
            "global_rows": CODEBOOK_ROWS,
            "manifest": PICTURES,
        },
        outputs={
            "rows": result("tokens/usage.parquet", "codes by split with their counts"),
            "metrics": result("tokens/metrics.json", "codes in use, perplexity, order shares"),
        },
        compute=False,
    ),
)
