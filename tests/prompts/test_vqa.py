"""The question prompt, spelt out."""

from v2l.prompts.vqa import vqa_prompt


def test_prompt_is_a_line_a_sample_and_ends_where_the_answer_begins():
    samples = [("wolf, dog", "Is this an animal?", "yes"), ("bus", "What is this", "a bus")]
    assert vqa_prompt(samples, ("cat", "Is this food?")) == (
        "Condition: < wolf, dog >. Question: Is this an animal?. Answer: yes\n"
        "Condition: < bus >. Question: What is this. Answer: a bus\n"
        "Condition: < cat >. Question: Is this food?. Answer: "
    )
