"""The stage that takes the authors' released files over, in place of growing, embedding, filtering and training."""

from v2l.graph.files import (
    CANDIDATES,
    CODEBOOK_OPTION,
    CODEBOOK_ROWS,
    CODEBOOK_VECTORS,
    EMBEDDINGS,
    TOKENIZER,
    TOKENIZER_OPTION,
)
from v2l.graph.spec import Spec, Stage


def _released(file: str, description: str, optional: bool = False) -> Spec:
    return Spec(f"release/{file}", description, optional)


RELEASE = Stage(
    "release-artifacts",
    "release",
    "v2l.release.importer:import_release",
    "Take over the authors' released codebooks and checkpoint; import-release finds the files itself.",
    inputs={
        "local_vocabulary": _released("codebooks/local_vocabulary.npy", "text of every token"),
        "local_embedding": _released("codebooks/local_codebook_embedding.pth", "their embeddings [T, d]"),
        "global_vocabulary": _released("codebooks/global_vocabulary.npy", "texts of the global codebook"),
        "global_embedding": _released("codebooks/global_codebook_embedding.pth", "its vectors [G, d]"),
        "checkpoint": _released("checkpoints/v2l-decode.pth", "the trained networks"),
        "candidate_vocabulary": _released(
            "Subword_Bigram_Trigram_Vocabulary.npy", "texts of token, second and third token", optional=True
        ),
        "candidate_embedding": _released(
            "Subword_Bigram_Trigram_Embedding.pth", "embeddings of all candidates [3T, d]", optional=True
        ),
    },
    outputs={
        "candidates": CANDIDATES,
        "embeddings": EMBEDDINGS,
        "rows": CODEBOOK_ROWS,
        "vectors": CODEBOOK_VECTORS,
        "tokenizer": TOKENIZER,
    },
    params={"config": "tokenizers.{name}", "codebook_config": "vocab.codebooks.{codebook}"},
    options={"codebook": CODEBOOK_OPTION, "name": TOKENIZER_OPTION},
    compute=False,
)
STAGES = (RELEASE,)
