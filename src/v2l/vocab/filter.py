"""Stage ``filter``: the global codebook (paper, method section: vocabulary filtering).

For every training picture the nearest candidates by cosine get a count; candidates with more than a threshold stay.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from v2l.artifacts import read_arrays, read_rows, write_arrays, write_rows
from v2l.config.vocab import CodebookConfig, FilterConfig
from v2l.data.manifest import read_manifest, training_rows
from v2l.errors import ArtifactError, DataError
from v2l.models.weights import read_tensors
from v2l.progress import Progress
from v2l.runtime import Runtime
from v2l.shards import Shard

PICTURES_AT_ONCE = 512
COLUMN_GROUP = 64


@dataclass(frozen=True)
class Candidates:
    """Candidates for the global codebook, as rows of the distinct texts' embeddings.

    vectors: [U, d] float32, one row a distinct text.   members: [M] int64 candidate numbers, grouped by text, ascending
    within one.   first, size: [U] int64, where a text's members start and how many they are.
    """

    vectors: Tensor
    members: Tensor
    first: Tensor
    size: Tensor


def load_candidates(rows: pd.DataFrame, embeddings: Path, orders: Sequence[int] = (1, 2, 3)) -> Candidates:
    """The eligible candidates of the given n-gram orders. Raises ArtifactError if rows and embeddings do not match."""
    arrays = read_arrays(embeddings, ["embeddings", "text_id", "eligible"])
    if len(rows) != len(arrays["text_id"]):
        raise ArtifactError(
            f"{embeddings}: expected {len(rows)} text ids, one a candidate, found {len(arrays['text_id'])}"
        )
    eligible = arrays["eligible"][np.isin(rows["order"].to_numpy()[arrays["eligible"]], orders)]
    text_ids = arrays["text_id"][eligible]
    distinct, size = np.unique(text_ids, return_counts=True)
    return Candidates(
        vectors=torch.from_numpy(arrays["embeddings"][distinct]),
        members=torch.from_numpy(eligible[np.argsort(text_ids, kind="stable")].astype(np.int64)),
        first=torch.from_numpy(np.cumsum(size) - size),
        size=torch.from_numpy(size),
    )


def nearest_members(text_rows: Tensor, candidates: Candidates, top_k: int) -> Tensor:
    """Candidate numbers of the nearest texts, all members of a text before the next one's: [B, top_k'] int64.

    text_rows: [B, k] int64 rows of the distinct texts, best first. Members of one text tie: the lower number is first.
    """
    step = torch.arange(top_k)
    slots = (candidates.first[text_rows][..., None] + step).flatten(1)
    taken = (step < candidates.size[text_rows][..., None]).flatten(1)
    best = torch.argsort(~taken, dim=1, stable=True)[:, : min(top_k, len(candidates.members))]
    return candidates.members[slots.gather(1, best)]


def nearest_candidates(
    features: Tensor, rows: Tensor, candidates: Candidates, top_k: int, device: torch.device
) -> Iterator[Tensor]:
    """For block after block of unit image features the nearest candidates by cosine, best first: [b, top_k] int64.

    features: [N, d] float32, unit length, maybe in a mapped file.   rows: [n] int64, those to look at.
    No more than a block of pictures, and of pictures x texts, exists at any time.
    """
    num_texts = len(candidates.vectors)
    directions = F.normalize(candidates.vectors, dim=-1).to(device)
    directions = F.pad(directions, (0, 0, 0, -num_texts % COLUMN_GROUP)).T.contiguous()
    similarity = torch.empty(PICTURES_AT_ONCE, directions.shape[1], device=device)
    for chosen in rows.split(PICTURES_AT_ONCE):
        block = features[chosen]
        # always so many rows: a product of another shape may differ in its last bits, and with them a near tie
        full = F.pad(block, (0, 0, 0, PICTURES_AT_ONCE - len(block)))
        torch.mm(full.to(device), directions, out=similarity)
        similarity[:, num_texts:] = -torch.inf
        best = largest(similarity[: len(block)], min(top_k, num_texts)).cpu()
        yield nearest_members(best, candidates, top_k)


def largest(values: Tensor, count: int) -> Tensor:
    """Columns of the ``count`` largest values of each row, largest first: [B, C] -> [B, count] int64.

    C is a multiple of COLUMN_GROUP. Looks for the groups of columns that have the largest maxima first, as these hold
    them: on a CPU several times faster than ``topk`` over all columns.
    """
    groups = values.unflatten(1, (-1, COLUMN_GROUP))
    best_groups = groups.amax(dim=2).topk(min(count, groups.shape[1]), dim=1).indices
    members = groups.take_along_dim(best_groups[:, :, None], dim=1).flatten(1)
    best = members.topk(count, dim=1).indices
    return best_groups.gather(1, best // COLUMN_GROUP) * COLUMN_GROUP + best % COLUMN_GROUP


def nearest_counts(
    features: Tensor, rows: Tensor, candidates: Candidates, num_candidates: int, top_k: int, device: torch.device
) -> Tensor:
    """How often each candidate is among the nearest of one of these rows' pictures: [num_candidates] int64."""
    counts = torch.zeros(num_candidates, dtype=torch.int64)
    with Progress("vocabulary filter", len(rows), "pictures") as progress:
        for nearest in nearest_candidates(features, rows, candidates, top_k, device):
            counts += torch.bincount(nearest.flatten(), minlength=num_candidates)
            progress.advance(len(nearest))
    return counts


