"""Runs DVC, which keeps the bytes of large artifacts, on what Snakemake has made."""

import subprocess
import sys
from pathlib import Path

from v2l.errors import ArtifactError


def commit() -> None:
    """Takes the present state of all outputs and raw inputs into DVC's cache and ``dvc.lock``.

    Raises ArtifactError with DVC's own last line if it fails.
    """
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "commit", "--force", "--quiet"], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        raise ArtifactError(f"dvc commit: {lines[-1] if lines else 'failed'}; is {Path('dvc.yaml')} there?")
