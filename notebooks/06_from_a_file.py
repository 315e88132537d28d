# %% [markdown]
"""
# From an exchange's file to a fixture

A day of Binance's archive is a CSV of best bids and asks. Import makes a fixture of it: integer columns, checked row by
row, with a hash that every later replay is held to. No market data is shipped with this notebook, so the first cell writes
half an hour in the archive's documented format.
"""

# %%
from pathlib import Path

import grinder as gr
from grinder.data.importing import import_archive
from grinder.data.inspection import inspect

HEADER = "update_id,best_bid_price,best_bid_qty,best_ask_price,best_ask_qty,transaction_time,event_time"
START = 1_704_110_400_000  # 2024-01-01 12:00 UTC, ms


def rows() -> list[str]:
    """Half an hour of quotes, five a second, falling and rising by turns; prices in tenths."""
    out, state, mid = [HEADER], 1, 420_000
    for k in range(9_000):
        state = state * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407 & (1 << 64) - 1
        mid += (state >> 60) - 8 + (k // 1500 % 2)
        time = START + 200 * k
        out.append(
            f"{k + 1},{mid / 10:.1f},{1 + (state >> 50) % 9}.250,{mid / 10 + 0.1:.1f},{1 + (state >> 40) % 9}.500,{time},{time + 3}"
        )
    return out


file = Path("BTCUSDT-bookTicker-2024-01-01.csv")
file.write_text("\n".join(rows()) + "\n", "utf-8")
print("\n".join(file.read_text("utf-8").splitlines()[:4]))

# %% [markdown]
"""
One call, or `grinder import archive FILE --out fixtures/btc_noon --kind perpetual`. Symbol and kind of data come from the
file's name, tick and lot are inferred from the prices and quantities that occur, and the report says that they were: give
`--tick` and `--lot` where you know them.
"""

# %%
Path("fixtures").mkdir()
made, report = import_archive(file, "fixtures/btc_noon", kind="perpetual", config={"step": "4bp", "quantity": "0.01"})
print(report)

# %%
made

# %% [markdown]
"""
`fixture validate` reads every row again and recomputes the content hash; a replay checks the files' hashes only, which is
fast.
"""

# %%
print(inspect("btc_noon"))

# %% [markdown]
"""
**Faults.** Files break. Each of these is one cell of the CSV gone wrong. The answer names file, row, column, value and the
cure, and nothing half written is left behind. A price that is off its tick is an error, never rounded away.
"""

# %%
good = file.read_text("utf-8").splitlines()


def broken(row: int, column: int, value: str) -> None:
    """Import the file with one cell changed, and print what is said."""
    cells = good[row].split(",")
    cells[column] = value
    Path("broken").mkdir(exist_ok=True)
    bad = Path("broken") / file.name
    bad.write_text("\n".join([*good[:row], ",".join(cells), *good[row + 1 :]]) + "\n", "utf-8")
    try:
        import_archive(bad, "fixtures/broken", kind="perpetual", tick_size="0.1", lot_size="0.001")
    except gr.errors.GrinderError as error:
        print(f"{type(error).__name__}: {error}\n")
    assert not Path("fixtures/broken").exists()


broken(5000, 1, "42003.14")
broken(5001, 2, "-1.250")
broken(5002, 5, str(START))
broken(5003, 4, "NaN")

# %% [markdown]
"""
Some rows are wrong and yet no reason to refuse a day: a crossed book is an event that moves no price. It is quarantined:
counted, shown on the card, and part of the digest, so that a file with a repaired row is another file.
"""

# %%
cells = good[5000].split(",")
cells[1] = f"{float(cells[3]) + 0.5:.1f}"
crossed = Path("crossed") / file.name
crossed.parent.mkdir()
crossed.write_text("\n".join([*good[:5000], ",".join(cells), *good[5001:]]) + "\n", "utf-8")
other, _ = import_archive(crossed, "fixtures/crossed_noon", kind="perpetual", config={"step": "4bp", "quantity": "0.01"})
first, second = gr.replay("btc_noon"), gr.replay("crossed_noon")
print([caution.text for caution in second.cautions() if caution.code == "DATA"])
print(f"content {made.content[:12]} and {other.content[:12]}; digest {first.digest.value[:12]} and {second.digest.value[:12]}")

# %% [markdown]
"""
The fixture is replayed by its name, like those that come with grinder, because it is in `./fixtures`.
"""

# %%
ax = first.plot()

# %% [markdown]
"""
The rest is two commands: `grinder accept btc_noon --reason "imported"` writes the golden digest, and `grinder verify` in CI
says if it ever changes. Recordings of the websocket are `grinder import binance`, Tardis CSVs `grinder import tardis`,
LEAN's bars `grinder import lean`, and your own CSV or Parquet `grinder import table`. `docs/FAULTS.md` lists what is said
to every fault.
"""
