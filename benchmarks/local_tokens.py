"""Local tokens: nearest codes in blocks that stay in the cache, against all positions x codes at once.

python -m benchmarks.local_tokens [--items 64] [--profile]
"""

from functools import partial

import numpy as np
import torch

from v2l.data.images import to_tensor
from v2l.tokenizer.local_tokens import PASS_PICTURES, encode_pictures

from .common.contest import Table, Way, compete, options, prepare
from .common.machine import flops_of
from .common.tokenizers import (
    BEGIN_PICTURES,
    dense_nearest,
    random_pictures,
    random_sources,
    random_tokenizer,
    sized_config,
)


def main() -> None:
    chosen = options(__doc__, items=64, plain_items=16)
    _, runtime = prepare(chosen)
    _, section = sized_config(chosen.size)
    pictures = random_pictures(max(chosen.items, chosen.plain_items, BEGIN_PICTURES), section.image_size_px)
    tokenizer = random_tokenizer(section, random_sources(chosen.size), pictures[:BEGIN_PICTURES])
    tokenizer = tokenizer.eval().requires_grad_(False).to(runtime.device)
    pixels = (255 * pictures).round().byte().permute(0, 2, 3, 1).numpy()

    def dense(part: np.ndarray) -> np.ndarray:
        return dense_nearest(tokenizer, tokenizer.encode(to_tensor(part).to(runtime.device))).cpu().numpy()

    flops = flops_of(partial(dense, pixels[:1]))  # of a picture

    def suite(count: int) -> tuple[np.ndarray, float]:
        return encode_pictures(tokenizer, pixels[:count], runtime.device), count * flops

    @torch.inference_mode()
    def plain(count: int) -> tuple[np.ndarray, float]:
        ids = []
        for start in range(0, count, PASS_PICTURES):
            ids.append(dense(pixels[start : min(start + PASS_PICTURES, count)]))
        return np.concatenate(ids), count * flops

    def agree(ours: np.ndarray, theirs: np.ndarray) -> str:
        return f"{(ours[: len(theirs)] == theirs).sum():,} of {theirs.size:,} ids are equal."

    compete(
        chosen,
        runtime,
        Table("Local tokens", "pictures", agree, fp32=True),
        Way("suite: blocks of distances", suite, chosen.items),
        Way("all distances at once", plain, chosen.plain_items),
    )


if __name__ == "__main__":
    main()
