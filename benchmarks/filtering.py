"""Vocabulary filtering: products of blocks with counts, against a similarity of everything with `torch.topk`.

python -m benchmarks.filtering [--items 8192] [--profile]
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from v2l.vocab.filter import Candidates, nearest_counts

from .common.contest import Table, Way, compete, options, prepare
from .common.tokenizers import DIMS

NUM_TEXTS = 100_000  # about as many distinct n-grams as the default has


def main() -> None:
    chosen = options(__doc__, items=8192, plain_items=2048)
    config, runtime = prepare(chosen)
    top_k, dim = config.vocab.filter.top_k, DIMS[chosen.size]
    generator = torch.Generator().manual_seed(config.seed)
    texts = F.normalize(torch.randn(NUM_TEXTS, dim, generator=generator), dim=1)
    features = F.normalize(torch.randn(max(chosen.items, chosen.plain_items), dim, generator=generator), dim=1)
    every = torch.arange(NUM_TEXTS)
    candidates = Candidates(texts, every, every, torch.ones_like(every))

    def flops(count: int) -> float:
        return 2.0 * count * NUM_TEXTS * dim

    def suite(count: int) -> tuple[Tensor, float]:
        return nearest_counts(features, torch.arange(count), candidates, NUM_TEXTS, top_k, runtime.device), flops(count)

    def plain(count: int) -> tuple[tuple[int, Tensor], float]:
        similarity = features[:count].to(runtime.device) @ texts.to(runtime.device).T
        nearest = torch.topk(similarity, top_k, dim=1).indices
        return (count, torch.bincount(nearest.flatten().cpu(), minlength=NUM_TEXTS)), flops(count)

    def agree(_: Tensor, theirs: tuple[int, Tensor]) -> str:
        count, expected = theirs
        different = np.count_nonzero((suite(count)[0] != expected).numpy())
        return f"The counts of {NUM_TEXTS - different:,} of {NUM_TEXTS:,} candidates are equal on {count:,} pictures."

    compete(
        chosen,
        runtime,
        Table("Vocabulary filtering", "pictures", agree, fp32=True),
        Way("suite: a block of pictures at a time", suite, chosen.items),
        Way("all similarities, then `torch.topk`", plain, chosen.plain_items),
    )


if __name__ == "__main__":
    main()
