"""Stage ``evaluation``: which pictures the experiments ask of every tokenizer.

Only the main tokenizer encodes all pictures; encoding them with every other one would take longer than to train it.
"""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from v2l.artifacts import write_rows
from v2l.config.fewshot import RunConfig
from v2l.config.reconstruct import ReconstructConfig
from v2l.config.vocab import CodebookConfig
from v2l.data.episodes import chosen_episodes, read_episodes, used_pictures
from v2l.data.manifest import evenly_spaced, heldout_rows, read_manifest


def evaluation(
    manifest: Path,
    episodes: Path,
    evaluation: Path,
    reconstruct: ReconstructConfig,
    fewshot_runs: Mapping[str, RunConfig],
    codebooks: Mapping[str, CodebookConfig],
) -> None:
    """Writes image_id and, as booleans, what a picture is for: ``reconstruct``, ``fewshot``; in manifest order.

    Few-shot pictures are those of runs whose words are a tokenizer's local tokens. Raises ArtifactError or DataError.
    """
    frame = read_manifest(manifest)
    heldout = heldout_rows(frame)["image_id"]
    reconstructed = set(heldout.iloc[evenly_spaced(len(heldout), reconstruct.max_images)])
    drawn, read = read_episodes(episodes), set()
    for run in fewshot_runs.values():
        if run.words not in codebooks:
            read |= used_pictures(chosen_episodes(drawn, run), run.max_shots)
    uses = {"reconstruct": frame["image_id"].isin(reconstructed), "fewshot": frame["image_id"].isin(read)}
    table = pd.DataFrame({"image_id": frame["image_id"], **uses})
    write_rows(evaluation, table[table["reconstruct"] | table["fewshot"]])
