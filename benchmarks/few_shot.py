"""Few-shot classification: Table 1's prompts of an episode share what they begin with, against a loop over prompts.

    python -m benchmarks.few_shot [--items 8] [--profile]

The prompts are those of the default's V2L run (two and five ways, Kg 5 and 21, seven settings, a query of every class),
with words of one to three tokens drawn at random: speed does not depend on which they are.
"""

from collections.abc import Iterator

import numpy as np

from v2l.config.tree import Config
from v2l.data.episodes import Episode
from v2l.experiments.classify import make_decisions, make_requests
from v2l.models.llm import Llm
from v2l.models.llm_generation import Request

from .common.contest import Table, Way, compete, contest_llm, equal_rows, options, prepare
from .common.llm_work import answer_one_by_one, answer_reads, engine_flops, forward_flops

RUN = "v2l"
MAX_ORDER = 3  # tokens of a word


def main() -> None:
    chosen = options(__doc__, items=8, plain_items=1)
    config, runtime = prepare(chosen)
    llm = contest_llm(chosen, config, runtime)
    requests = [episode_requests(llm, config, number) for number in range(chosen.items)]

    def suite(count: int) -> tuple[list[list[int]], float]:
        asked = [request for episode in requests[:count] for request in episode]
        answers = llm.answer(asked)
        return answers, engine_flops(llm, asked, answers)

    def plain(count: int) -> tuple[list[list[int]], float]:
        asked = [request for episode in requests[:count] for request in episode]
        answers = answer_one_by_one(llm, asked)
        whole = [(request.num_prompt_tokens, 0) for request in asked]
        return answers, forward_flops(llm, [*whole, *answer_reads(asked, answers)], sum(map(len, answers)))

    table = Table("Few-shot classification", "episodes", lambda ours, theirs: equal_rows(ours, theirs, "answers"))
    compete(
        chosen,
        runtime,
        table,
        Way("suite: shared beginnings, batched", suite, chosen.items),
        Way("a `generate` call a prompt", plain, chosen.plain_items),
    )


def episode_requests(llm: Llm, config: Config, number: int) -> list[Request]:
    """All questions on an episode of two ways and on one of five."""
    run, section = config.fewshot.runs[RUN], config.fewshot
    generator = np.random.default_rng(number)
    pieces = np.array([i for i, text in enumerate(llm.token_texts) if text[:1] == " " and text[1:].isalnum()])

    def words(count: int) -> list[str]:
        lengths = generator.integers(1, MAX_ORDER + 1, count)
        return llm.decode([generator.choice(pieces, length).tolist() for length in lengths])

    episodes = [episode for ways in config.episodes.ways for episode in questions(ways, words(ways), config, number)]
    shown = {image: words(max(run.num_global)) for each in episodes for image in (*each.support_ids, each.query_id)}
    answered = {setting.shots: set(episodes) for setting in run.settings}
    decisions = make_decisions(episodes, answered, shown, run, section.answer.separator)
    return make_requests(decisions, llm, section.answer)


def questions(ways: int, names: list[str], config: Config, number: int) -> Iterator[Episode]:
    """One support, in rounds over the classes, and a query of every class."""
    shots = config.episodes.shots
    places = [(name, shot) for name in range(ways) for shot in range(shots)]
    order = sorted(range(len(places)), key=lambda place: places[place][1])
    class_names = tuple(name.strip() for name in names)
    support = tuple(f"{number}-{ways}-{name}-{shot}" for name, shot in places)
    for name in range(ways):
        query = f"{number}-{ways}-{name}-query"
        yield Episode(f"{number}-{ways}", ways, class_names, support, tuple(order), query, class_names[name])


if __name__ == "__main__":
    main()
