"""Stage ``global-tokens``: every picture as words, the nearest rows of the global codebook (paper, Figure 2)."""

from pathlib import Path

import pandas as pd
import torch

from v2l.artifacts import read_arrays, write_rows
from v2l.config.tokenizer import TokensConfig
from v2l.data.manifest import read_manifest
from v2l.runtime import Runtime
from v2l.tokenizer.inputs import read_image_features, select_global_tokens


def global_tokens(
    manifest: Path, features: Path, global_vectors: Path, tokens: Path, config: TokensConfig, runtime: Runtime
) -> None:
    """Writes image_id and global_ids: rows of the global codebook, best first. Raises ArtifactError."""
    frame = read_manifest(manifest)
    codebook = torch.from_numpy(read_arrays(global_vectors, ["codebook"])["codebook"]).to(runtime.device)
    vectors = read_image_features(features, len(frame)).to(runtime.device)
    ids = select_global_tokens(vectors, codebook, config.num_global, global_vectors)
    write_rows(tokens, pd.DataFrame({"image_id": frame["image_id"], "global_ids": ids.tolist()}))