def count_nearest(
    candidates: Path,
    embeddings: Path,
    features: Path,
    manifest: Path,
    counts: Path,
    config: FilterConfig,
    codebook_config: CodebookConfig,
    codebook: str,  # noqa: ARG001
    runtime: Runtime,
    shard: Shard,
) -> None:
    """Writes ``counts`` [N] int64, one a candidate, and ``pictures`` [1], the number of training pictures.

    Only candidates of the codebook's orders compete.
    """
    table = read_rows(candidates, ["ngram_id", "order", "text"])
    training = torch.from_numpy(shard.of(training_rows(read_manifest(manifest)).index.to_numpy(copy=True)))
    stored, _ = read_tensors(features)  # mapped: those of all pictures may be larger than the memory
    if "features" not in stored:
        raise ArtifactError(f"{features}: expected array features, found {', '.join(stored)}")
    eligible = load_candidates(table, embeddings, codebook_config.orders)
    found = nearest_counts(stored["features"], training, eligible, len(table), config.top_k, runtime.device)
    write_arrays(counts, {"counts": found.numpy(), "pictures": np.array([len(training)])})


def filter_vocabulary(
    candidates: Path,
    embeddings: Path,
    counts: Path,
    rows: Path,
    vectors: Path,
    config: FilterConfig,
    codebook_config: CodebookConfig,
    codebook: str,
) -> None:
    """Writes the global codebook of that name: rows (ngram_id, order, text, count) and ``codebook`` [G, d] float32.

    Without filtering all candidates of the codebook's orders stay, whatever their counts.
    Raises DataError if no candidate has enough counts.
    """
    table = read_rows(candidates, ["ngram_id", "order", "text"])
    stored = read_arrays(counts, ["counts", "pictures"])
    found = stored["counts"]
    if len(found) != len(table):
        raise ArtifactError(f"{counts}: counts: expected {len(table)}, one a candidate, found {len(found)}")
    if codebook_config.filtered:
        kept = np.flatnonzero(found > config.min_count)
    else:
        kept = np.sort(load_candidates(table, embeddings, codebook_config.orders).members.numpy())
    if len(kept) == 0:
        raise DataError(
            f"vocab.filter.min_count: no candidate of codebook {codebook} has more than {config.min_count} counts on "
            f"{stored['pictures'][0]} training pictures; the highest count is {found.max()}"
        )
    arrays = read_arrays(embeddings, ["embeddings", "text_id"])
    write_rows(rows, table.iloc[kept].assign(count=found[kept]))
    write_arrays(vectors, {"codebook": arrays["embeddings"][arrays["text_id"][kept]]})
