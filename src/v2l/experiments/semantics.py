"""Stage ``semantics``: how well an image's global tokens describe it, by codebook (paper, Table 2).

CLIP score: cosine between an image feature and the text embedding of each of its Kg tokens, averaged. CLIP-R, the
relative score: the same cosines on a scale where 0 is the worst and 1 the best candidate for that image, over one
reference set, the candidates of all orders, so that codebooks can be compared.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import normalize

from v2l.artifacts import read_arrays, read_rows, write_rows
from v2l.config.semantics import SemanticsConfig
from v2l.data.manifest import evenly_spaced, heldout_rows, read_manifest
from v2l.errors import ArtifactError
from v2l.runtime import Runtime
from v2l.vocab.filter import Candidates, load_candidates


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
    global_vectors: Sequence[Path],
    global_tokens: Sequence[Path],
    rows: Path,
    config: SemanticsConfig,
    runtime: Runtime,  # noqa: ARG001
) -> None:
    """Writes a row a held-out picture, codebook and Kg: image_id, codebook, num_global, clip, clip_r, codebook_size.

    global_vectors, global_tokens: a file a codebook each, whose name ends with the codebook's. Raises ArtifactError if
    they are not the same codebooks, or a picture has fewer tokens than the largest Kg.
    """
    pictures = read_manifest(manifest)
    vectors = torch.from_numpy(read_arrays(features, ["features"])["features"])
    heldout = heldout_rows(pictures).index.to_numpy(copy=True)
    chosen = heldout[evenly_spaced(len(heldout), config.max_images)]
    image_ids = pictures["image_id"].iloc[chosen]
    table = read_rows(candidates, ["ngram_id", "order", "text"])
    low, high = similarity_range(vectors[chosen], load_candidates(table, embeddings))
    parts = []
    for codebook, (vectors_file, tokens_file) in sorted(_by_codebook(global_vectors, global_tokens).items()):
        rows_of = torch.from_numpy(read_arrays(vectors_file, ["codebook"])["codebook"])
        ids = _read_ids(tokens_file, image_ids, max(config.num_global), len(rows_of))
        for num_global in config.num_global:
            clip, clip_r = score_tokens(vectors[chosen], rows_of, ids[:, :num_global], low, high)
            parts.append(
                pd.DataFrame(
                    {
                        "image_id": image_ids.to_numpy(),
                        "codebook": codebook,
                        "num_global": num_global,
                        "clip": clip.numpy(),
                        "clip_r": clip_r.numpy(),
                        "codebook_size": len(rows_of),
                    }
                )
            )
    write_rows(rows, pd.concat(parts))


def _by_codebook(vectors: Sequence[Path], tokens: Sequence[Path]) -> dict[str, tuple[Path, Path]]:
    """The two files of each codebook, by the name that theirs end with."""
    first = {path.stem.removeprefix("codebook_"): path for path in vectors}
    second = {path.stem.removeprefix("global_"): path for path in tokens}
    if first.keys() != second.keys():
        raise ArtifactError(
            f"semantics: expected tokens of {', '.join(sorted(first))}, found {', '.join(sorted(second))}"
        )
    return {name: (first[name], second[name]) for name in first}


def _read_ids(file: Path, image_ids: pd.Series, count: int, codebook_size: int) -> Tensor:
    """The ``count`` best global ids of the pictures, [N, count] int64. Raises ArtifactError."""
    stored = read_rows(file, ["image_id", "global_ids"]).set_index("image_id")["global_ids"]
    if absent := [image_id for image_id in image_ids if image_id not in stored.index]:
        raise ArtifactError(f"{file}: expected tokens of {absent[0]}, found none")
    if (found := stored.str.len().min()) < count:
        raise ArtifactError(f"{file}: global_ids: semantics.num_global asks for {count} a picture, found {found}")
    ids = np.stack([ids[:count] for ids in stored.loc[image_ids]]).astype(np.int64)
    if not 0 <= ids.min() <= ids.max() < codebook_size:
        raise ArtifactError(
            f"{file}: global_ids: expected rows of a codebook of {codebook_size}, found {ids.min()}..{ids.max()}"
        )
    return torch.from_numpy(ids)
