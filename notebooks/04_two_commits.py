# %% [markdown]
"""
# What changed between two commits

A backtest that differs from last week's is a question: which line did it, where does it show first, and was it meant? This
notebook makes a study with `grinder new`, commits it, changes one line of its policy, commits that, and asks.
"""

# %%
import subprocess
import tomllib
from pathlib import Path

import grinder as gr
from grinder.study import new_study

study = Path("study")
print("\n".join(path.relative_to(study).as_posix() for path in new_study(study)))


def git(*words: str) -> str:
    """What git says of the study."""
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false", "-c", "core.hooksPath=/dev/null")
    return subprocess.run(["git", "-C", str(study), *who, *words], check=True, capture_output=True, text=True).stdout


git("init", "--quiet", "--initial-branch=main")
git("add", ".")
_ = git("commit", "--quiet", "-m", "A study")

# %% [markdown]
"""
The change somebody makes on a Friday: "the step should follow volatility more closely".
"""

# %%
policy = study / "policy.py"
before = policy.read_text("utf-8")
policy.write_text(before.replace("2 * view.features.natr", "3 * view.features.natr // 2"), "utf-8")
_ = git("commit", "--quiet", "-am", "A closer step")
print("\n".join(line for line in git("diff", "-U0", "HEAD~1", "HEAD").splitlines() if line[:1] in "+-"))

# %% [markdown]
"""
Both versions of the policy, each from its commit, on the study's fixture.
"""

# %%
data, runs = gr.fixture(study / "fixtures" / "range_day"), {}
config = gr.Config(**tomllib.loads((study / "config.toml").read_text("utf-8")))
for revision in ("HEAD~1", "HEAD"):
    space: dict = {"__name__": "policy"}
    exec(compile(git("show", f"{revision}:policy.py"), f"{revision}:policy.py", "exec"), space)
    runs[revision] = gr.replay(data, config, space["wide"])
    run = runs[revision]
    net = run.money(run.metrics().portfolio.pnl.total)
    print(f"{revision:<7} {run.digest.value[:16]}  {len(run.fills)} fills, {len(run.cycles)} cycles, net {net}")

# %%
found = gr.diff(runs["HEAD~1"], runs["HEAD"], labels=("before", "after"))
print("\n".join(str(found).splitlines()[:9]))

# %% [markdown]
"""
Until 00:57 every record is the same. Then the version before replans and the one after does not: 2 NATR had come to 16 bp,
which is over the static step of 12 bp, and 1.5 NATR had not. Settings, market and code are the same, so the policy did it,
and the first thing it did is what the commit says. Had the first difference been a fill or a fee, it would have been
another kind of Friday.
"""

# %%
ax = found.plot()

# %% [markdown]
"""
Orders before (solid) and after (dashed); the dotted line is where they part. Below, the positions: minutes later they
differ, and from then on the two runs have different inventories and different days. That is why the end of a run says so
little about a change, and its first difference so much. By the end:
"""

# %%
for name, run in runs.items():
    parts = run.metrics().portfolio.pnl._asdict().items()
    print(f"{name:<7}", "  ".join(f"{part} {run.money(atoms):>14}" for part, atoms in parts if part != "funding"))

# %% [markdown]
"""
Runs can be kept: CI saves one a commit, and a difference needs neither the old code nor the data.
"""

# %%
runs["HEAD~1"].save("before.grinder")
runs["HEAD"].save("after.grinder")
again = gr.diff("before.grinder", "after.grinder")
assert (again.first.stage, again.first.event) == (found.first.stage, found.first.event)
print(f"{Path('before.grinder').stat().st_size // 1000} kB and {Path('after.grinder').stat().st_size // 1000} kB say the same")

# %% [markdown]
"""
Of grinder's own code, or where the environment changed too, the whole thing is one command. It builds each revision's
environment, compiles and replays both, which takes a few minutes the first time:

```sh
grinder diff main HEAD --fixture range_day_l1
grinder bisect range_day_l1 --good v0.1
```

The second finds the commit that changed a digest. And in a study of one's own `pytest` says at once that a digest is not
its golden's, with the same first difference; `pytest --update-digests "why"` accepts it, outside CI only.
"""
