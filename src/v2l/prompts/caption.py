"""The text of captioning (paper, Figure 5; docs/protocol.md)."""

from collections.abc import Sequence

from v2l.prompts.fewshot import ANSWER_CUE, ANSWER_LEAD

FULL_STOP = "."


def caption_line(words: str, output: str) -> str:
    """One picture and its caption."""
    return f"Input: < {words} > {ANSWER_CUE}{ANSWER_LEAD}{output}"


def end_with_stop(caption: str) -> str:
    """A caption that ends with a full stop. Generation stops at one, so the samples have to show where it belongs;
    many captions are written without."""
    return caption.strip().removesuffix(FULL_STOP) + FULL_STOP


def caption_prompt(samples: Sequence[tuple[str, str]], query: str) -> str:
    """The whole prompt; the caption is to follow it.

    samples: (words, caption) in prompt order, a line each. query: the words of the picture to be described.
    """
    lines = [caption_line(words, end_with_stop(caption)) for words, caption in samples]
    return "\n".join([*lines, caption_line(query, "")])
