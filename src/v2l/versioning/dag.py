"""The jobs of the graph, as Snakemake sees them: the one place where dependencies are written is ``workflow/``."""

import logging
from dataclasses import dataclass
from pathlib import Path

from snakemake.api import SnakemakeApi
from snakemake.settings.types import ConfigSettings, DAGSettings, OutputSettings, Quietness, ResourceSettings

from v2l.errors import ConfigError


@dataclass(frozen=True)
class GraphJob:
    """One job: its rule, what the rule's wildcards stand for, and the files it reads and writes.

    temporary: its outputs go once they have been used.
    """

    rule: str
    wildcards: dict[str, str]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    temporary: bool

    @property
    def target(self) -> str:
        """What asks Snakemake for this job: its rule, or a file where the rule is for several."""
        return self.outputs[0] if self.wildcards else self.rule


def graph_jobs(config: Path, snakefile: Path = Path("Snakefile")) -> list[GraphJob]:
    """Every job of a configuration, in an order in which they can run; nothing is run.

    Raises ConfigError if Snakemake refuses the configuration.
    """
    logging.getLogger("snakemake").setLevel(logging.WARNING)
    with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
        try:
            interface = api.workflow(
                resource_settings=ResourceSettings(cores=1),
                config_settings=ConfigSettings(configfiles=[config]),
                snakefile=snakefile,
            ).dag(DAGSettings(targets={"all"}, forceall=True))
            # Not public: the interface has only methods that print. The version of Snakemake is pinned.
            workflow = interface.workflow_api._workflow
            workflow._prepare_dag(forceall=True, ignore_incomplete=True, lock_warn_only=False, nolock=True)
            workflow._build_dag()
        except Exception as error:
            raise ConfigError(f"{config}: Snakemake cannot build the graph ({str(error).splitlines()[0]})") from error
        return [
            GraphJob(
                job.rule.name,
                dict(job.wildcards_dict),
                tuple(map(str, job.input)),
                tuple(map(str, job.output)),
                bool(job.temp_output),
            )
            for level in workflow.dag.toposorted()
            for job in sorted(level, key=lambda job: (job.rule.name, tuple(map(str, job.output))))
        ]
