"""The text of few-shot classification (paper, Table 1; docs/protocol.md)."""

from collections.abc import Sequence

# The prompt's last line. Its blank belongs to the answer's first token ("Output:" + " cat"), so a prompt is tokenised
# without it, and an answer with it.
ANSWER_CUE = "Output:"
ANSWER_LEAD = " "
BLOCK_START = "###\n"


def join_words(words: Sequence[str], separator: str) -> str:
    """An image's words as one text. Without a separator they are joined as they are (the release); with one, each
    loses its outer blanks, as most begin with one of their own."""
    return separator.join(word.strip() for word in words) if separator else "".join(words)


def induction_line(class_names: Sequence[str]) -> str:
    """The instruction that lists the possible outputs."""
    names = " or ".join(f"'{name}'" for name in class_names)
    return f"For each of the following input output pairs, output is one of [{names}]\n"


def image_block(words: str, output: str) -> str:
    """One image and its output."""
    return f"{BLOCK_START}Input: < {words} >\n{ANSWER_CUE}{ANSWER_LEAD}{output}"


def classification_prompt(
    class_names: Sequence[str], supports: Sequence[tuple[str, str]], query: str, induction: bool, repeats: int
) -> str:
    """The whole prompt; the answer is to follow it.

    supports: (words, class name) in prompt order; the list as a whole is given ``1 + repeats`` times, so that a prompt
    with fewer repeats is the beginning of one with more, up to the query. query: the query image's words.
    """
    once = "".join(image_block(words, name) + "\n" for words, name in supports)
    instruction = induction_line(class_names) if induction else ""
    return instruction + once * (1 + repeats) + image_block(query, "")
