"""The prompt of restoration in context (paper, Table 4): text around token ids that never become text.

A token map is not text, and its ids do not survive being written out and read again, so the prompt is put together
from ids: those of the words below and those of the map.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Ids = tuple[int, ...]

INSTRUCTION = "Learning a new language and predict the {count} tokens following the examples.\n"
INPUT, OUTPUT, END = "###\nInput: < ", " >\nOutput: ", "\n"


@dataclass(frozen=True)
class RestorationPrompt:
    """The ids of the words; made once for a language model and a number of predicted tokens."""

    instruction: Ids
    input: Ids
    output: Ids
    end: Ids

    @classmethod
    def make(
        cls, tokenize: Callable[[Sequence[str]], list[list[int]]], start_ids: Sequence[int], num_predicted: int
    ) -> "RestorationPrompt":
        """tokenize: of the language model, without ``start_ids``, which stand before every prompt."""
        texts = (INSTRUCTION.format(count=num_predicted), INPUT, OUTPUT, END)
        instruction, *parts = (tuple(ids) for ids in tokenize(texts))
        return cls((*start_ids, *instruction), *parts)

    def segments(self, examples: Sequence[tuple[Ids, Ids]], query: Ids) -> tuple[Ids, Ids]:
        """The instruction, which all prompts share, and the rest: (input, output) of each example, then the query."""
        lines: list[int] = []
        for shown, answer in examples:
            lines += (*self.input, *shown, *self.output, *answer, *self.end)
        return self.instruction, (*lines, *self.input, *query, *self.output)
