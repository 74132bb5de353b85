"""Which files a stage's code is in, read off the import statements without running anything.

The files are inputs of the stage's rule: an edit runs again the stages that use the edited file, and what follows from
them, and nothing else. What starts a stage (the command, the runner, the table of stages) is no part of its code.
"""

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from v2l.graph.spec import Stage

PACKAGE = "v2l"
FOLDER = Path(__file__).parent


def stage_sources(stage: Stage) -> list[Path]:
    """The module of the stage's function, every module of this package that it imports, directly or through others,
    and the data files that these name; sorted, absolute."""
    found: set[Path] = set()
    data: set[Path] = set()
    waiting = [_module_file(stage.target.partition(":")[0])]
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            imported, named = _read(file)
            waiting += imported
            data |= named
    return sorted(found | data)


def _module_file(module: str) -> Path | None:
    """The file of ``v2l.a.b``; None for a package, whose ``__init__`` is empty by convention, or another name."""
    file = FOLDER.joinpath(*module.split(".")[1:]).with_suffix(".py")
    return file if file.is_file() else None


@cache  # most modules belong to many stages, and every job on a node reads the whole workflow
def _read(file: Path) -> tuple[set[Path], set[Path]]:
    """Modules of this package that a file imports, and files beside it, such as templates and pins, whose names stand
    in it as strings."""
    beside = {path.name: path for path in file.parent.iterdir() if path.is_file()}
    nodes = list(ast.walk(ast.parse(file.read_bytes())))
    modules = (_module_file(name) for name in _imported_names(nodes) if name.split(".")[0] == PACKAGE)
    words = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return {found for found in modules if found is not None}, {beside[word] for word in words & beside.keys()}


def _imported_names(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Modules that a file imports, inside functions too; ``from v2l.a import b`` may name one or what is in one."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
