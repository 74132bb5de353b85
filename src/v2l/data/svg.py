"""Icons of an Iconify set as SVG, and their rendering."""

from collections.abc import Mapping
from typing import Any

import resvg_py


def icon_svg(icon_set: Mapping[str, Any], name: str, size_px: int) -> str:
    """One icon of a set as a square SVG document; an icon that is not square is centred in it.

    icon_set: the content of an ``icons.json``. Size and origin are the icon's own, else the set's, else Iconify's
    defaults (16 x 16 at 0, 0).
    """
    icon = icon_set["icons"][name]
    left, top, width, height = (
        icon.get(key, icon_set.get(key, default))
        for key, default in (("left", 0), ("top", 0), ("width", 16), ("height", 16))
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{left} {top} {width} {height}" width="{size_px}" height="{size_px}">{icon["body"]}</svg>'
    )


def render(svg: str) -> bytes:
    """Renders an SVG on white. Returns PNG bytes, the same on every machine: no system font is used.

    Raises ValueError if the SVG is malformed.
    """
    return resvg_py.svg_to_bytes(svg_string=svg, background="white", skip_system_fonts=True)


def render_or_reason(svg: str) -> bytes | str:
    """The PNG bytes, or in one line why there are none."""
    try:
        return render(svg)
    except ValueError as error:
        return " ".join(str(error).split())
