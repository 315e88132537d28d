"""Figures as PNG files: whole or not at all, and the same bytes for the same picture with the same matplotlib."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from grinder.errors import ConfigError
from grinder.outfile import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["DPI", "write_png"]

DPI: Final = 150
"""Pixels an inch of a saved figure."""


def write_png(path: str | os.PathLike[str], draw: Callable[[Figure], Any]) -> Path:
    """Write what `draw` puts on a new figure: neither the user's style nor versions nor the time of day go in, nor is pyplot asked.

    Raises:
        ConfigError: the file cannot be written. And what `draw` raises.
    """
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    image = io.BytesIO()
    with style.context("default"):
        figure = Figure(dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure)
        figure.savefig(image, format="png", dpi=DPI, metadata={"Software": None})
    target = Path(path)
    try:
        return write_whole(target, image.getvalue())
    except OSError as error:
        raise ConfigError(f"the plot cannot be written to {target}: {error.strerror}") from None
