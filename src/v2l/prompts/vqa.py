"""The text of visual question answering (paper, Figure 5; docs/protocol.md)."""

from collections.abc import Sequence

from v2l.prompts.fewshot import ANSWER_LEAD


def question_line(words: str, question: str, answer: str) -> str:
    """One picture with a question and its answer. The paper's template is kept to the letter: its full stop follows
    the question as this is asked, even after a question mark."""
    return f"Condition: < {words} >. Question: {question}. Answer:{ANSWER_LEAD}{answer}"


def vqa_prompt(samples: Sequence[tuple[str, str, str]], query: tuple[str, str]) -> str:
    """The whole prompt; the answer is to follow it.

    samples: (words, question, answer) in prompt order, a line each. query: (words, question).
    """
    return "\n".join([*(question_line(*sample) for sample in samples), question_line(*query, "")])
