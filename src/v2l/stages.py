"""The table of contents: every stage with its inputs, outputs and the configuration sections it depends on.

Importing this file is cheap (no torch), so the command's help and the workflow read it. The function behind a stage
takes its inputs, outputs and options by these names as ``Path`` (a list of them where there is one for every item) or
``str``, and its sections by the names in ``params``; a seeded stage also gets ``seed``, one that computes with torch
``runtime``, and a resumable one a ``scratch`` folder. Stages are listed in an order in which they can run.
"""

from v2l.graph import assets, data, language, pictures, release, report, tokenizers, vocabulary
from v2l.graph.spec import Stage

TOPICS = (assets, data, release, vocabulary, tokenizers, language, pictures, report)
STAGES: dict[str, Stage] = {stage.name: stage for topic in TOPICS for stage in topic.STAGES}
