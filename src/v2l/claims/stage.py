"""Stage ``claims``: the paper's claims, each with statistic, interval and a verdict that is computed, never typed."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from v2l.artifacts import read_rows, write_json
from v2l.claims.few_shot import COLUMNS as FEW_SHOT_COLUMNS
from v2l.claims.few_shot import few_shot_claims, larger_llms
from v2l.claims.language import ANSWER_COLUMNS, CAPTION_COLUMNS, answer_claims, caption_claims
from v2l.claims.pictures import (
    MASKED_COLUMNS,
    RECONSTRUCTION_COLUMNS,
    RESTORATION_COLUMNS,
    masked_claims,
    reconstruction_claims,
    restoration_claims,
)
from v2l.claims.semantics import COLUMNS as SEMANTICS_COLUMNS
from v2l.claims.semantics import semantics_claims
from v2l.config.claims import ClaimsConfig
from v2l.config.llm import LlmConfig
from v2l.errors import ArtifactError
from v2l.graph.spec import MAIN_TOKENIZER


def claims(
    classify: Sequence[Path],
    semantics: Path,
    reconstruct: Sequence[Path],
    restore: Sequence[Path],
    caption: Path,
    vqa: Path,
    masked: Path,
    claims: Path,
    config: ClaimsConfig,
    llm: LlmConfig,
    image_size_px: int,
    epochs: float,
) -> None:
    """Writes the claims as a list of records, in the order of the paper's tables. Raises ArtifactError."""
    few_shot = _by_name(classify, "run", [*FEW_SHOT_COLUMNS, "llm"])
    main = few_shot[MAIN_TOKENIZER][1]["llm"].iloc[0] if MAIN_TOKENIZER in few_shot else llm.source
    reader = _with_size(few_shot, llm.source)
    trained = f"held-out pictures of {image_size_px} px, {epochs:g} epochs of training"
    judged = [
        *few_shot_claims(few_shot, _with_size(few_shot, main)),
        *semantics_claims(semantics, read_rows(semantics, SEMANTICS_COLUMNS), config.margin),
        *reconstruction_claims(_by_name(reconstruct, "tokenizer", RECONSTRUCTION_COLUMNS), trained),
        *restoration_claims(_by_name(restore, "tokenizer", RESTORATION_COLUMNS), reader),
        *masked_claims(masked, read_rows(masked, MASKED_COLUMNS), reader),
        *caption_claims(caption, read_rows(caption, CAPTION_COLUMNS), reader),
        *answer_claims(vqa, read_rows(vqa, ANSWER_COLUMNS), reader),
        larger_llms(few_shot, reader),
    ]
    write_json(claims, [asdict(claim) for claim in judged])


def _with_size(few_shot: Mapping[str, tuple[Path, pd.DataFrame]], source: str) -> str:
    """An LLM with its size, which the rows of what it answered tell."""
    sizes = [rows["llm_parameters"].iloc[0] for _, rows in few_shot.values() if rows["llm"].iloc[0] == source]
    return f"{source} ({sizes[0] / 1e6:,.0f} million weights)" if sizes else source


def _by_name(files: Sequence[Path], column: str, columns: list[str]) -> dict[str, tuple[Path, pd.DataFrame]]:
    """File and rows by the name that all rows of a file share. Raises ArtifactError if they share none."""
    found = {}
    for file in files:
        rows = read_rows(file, columns)
        names = rows[column].unique().tolist()
        if len(names) != 1:
            raise ArtifactError(f"{file}: column {column}: expected one name, found {len(names)}")
        found[names[0]] = (file, rows)
    return found
