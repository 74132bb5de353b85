"""Which files a stage's code is in, read off the import statements without running anything.

The files are inputs of the stage's rule: an edit runs again the stages that use the edited file, and what follows from
them, and nothing else. What starts a stage (the command, the runner, the table of stages) is no part of its code.
"""

import ast
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from v2l.graph.spec import Stage

PACKAGE = "v2l"
FOLDER = Path(__file__).parent


def stage_sources(stage: Stage) -> list[Path]:
    """The module of the stage's function, every module of this package that it imports, directly or through others,
    and the data files that these name; sorted, absolute."""
    found: set[Path] = set()
    waiting = [_module_file(stage.target.partition(":")[0])]
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting += _imported(file)
    return sorted({*found, *(data for file in found for data in _data_files(file))})


def _module_file(module: str) -> Path | None:
    """The file of ``v2l.a.b``; None for a package, whose ``__init__`` is empty by convention, or another name."""
    file = FOLDER.joinpath(*module.split(".")[1:]).with_suffix(".py")
    return file if file.is_file() else None


@lru_cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_bytes())


def _imported(file: Path) -> list[Path]:
    files = (_module_file(name) for name in _imported_names(file) if name.split(".")[0] == PACKAGE)
    return [found for found in files if found is not None]


def _imported_names(file: Path) -> Iterator[str]:
    """Modules that a file imports, inside functions too; ``from v2l.a import b`` may name one or what is in one."""
    for node in ast.walk(_tree(file)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _data_files(file: Path) -> Iterator[Path]:
    """Files beside a module, such as templates and pins, whose names stand in it as strings."""
    beside = {path.name: path for path in file.parent.iterdir() if path.is_file()}
    for node in ast.walk(_tree(file)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in beside:
            yield beside[node.value]
