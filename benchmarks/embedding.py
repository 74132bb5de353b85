"""Embedding of n-grams: equal spellings once, texts of equal length together, against padded batches in table order.

    python -m benchmarks.embedding [--items 8192] [--profile]

The n-grams are tokens of the LLM and two and three of them at random; the default's have more spellings in common.
"""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from v2l.config.tree import load_config
from v2l.models.llm_loading import locate
from v2l.models.llm_tokenizers import load_tokenizer
from v2l.vocab.embed import embed_texts, group_texts, load_templates
from v2l.vocab.expand import MAX_ORDER

from .common.contest import Table, Way, compete, options, prepare
from .common.sizes import CONFIGS, SIZES
from .common.stand_ins import StandInTokenizer
from .common.text_towers import clip_tower, sentence_tower

ENCODER = Path("data/text_encoder")
PADDED_TOGETHER = 32  # the batch size that sentence-transformers encodes with
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.05}


def main() -> None:
    chosen = options(__doc__, items=8192, plain_items=1024)
    config, runtime = prepare(chosen)
    templates = load_templates(config.vocab.embed.templates)
    if chosen.size == "default":
        llm_tokenizer, tower = load_tokenizer(locate(config.llm.source)), sentence_tower(ENCODER, runtime)
    else:
        size = SIZES[chosen.size]
        llm_tokenizer = StandInTokenizer(size.vocabulary)
        tower = clip_tower(load_config(CONFIGS[chosen.size]).clip, size, runtime)
    generator = np.random.default_rng(config.seed)
    lengths = np.arange(max(chosen.items, chosen.plain_items)) % MAX_ORDER + 1
    texts = llm_tokenizer.decode([generator.integers(len(llm_tokenizer), size=n).tolist() for n in lengths])
    flops_of_text = cache(tower.flops)

    every, *_ = group_texts(texts, config.vocab.embed.merge_spellings)
    lengths = dict(zip(every, tower.lengths([templates[0](text) for text in every]), strict=True))

    def suite(count: int) -> tuple[Tensor, float]:
        distinct, text_id, _ = group_texts(texts[:count], config.vocab.embed.merge_spellings)
        vectors = embed_texts(tower.encode, distinct, templates)[text_id]
        return vectors, sum(flops_of_text(lengths[text]) for text in distinct)

    def plain(count: int) -> tuple[Tensor, float]:
        parts, flops = [], 0
        for start in range(0, count, PADDED_TOGETHER):
            prompts = [templates[0](text) for text in texts[start : min(start + PADDED_TOGETHER, count)]]
            vectors, padded_to = tower.encode_padded(prompts)
            parts.append(vectors)
            flops += len(prompts) * flops_of_text(padded_to)
        return torch.cat(parts), flops

    def agree(ours: Tensor, theirs: Tensor) -> str:
        tolerance = TOLERANCE[runtime.dtype]
        equal = ((ours[: len(theirs)] - theirs).abs().amax(dim=1) < tolerance).sum()
        return (
            f"Embeddings of {equal:,} of {len(theirs):,} texts agree within {tolerance:g}; in the others merging "
            "changes more than case and blanks, as ß and ss are one spelling."
        )

    compete(
        chosen,
        runtime,
        Table("Embedding of n-grams", "texts", agree),
        Way("suite: distinct texts, by length", suite, chosen.items),
        Way("padded batches in table order", plain, chosen.plain_items),
    )


if __name__ == "__main__":
    main()
