"""The files that the authors released, by the names that their scripts give them."""

from pathlib import Path

from v2l.errors import ArtifactError

# Their filtering script swaps the two names of the global codebook: features go to a "vocabulary", texts to an
# "embedding". Their evaluation reads the first ones.
NAMES = {
    "local_vocabulary": ("local_vocabulary.npy",),
    "local_embedding": ("local_codebook_embedding.pth",),
    "global_vocabulary": ("global_vocabulary.npy", "global_embedding.npy"),
    "global_embedding": ("global_codebook_embedding.pth", "global_vocabulary.pth"),
    "candidate_vocabulary": ("Subword_Bigram_Trigram_Vocabulary.npy",),
    "candidate_embedding": ("Subword_Bigram_Trigram_Embedding.pth",),
}
OPTIONAL = ("candidate_vocabulary", "candidate_embedding")


def find_files(folder: Path, checkpoint: Path | None = None) -> dict[str, Path]:
    """The released files in a folder or below it, by the names of the import's inputs.

    checkpoint: which one, where the folder has several. Raises ArtifactError for a file that is missing or there twice.
    """
    if not folder.is_dir():
        raise ArtifactError(f"{folder}: folder not found")
    files = {}
    for name, spellings in NAMES.items():
        if (found := _find(folder, spellings)) is not None:
            files[name] = found
        elif name not in OPTIONAL:
            raise ArtifactError(f"{folder}: expected {' or '.join(spellings)}, found neither it nor a folder with it")
    return {**files, "checkpoint": checkpoint or _find_checkpoint(folder)}


def _find(folder: Path, spellings: tuple[str, ...]) -> Path | None:
    for spelling in spellings:
        found = sorted(folder.rglob(spelling))
        if len(found) > 1:
            raise ArtifactError(f"{folder}: expected one {spelling}, found {found[0]} and {found[1]}")
        if found:
            return found[0]
    return None


def _find_checkpoint(folder: Path) -> Path:
    codebooks = {spelling for spellings in NAMES.values() for spelling in spellings}
    found = sorted(path for path in folder.rglob("*.pth") if path.name not in codebooks)
    if len(found) != 1:
        names = ", ".join(str(path.relative_to(folder)) for path in found) or "none"
        raise ArtifactError(f"{folder}: expected one checkpoint (.pth), found {names}; name one with --checkpoint")
    return found[0]
