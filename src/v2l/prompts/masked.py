"""The sequence of masked image restoration (paper, Figure 8): a map with holes, then the whole map.

Ids of the map go in as ids, never as text. Kept tokens are repeated in the answer, so that each masked one is predicted
with all that stands left of it and above.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from v2l.errors import ConfigError
from v2l.models.llm import Llm
from v2l.seeds import numpy_generator

Ids = tuple[int, ...]

HEAD, ARROW = "Fill in the masked tokens.\nInput: < ", " >\nOutput: < "
IGNORED = -100  # the label of what is not predicted


@dataclass(frozen=True)
class MaskedPrompt:
    """The ids of the words and of the mask; made once for a language model."""

    head: Ids
    arrow: Ids
    mask_id: int

    @classmethod
    def make(cls, llm: Llm, mask_text: str) -> "MaskedPrompt":
        """Raises ConfigError unless the mask's text is one token, ModelError if the words merge."""
        (head,) = llm.tokenize([HEAD])
        # As within a text: SentencePiece puts a blank before one that stands alone.
        arrow, mask = llm.tokenize_after("a", ARROW), llm.tokenize_after("\n", mask_text)
        if len(mask) != 1:
            raise ConfigError(f"masked.mask.text: expected the text of one token, found {mask_text!r} of {len(mask)}")
        return cls((*llm.start_ids, *head), tuple(arrow), mask[0])

    def segments(self, ids: np.ndarray, masked: np.ndarray) -> tuple[Ids, Ids]:
        """The shared head and the map [h*w] with its masked tokens replaced; the answer is the map itself."""
        shown = np.where(masked, self.mask_id, ids)
        return self.head, (*shown.tolist(), *self.arrow)


def draw_mask(count: int, share: float, seed: int, *item: str | int) -> np.ndarray:
    """Which of ``count`` tokens are masked, [count] bool: a rounded share of them, at random by seed and item."""
    masked = np.zeros(count, dtype=bool)
    chosen = numpy_generator(seed, "mask", *item).choice(count, max(1, round(share * count)), replace=False)
    masked[chosen] = True
    return masked


def training_sequence(prompt: MaskedPrompt, ids: np.ndarray, masked: np.ndarray) -> tuple[list[int], list[int]]:
    """Ids of the whole sequence, and the labels: the id at every masked place of the answer, IGNORED elsewhere."""
    shown: Sequence[int] = [i for segment in prompt.segments(ids, masked) for i in segment]
    labels = np.where(masked, ids, IGNORED).tolist()
    return [*shown, *ids.tolist()], [IGNORED] * len(shown) + labels
