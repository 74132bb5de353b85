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
BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")  # of statements within a statement


def stage_sources(stage: Stage) -> list[Path]:
    """The module of the stage's function, every module of this package that it imports, directly or through others,
    and the data files that these name; sorted, absolute."""
    found: set[Path] = set()
    data: set[Path] = set()
    waiting = [_modules()[stage.target.partition(":")[0]]]
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            imported, named = _read(file)
            waiting += imported
            data |= named
    return sorted(found | data)


@cache
def _modules() -> dict[str, Path]:
    """Files by dotted name. Those of packages are left out: they are empty by convention."""
    files = (file for file in FOLDER.rglob("*.py") if file.name != "__init__.py")
    return {".".join((PACKAGE, *file.relative_to(FOLDER).with_suffix("").parts)): file for file in files}


@cache
def _data_files(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_file() and path.suffix != ".py"]


@cache  # most modules belong to many stages, and every job on a node reads the whole workflow
def _read(file: Path) -> tuple[set[Path], set[Path]]:
    """Modules of this package that a file imports, and files beside it, such as templates and pins, whose names stand
    in it in quotes."""
    text = file.read_text()
    imported = {_modules()[name] for name in _imported_names(ast.parse(text).body) if name in _modules()}
    return imported, {path for path in _data_files(file.parent) if f'"{path.name}"' in text}


def _imported_names(statements: Iterable[ast.AST]) -> Iterator[str]:
    """Modules that a file imports, inside functions too; ``from v2l.a import b`` may name one or what is in one."""
    for node in statements:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        for block in BLOCKS:  # and no expressions, which are most of a file
            yield from _imported_names(getattr(node, block, ()))
