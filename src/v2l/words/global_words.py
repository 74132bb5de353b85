"""Stage ``global-words``: the global tokens of every picture spelt out (paper, Figure 2)."""

from pathlib import Path

from v2l.artifacts import read_rows
from v2l.words.spelling import write_words


def global_words(global_tokens: Path, global_rows: Path, words: Path) -> None:
    """Writes image_id and words: the n-grams of a picture's global tokens, best first. Raises ArtifactError."""
    texts = read_rows(global_rows, ["text"])["text"].tolist()
    pictures = read_rows(global_tokens, ["image_id", "global_ids"])
    write_words(words, pictures["image_id"], pictures["global_ids"], texts, global_tokens, global_rows)
