"""Embedding of n-grams: equal spellings once, texts of equal length together, against padded batches in table order.

    python -m benchmarks.embedding [--items 8192] [--profile]

The n-grams are tokens of the LLM and two and three of them at random; the default's have more spellings in common.
"""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import AutoModel, AutoTokenizer

from v2l.models.llm import load_llm
from v2l.models.text_encoder import TextEncoder
from v2l.vocab.embed import embed_texts, group_texts, load_templates
from v2l.vocab.expand import MAX_ORDER

from .common.contest import Table, Way, compete, options, prepare
from .common.machine import flops_of

ENCODER = Path("data/text_encoder")
PADDED_TOGETHER = 32  # the batch size that sentence-transformers encodes with
TOLERANCE = 1e-4


def main() -> None:
    chosen = options(__doc__, items=8192, plain_items=1024, sizes=("default",))
    config, runtime = prepare(chosen)
    llm, templates = load_llm(config.llm, runtime), load_templates(config.vocab.embed.templates)
    generator = np.random.default_rng(config.seed)
    lengths = np.arange(max(chosen.items, chosen.plain_items)) % MAX_ORDER + 1
    texts = llm.decode([generator.integers(llm.vocab_size, size=length).tolist() for length in lengths])
    encoder = TextEncoder(ENCODER, runtime)
    tokenizer = AutoTokenizer.from_pretrained(ENCODER)
    model = AutoModel.from_pretrained(ENCODER, dtype=runtime.dtype).to(runtime.device).eval()

    every, *_ = group_texts(texts, config.vocab.embed.merge_spellings)
    tokens = tokenizer([templates[0](text) for text in every], truncation=True)["input_ids"]
    lengths = dict(zip(every, map(len, tokens), strict=True))

    @cache
    def flops_of_text(length: int) -> int:
        ids = torch.zeros(1, length, dtype=torch.int64, device=runtime.device)
        with torch.inference_mode():
            return flops_of(lambda: model(input_ids=ids, attention_mask=torch.ones_like(ids)))

    def suite(count: int) -> tuple[Tensor, float]:
        distinct, text_id, _ = group_texts(texts[:count], config.vocab.embed.merge_spellings)
        vectors = embed_texts(encoder.encode, distinct, templates)[text_id]
        return vectors, sum(flops_of_text(lengths[text]) for text in distinct)

    @torch.inference_mode()
    def plain(count: int) -> tuple[Tensor, float]:
        vectors, flops = [], 0
        for start in range(0, count, PADDED_TOGETHER):
            prompts = [templates[0](text) for text in texts[start : min(start + PADDED_TOGETHER, count)]]
            batch = tokenizer(prompts, padding=True, truncation=True, return_tensors="pt").to(runtime.device)
            mask = batch["attention_mask"][..., None]
            flops += len(prompts) * flops_of_text(batch["input_ids"].shape[1])
            hidden = model(**batch).last_hidden_state.float()
            vectors.append(torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1))
        return torch.cat(vectors).cpu(), flops

    def agree(ours: Tensor, theirs: Tensor) -> str:
        equal = ((ours[: len(theirs)] - theirs).abs().amax(dim=1) < TOLERANCE).sum()
        return (
            f"Embeddings of {equal:,} of {len(theirs):,} texts agree within {TOLERANCE:g}; in the others merging "
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
