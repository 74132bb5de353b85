"""The restoration prompt: an example written out, and how its parts are cut."""

from v2l.prompts.restore import RestorationPrompt


class Letters:
    """A tokenizer with a token for each character, as in ASCII; like SentencePiece it puts a blank before a text."""

    start_ids = (1,)

    def tokenize(self, texts):
        return [list(map(ord, " " + text)) for text in texts]

    def tokenize_after(self, context, text):  # noqa: ARG002
        return list(map(ord, text))


def test_prompt_is_the_protocols_text_with_ids_in_it():
    prompt = RestorationPrompt.make(Letters(), 2)
    examples = [((500, 501, 502), (503, 504)), ((600, 501, 602), (603, 504))]
    shared, rest = prompt.segments(examples, (500, 501, 700))
    text = "".join(f"[{i}]" if i >= 500 else chr(i) for i in (*shared, *rest))
    assert text == (
        "\x01 Learning a new language and predict the 2 tokens following the examples.\n"
        "###\nInput: < [500][501][502] >\nOutput: [503][504]\n"
        "###\nInput: < [600][501][602] >\nOutput: [603][504]\n"
        "###\nInput: < [500][501][700] >\nOutput: "
    )
    assert shared == prompt.instruction


def test_a_query_without_tokens_before_it_is_a_prompt_too():
    prompt = RestorationPrompt.make(Letters(), 1)
    _, rest = prompt.segments([((), (500,))], ())
    assert "".join(map(chr, rest)) == f"###\nInput: <  >\nOutput: {chr(500)}\n###\nInput: <  >\nOutput: "
