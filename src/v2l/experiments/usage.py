"""How the tokens of the pictures use the codebooks: codes in use, perplexity, n-gram orders (paper, Figure 6)."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from v2l.artifacts import read_rows, write_json, write_rows
from v2l.errors import ArtifactError
from v2l.metrics.entries import Metrics, groups, metric_entry, metric_key
from v2l.metrics.intervals import Estimate, proportion_interval

LOCAL, GLOBAL, BEST = "local", "global", "best global"
ALL_SPLITS = "all"
# An output still has a temporary name while its stage runs, so entries name the rows as they will be found.
ROWS = Path("tokens/usage.parquet")
BLOCK = 10_000  # pictures whose tokens are looked at together


def usage(
    global_tokens: Path, local_tokens: Path, global_rows: Path, manifest: Path, rows: Path, metrics: Path
) -> None:
    """Counts every code by split and summarises the counts.

    rows: kind (local, global, or best global: the first of each picture), split, code (row of its codebook), order
    (n-gram order; 1 for local codes), text (of global codes), count.
    Raises ArtifactError if a picture has no split or a token no row in the global codebook.
    """
    codebook = read_rows(global_rows, ["order", "text"])
    pictures = read_rows(global_tokens, ["image_id", "global_ids"]).merge(
        read_rows(local_tokens, ["image_id", "local_ids"]), on="image_id"
    )
    splits = read_rows(manifest, ["image_id", "split"]).set_index("image_id")["split"]
    if len(absent := pictures.loc[~pictures["image_id"].isin(splits.index), "image_id"]):
        raise ArtifactError(
            f"{global_tokens}: {len(absent)} picture(s) not in {manifest.name}, first {absent.iloc[0]!r}"
        )
    ends = [(int(ids.min()), int(ids.max())) for ids in _blocks(pictures["global_ids"])]
    if ends and not 0 <= (low := min(ends)[0]) <= (high := max(end for _, end in ends)) < len(codebook):
        raise ArtifactError(
            f"{global_tokens}: expected global ids in 0..{len(codebook) - 1} as in {global_rows.name}, "
            f"found {low}..{high}"
        )
    counts = count_codes(pictures.assign(split=splits.loc[pictures["image_id"]].to_numpy()), codebook)
    write_rows(rows, counts)
    write_json(metrics, usage_metrics(counts, len(codebook)))


def count_codes(pictures: pd.DataFrame, codebook: pd.DataFrame) -> pd.DataFrame:
    """Rows as `usage` writes them. pictures: split, global_ids, local_ids; codebook: order, text."""
    lists = {BEST: pictures["global_ids"].str[:1], GLOBAL: pictures["global_ids"], LOCAL: pictures["local_ids"]}
    counts = pd.concat(
        [
            pd.DataFrame({"kind": kind, "split": split, "code": found.nonzero()[0], "count": found[found > 0]})
            for kind, ids in lists.items()
            for split, own in ids.groupby(pictures["split"])
            for found in [_occurrences(own)]
        ],
        ignore_index=True,
    )
    is_local = counts["kind"] == LOCAL
    looked_up = codebook.iloc[counts["code"].where(~is_local, 0)].reset_index(drop=True)
    counts.insert(3, "order", looked_up["order"].where(~is_local, 1))
    counts.insert(4, "text", looked_up["text"].where(~is_local, ""))
    return counts


def _blocks(lists: pd.Series) -> Iterator[np.ndarray]:
    """The ids of some pictures after those of others, [n] int64, n > 0: those of all at once may not fit in memory."""
    for start in range(0, len(lists), BLOCK):
        ids = np.concatenate(lists.iloc[start : start + BLOCK].tolist()).astype(np.int64)
        if len(ids):
            yield ids


def _occurrences(lists: pd.Series) -> np.ndarray:
    """How often each id occurs, [largest id + 1] int64."""
    total = np.zeros(0, np.int64)
    for ids in _blocks(lists):
        found = np.bincount(ids, minlength=len(total))
        found[: len(total)] += total
        total = found
    return total


def usage_metrics(counts: pd.DataFrame, codebook_size: int) -> Metrics:
    """Codes in use, perplexity and shares of n-gram orders, for all pictures and by split.

    counts: rows as `usage` writes them; codebook_size: rows of the global codebook.
    """
    entries: Metrics = {}
    for by in (["kind"], ["kind", "split"]):
        for where, rows in groups(counts, by):
            estimates = {} if where["kind"] == BEST else _code_estimates(rows)
            if where["kind"] == GLOBAL:
                used = estimates["codes_used"][0].value
                estimates["codebook_share_used"] = (_exact(used / codebook_size, rows), "fraction")
            if where["kind"] != LOCAL:
                estimates |= _order_estimates(rows)
            for name, (estimate, unit) in estimates.items():
                key = metric_key(name, **{"split": ALL_SPLITS, **where})
                entries[key] = metric_entry(estimate, unit, None, ROWS, where)
    return entries


def _exact(value: float, rows: pd.DataFrame) -> Estimate:
    """A property of the counted tokens; those of a picture go together, so they are no sample of single tokens."""
    return Estimate(float(value), int(rows["count"].sum()), None, None, "none: a count")


def _code_estimates(rows: pd.DataFrame) -> dict[str, tuple[Estimate, str]]:
    per_code = rows.groupby("code")["count"].sum()
    return {
        "codes_used": (_exact(len(per_code), rows), "codes"),
        "perplexity": (_exact(perplexity(per_code.to_numpy()), rows), "codes"),
    }


def _order_estimates(rows: pd.DataFrame) -> dict[str, tuple[Estimate, str]]:
    """Share of each n-gram order; an interval where every picture counts once, as with best tokens."""
    total = int(rows["count"].sum())
    one_per_picture = (rows["kind"] == BEST).all()
    return {
        f"order_{order}_share": (
            proportion_interval(count, total) if one_per_picture else _exact(count / total, rows),
            "fraction",
        )
        for order, count in rows.groupby("order")["count"].sum().items()
    }


def perplexity(counts: np.ndarray) -> float:
    """exp(entropy) of positive counts [codes]: how many equally used codes have that entropy."""
    shares = counts / counts.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))
