"""Stage ``semantics``: how well an image's global tokens describe it, by n-gram order (paper, Table 2).

CLIP score: cosine between an image feature and the text embedding of each of its Kg tokens, averaged. CLIP-R, the
relative score: the same cosines on a scale where 0 is the worst and 1 the best candidate for that image, over one
reference set, the candidates of all orders, so that codebooks can be compared.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import normalize

from v2l.artifacts import read_arrays, read_rows, write_rows
from v2l.config.semantics import SemanticsConfig
from v2l.config.vocab import FilterConfig
from v2l.data.manifest import evenly_spaced, heldout_rows, read_manifest, training_rows
from v2l.errors import DataError
from v2l.runtime import Runtime
from v2l.tokenizer.quantizers import nearest_rows
from v2l.vocab.filter import Candidates, count_nearest, load_candidates

CODEBOOKS = {"order 1": (1,), "orders 1-2": (1, 2), "orders 1-3": (1, 2, 3)}


def similarity_range(features: Tensor, candidates: Candidates, block: int = 256) -> tuple[Tensor, Tensor]:
    """Lowest and highest cosine of each image with any candidate: two [N] float32."""
    directions = normalize(candidates.vectors, dim=-1).T
    extremes = [torch.aminmax(part @ directions, dim=1) for part in features.split(block)]
    return torch.cat([pair.min for pair in extremes]), torch.cat([pair.max for pair in extremes])


def score_tokens(features: Tensor, codebook: Tensor, ids: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """CLIP score and relative CLIP score of every image, averaged over its tokens: two [N] float32.

    features: [N, d] float32, unit length.   codebook: [G, d] float32.   ids: [N, Kg] int64 rows of the codebook.
    low, high: [N], the ends of each image's relative scale.
    """
    cosines = torch.einsum("nd,nkd->nk", features, normalize(codebook, dim=-1)[ids])
    relative = (cosines - low[:, None]) / (high - low)[:, None]
    return cosines.mean(dim=1), relative.mean(dim=1)


def semantics(
    manifest: Path,
    features: Path,
    candidates: Path,
    embeddings: Path,
    rows: Path,
    config: SemanticsConfig,
    filter_config: FilterConfig,
    runtime: Runtime,
) -> None:
    """Writes a row a held-out picture, codebook and Kg: image_id, codebook, num_global, clip, clip_r, codebook_size.

    Each codebook is filtered on the training pictures from the candidates of its orders alone. Raises DataError if one
    has fewer rows than the largest Kg.
    """
    pictures = read_manifest(manifest)
    vectors = torch.from_numpy(read_arrays(features, ["features"])["features"])
    training, heldout = (
        training_rows(pictures).index.to_numpy(copy=True),
        heldout_rows(pictures).index.to_numpy(copy=True),
    )
    chosen = heldout[evenly_spaced(len(heldout), config.max_images)]
    table = read_rows(candidates, ["ngram_id", "order", "text"])
    arrays = read_arrays(embeddings, ["embeddings", "text_id"])
    low, high = similarity_range(vectors[chosen], load_candidates(table, embeddings))
    parts = []
    for name, orders in CODEBOOKS.items():
        subset = load_candidates(table, embeddings, orders)
        counts = count_nearest(vectors[training], subset, len(table), filter_config.top_k, runtime.device)
        kept = np.flatnonzero(counts.numpy() > filter_config.min_count)
        if len(kept) < max(config.num_global):
            raise DataError(
                f"semantics.num_global: {max(config.num_global)} tokens a picture are asked of the codebook of {name}, "
                f"which has {len(kept)} entries; lower it or vocab.filter.min_count"
            )
        codebook = torch.from_numpy(arrays["embeddings"][arrays["text_id"][kept]])
        ids = nearest_rows(vectors[chosen], codebook, max(config.num_global))
        for num_global in config.num_global:
            clip, clip_r = score_tokens(vectors[chosen], codebook, ids[:, :num_global], low, high)
            parts.append(
                pd.DataFrame(
                    {
                        "image_id": pictures["image_id"].iloc[chosen].to_numpy(),
                        "codebook": name,
                        "num_global": num_global,
                        "clip": clip.numpy(),
                        "clip_r": clip_r.numpy(),
                        "codebook_size": len(kept),
                    }
                )
            )
    write_rows(rows, pd.concat(parts))
