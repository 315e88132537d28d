"""A small git repository that stands in for a checkout of grinder: each commit's `grinder replay` gives the run that it is told.

So what is done around revisions is tested without compiling each of them. A file `says` makes a commit fail.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

MAIN = """
import pathlib, shutil, sys

here = pathlib.Path(__file__).parent
if (here / "says").exists():
    code, _, text = (here / "says").read_text().partition(" ")
    print(text, file=sys.stderr)
    raise SystemExit(int(code))
words = sys.argv[1:]
assert words[0] == "replay"
shutil.copy((here / "gives").read_text(), words[words.index("--save") + 1])
"""


class StandIn:
    """The repository and its commits."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        (folder / "src" / "grinder").mkdir(parents=True)
        self.package = folder / "src" / "grinder"
        (self.package / "__init__.py").touch()
        (self.package / "__main__.py").write_text(MAIN)
        self.git("init", "--quiet", "--initial-branch", "main")

    def git(self, *words: str) -> str:
        who = {f"GIT_{role}_{what}": f"x@{role.lower()}" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | who
        done = subprocess.run(
            ["git", "-C", str(self.root), "-c", "commit.gpgsign=false", *words],
            capture_output=True, text=True, check=True, env=environment,
        )  # fmt: skip
        return done.stdout.strip()

    def commit(self, message: str, gives: Path | None = None, says: str = "", **files: str) -> str:
        """A commit whose replays give a file, or that ends with a code and a text instead."""
        (self.package / "says").unlink(missing_ok=True)
        if gives is not None:
            (self.package / "gives").write_text(str(gives))
        if says:
            (self.package / "says").write_text(says)
        for name, body in files.items():
            (self.root / name.replace("_", ".")).write_text(body)
        self.git("add", "--all", "--force", "src", *(name.replace("_", ".") for name in files))
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")
