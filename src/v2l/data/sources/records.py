"""JSON files of COCO and VQA: an object that holds long lists of records."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from v2l.errors import DataError


def read_records(
    path: Path, lists: Mapping[str, Mapping[str, type]], object_hook: Callable[[dict], Any] | None = None
) -> list[list[dict[str, Any]]]:
    """The named lists of a file, in their order.

    lists: for each list the keys, with their types, that every record in it has.   object_hook: as of `json.load`.
    Raises DataError that names file, list and record.
    """
    try:
        with path.open(encoding="utf-8") as file:
            tree = json.load(file, object_hook=object_hook)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not valid JSON ({error})") from None
    for name, keys in lists.items():
        if not isinstance(tree, dict) or not isinstance(tree.get(name), list):
            found = f"an object with {', '.join(tree) or 'nothing'}" if isinstance(tree, dict) else type(tree).__name__
            raise DataError(f"{path}: expected an object with the list(s) {', '.join(lists)}, found {found}")
        for number, record in enumerate(tree[name]):
            for key, kind in keys.items():
                if not isinstance(record, dict) or not isinstance(record.get(key), kind):
                    found = type(record[key]).__name__ if isinstance(record, dict) and key in record else "none"
                    raise DataError(f"{path}: {name}[{number}]: expected {key} of type {kind.__name__}, found {found}")
    return [tree[name] for name in lists]
