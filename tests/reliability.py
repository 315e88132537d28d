"""Puts the figures of a lane into docs/RELIABILITY.md, between the two comments that bear its name."""

from __future__ import annotations

from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "RELIABILITY.md"


def marks(name: str) -> tuple[str, str]:
    return f"<!-- {name}: begin -->", f"<!-- {name}: end -->"


def put(name: str, text: str, document: Path = DOCUMENT) -> None:
    """Replace what a lane told last."""
    before, rest = document.read_text("utf-8").split(marks(name)[0])
    after = rest.split(marks(name)[1])[1]
    document.write_text(f"{before}{marks(name)[0]}\n\n{text.strip()}\n\n{marks(name)[1]}{after}", "utf-8")


def figures(name: str, document: Path = DOCUMENT) -> str:
    """What a lane told last."""
    return document.read_text("utf-8").split(marks(name)[0])[1].split(marks(name)[1])[0].strip()
