"""Restoration in context: windows of many pictures at once, against a loop over windows.

    python -m benchmarks.restoration [--items 32] [--profile]

The paper's protocol (n = 16, m = 2, ten variants) on the task whose windows follow each other, inpainting, here of one
row of a 16 x 16 map; maps are random, speed does not depend on their tokens.
"""

import numpy as np

from v2l.config.restore import Region, RestoreProtocol
from v2l.experiments.windows import Job, Restorer, draw_variants
from v2l.prompts.restore import RestorationPrompt

from .common.contest import Table, Way, compete, contest_llm, equal_rows, options, prepare
from .common.llm_work import answer_one_by_one, answer_reads, forward_flops

GRID, TASK = 16, "inpainting"
PROTOCOL = RestoreProtocol(inpainting=Region(top=8, left=4, height=1, width=8))


def main() -> None:
    chosen = options(__doc__, items=32, plain_items=2)
    config, runtime = prepare(chosen)
    llm = contest_llm(chosen, config, runtime)
    maps = np.random.default_rng(0).integers(llm.vocab_size, size=(chosen.items, GRID**2))
    jobs = [Job(str(number), TASK, clean, clean) for number, clean in enumerate(maps)]
    restorer = Restorer(llm, PROTOCOL, GRID, llm.vocab_size, config.seed)

    windows = restorer.windows(TASK)
    instruction = len(RestorationPrompt.make(llm, PROTOCOL.num_predicted).instruction)

    def suite(count: int) -> tuple[list[list[int]], float]:
        restored, rows = restorer.restore(jobs[:count], lambda _: None)
        once = [(instruction, 0)] * len(windows)
        own = [(row["num_prompt_tokens"] + PROTOCOL.num_predicted - 1 - instruction, instruction) for row in rows]
        flops = forward_flops(llm, [*once, *own], len(rows) * PROTOCOL.num_predicted)
        return [each.tolist() for each in restored], flops

    def plain(count: int) -> tuple[list[list[int]], float]:
        restored, reads, generated = [], [], 0
        for job in jobs[:count]:
            variants, current = draw_variants(job, PROTOCOL, llm.vocab_size, config.seed), job.degraded.copy()
            for window in windows:
                request = restorer.request(job, variants, window, current)
                answers = answer_one_by_one(llm, [request])
                current[list(window)] = answers[0]
                reads += [(request.num_prompt_tokens, 0), *answer_reads([request], answers)]
                generated += len(answers[0])
            restored.append(current.tolist())
        return restored, forward_flops(llm, reads, generated)

    table = Table("Restoration", "pictures", lambda ours, theirs: equal_rows(ours, theirs, "restored maps"))
    compete(
        chosen,
        runtime,
        table,
        Way("suite: a window of every picture at once", suite, chosen.items),
        Way("a `generate` call a window", plain, chosen.plain_items),
    )


if __name__ == "__main__":
    main()
