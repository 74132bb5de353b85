"""Stages that make pictures, episodes and questions."""

from v2l.graph.files import EPISODES, EVALUATION, ICONS, PICTURES, QUESTIONS
from v2l.graph.spec import Stage, result

STAGES = (
    Stage(
        "emoji",
        "data",
        "v2l.data.emoji:emoji",
        "Render the emoji set and write its manifest.",
        inputs={"icons": ICONS},
        outputs={
            "pictures": result("data/pictures", "folder of rendered PNG files"),
            "manifest": PICTURES,
            "report": result("data/report.json", "counts, and the pictures that could not be read"),
        },
        params={"data": "data"},
        compute=False,
    ),
    Stage(
        "pictures",
        "data",
        "v2l.data.sources.stage:pictures",
        "List the pictures of the paper's data sets, each decoded once.",
        inputs={},
        outputs={
            "manifest": PICTURES,
            "report": result("data/report.json", "counts, and the pictures that could not be read"),
            "questions": QUESTIONS,
        },
        params={"config": "data"},
        compute=False,
    ),
    Stage(
        "episodes",
        "data",
        "v2l.data.draw_episodes:episodes",
        "Draw the few-shot episodes.",
        inputs={"manifest": PICTURES},
        outputs={"episodes": EPISODES},
        params={"config": "episodes"},
        seeded=True,
        compute=False,
    ),
    Stage(
        "questions",
        "data",
        "v2l.data.questions:questions",
        "Ask templated questions about the pictures, each with ten answers.",
        inputs={"manifest": PICTURES},
        outputs={"questions": QUESTIONS},
        seeded=True,
        compute=False,
    ),
    Stage(
        "evaluation",
        "data",
        "v2l.data.evaluation:evaluation",
        "List the pictures that every tokenizer has to encode for the experiments.",
        inputs={"manifest": PICTURES, "episodes": EPISODES},
        outputs={"evaluation": EVALUATION},
        params={"reconstruct": "reconstruct", "fewshot_runs": "fewshot.runs", "codebooks": "vocab.codebooks"},
        compute=False,
    ),
)
