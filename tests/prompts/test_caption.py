"""The captioning prompt, spelt out."""

import pytest

from v2l.prompts.caption import caption_prompt, end_with_stop


def test_prompt_is_a_line_a_sample_and_ends_where_the_caption_begins():
    assert caption_prompt([("wolf, dog", "a wolf"), ("bus", "a red bus.")], "cat, kitten") == (
        "Input: < wolf, dog > Output: a wolf.\nInput: < bus > Output: a red bus.\nInput: < cat, kitten > Output: "
    )


@pytest.mark.parametrize("caption", ["a wolf", "a wolf.", " a wolf. "])
def test_every_sample_ends_with_one_full_stop(caption: str):
    assert end_with_stop(caption) == "a wolf."
