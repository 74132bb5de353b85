"""The prompt of restoration in context (paper, Table 4): text around token ids that never become text.

A token map is not text, and its ids do not survive being written out and read again, so the prompt is put together
from ids: those of the words below and those of the map.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from v2l.models.llm import Llm

Ids = tuple[int, ...]

INSTRUCTION = "Learning a new language and predict the {count} tokens following the examples.\n"
INPUT, OUTPUT, END = "###\nInput: < ", " >\nOutput: ", "\n"


@dataclass(frozen=True)
class RestorationPrompt:
    """The ids of the words; made once for a language model and a number of predicted tokens.

    Each part is cut as the tokenizer cuts it within a text: SentencePiece puts a blank before a text that stands alone.
    """

    instruction: Ids
    input: Ids
    output: Ids
    end: Ids

    @classmethod
    def make(cls, llm: Llm, num_predicted: int) -> "RestorationPrompt":
        """Raises ModelError if the tokenizer merges a part into what stands before it."""
        text = INSTRUCTION.format(count=num_predicted)
        (instruction,) = llm.tokenize([text])
        parts = (llm.tokenize_after(*pair) for pair in ((text, INPUT), ("a", OUTPUT), ("a", END)))
        return cls((*llm.start_ids, *instruction), *map(tuple, parts))

    def segments(self, examples: Sequence[tuple[Ids, Ids]], query: Ids) -> tuple[Ids, Ids]:
        """The instruction, which all prompts share, and the rest: (input, output) of each example, then the query."""
        lines: list[int] = []
        for shown, answer in examples:
            lines += (*self.input, *shown, *self.output, *answer, *self.end)
        return self.instruction, (*lines, *self.input, *query, *self.output)
