"""Vocabulary expansion: two batched steps over one prefix, against a `generate` call a token.

python -m benchmarks.expansion [--items 4096] [--profile]
"""

import numpy as np

from v2l.models.llm_decoding import Free
from v2l.models.llm_generation import Request
from v2l.vocab.expand import MAX_ORDER, expand_tokens

from .common.contest import Table, Way, compete, contest_llm, equal_rows, options, prepare
from .common.llm_work import answer_one_by_one, forward_flops


def main() -> None:
    chosen = options(__doc__, items=4096, plain_items=64)
    config, runtime = prepare(chosen)
    llm = contest_llm(chosen, config, runtime)
    prompt = config.vocab.expand.prompt
    order = np.random.default_rng(0).permutation(llm.vocab_size).tolist()

    texts = (prompt.removesuffix(" "), prompt)
    after_blank, after_other = ((*llm.start_ids, *ids) for ids in llm.tokenize(texts))
    before = [after_blank if text.startswith(" ") else after_other for text in llm.token_texts]

    def suite(count: int) -> tuple[list[list[int]], float]:
        reads = [(2, len(before[token_id])) for token_id in order[:count]]
        return expand_tokens(llm, prompt, order[:count]).tolist(), forward_flops(llm, reads, 2 * count)

    def plain(count: int) -> tuple[list[list[int]], float]:
        rows, reads = [], []
        for token_id in order[:count]:
            request = Request(((*before[token_id], token_id),), Free(MAX_ORDER - 1))
            rows.append([token_id, *answer_one_by_one(llm, [request])[0]])
            reads.append((request.num_prompt_tokens + 1, 0))
        return rows, forward_flops(llm, reads, 2 * count)

    table = Table("Vocabulary expansion", "tokens", lambda ours, theirs: equal_rows(ours, theirs, "trigrams"))
    compete(
        chosen,
        runtime,
        table,
        Way("suite: batches over one prefix", suite, chosen.items),
        Way("a `generate` call a token", plain, chosen.plain_items),
    )


if __name__ == "__main__":
    main()
