"""The one place where figures get their style and become files."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import matplotlib.style
from matplotlib.figure import Figure

# Without dates and program versions equal input gives equal bytes.
METADATA = {
    "png": {"Software": None},
    "pdf": {"Creator": None, "Producer": None, "CreationDate": None},
}


@contextmanager
def house_style() -> Iterator[None]:
    """Figures made and saved inside have the style of style.mplstyle, whatever the user's own settings are."""
    with as_file(files("v2l.report") / "style.mplstyle") as style, matplotlib.style.context(["default", style]):
        yield


def series_style(place: int, *keys: str) -> dict[str, Any]:
    """Of the series at this place its ``color``, ``marker`` or ``linestyle``, the same in every panel of a figure.

    The style has eight of each; to be called inside ``house_style``.
    """
    cycle = list(matplotlib.rcParams["axes.prop_cycle"])
    return {key: cycle[place % len(cycle)][key] for key in keys}


def save_figure(figure: Figure, folder: Path, name: str) -> dict[str, str]:
    """Writes <name>.png (300 dpi) and <name>.pdf (vector, fonts embedded); returns their names by format."""
    for suffix, metadata in METADATA.items():
        figure.savefig(folder / f"{name}.{suffix}", metadata=metadata)
    return {suffix: f"{name}.{suffix}" for suffix in METADATA}
