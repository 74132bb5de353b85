"""Stage ``local-words``: the local tokens of pictures spelt out, for tokenizers that have no global ones.

An SPAE-like pyramid begins with its coarsest tokens, so the first 5 or 21 words are its first two or three levels; the
maps of the others are read whole.
"""

from pathlib import Path

from v2l.artifacts import read_rows
from v2l.words.spelling import write_words


def local_words(local_tokens: Path, candidates: Path, words: Path) -> None:
    """Writes image_id and words: the texts of the LLM's tokens whose ids a picture has, in their order.

    Raises ArtifactError.
    """
    table = read_rows(candidates, ["order", "text"])
    texts = table.loc[table["order"] == 1, "text"].tolist()  # the candidates of order 1 are the tokens, by id
    pictures = read_rows(local_tokens, ["image_id", "local_ids"])
    write_words(words, pictures["image_id"], pictures["local_ids"], texts, local_tokens, candidates)
