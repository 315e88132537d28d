"""A run on disk and in tables: what is saved is what is loaded or an error with a name; tables, cycles and sums are exact."""

from __future__ import annotations

import io
import itertools
import json
import random
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import grinder.run as module
from grinder.digest import Digest
from grinder.errors import ConfigError, DataError, IntegrityError
from grinder.records import STAGES, Role, World
from grinder.run import Run, Table, load
from grinder.session import replay
from tests.swings import swing
from tests.tapes import Case, case

SEEDS = range(40)


@pytest.fixture(scope="module")
def busy() -> tuple[Case, Run]:
    """A tape of two or more symbols with many cycles and funding, cut in the middle."""
    for seed in range(400):
        c = case(seed)
        run = replay(c.fixture, c.config)
        if len(run.symbols) > 1 and len(run.cycles) > 5 and run.summary()["funding"] and (run.input["kind"] == 3).any():
            return c, run
    raise AssertionError("no such tape")


def same(a: Run, b: Run) -> bool:
    arrays = [(a.tables[stage].records, b.tables[stage].records) for stage in STAGES]
    arrays += [(getattr(a.world, name), getattr(b.world, name)) for name in World._fields]
    arrays += [(a.prices, b.prices)]
    assert all(x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes() for x, y in arrays)
    names = "name instruments config events total last_ts digest provenance symbols complete".split()
    return all(getattr(a, name) == getattr(b, name) for name in names) and repr(a) == repr(b)


# Save and load


@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_save_and_load(busy, tmp_path, share):
    c, _ = busy
    stop = int(len(c.fixture) * share)
    run = replay(c.fixture, c.config, until=stop)
    saved = run.save(tmp_path / "run.grinder")
    assert [path.name for path in tmp_path.iterdir()] == ["run.grinder"]
    (tmp_path / "plain").touch()
    assert saved.stat().st_mode == (tmp_path / "plain").stat().st_mode
    loaded = load(saved)
    assert same(run, loaded)
    assert loaded.market is None
    assert loaded.summary() == run.summary()
    assert loaded.to_dict() == run.to_dict()
    assert load(loaded.save(tmp_path / "again.grinder")).digest == run.digest


@pytest.mark.parametrize("seed", [2, 11, 29])
def test_a_loaded_part_resumes_to_the_same_digest(tmp_path, seed):
    c = case(seed)
    whole, rng = replay(c.fixture, c.config), random.Random(seed)
    run = None
    for stop in sorted(rng.sample(range(len(c.fixture)), 3)):
        run = load(replay(c.fixture, c.config, resume=run, until=stop).save(tmp_path / f"{stop}.grinder"))
    assert same(replay(c.fixture, c.config, resume=run), whole)


def test_three_windows_saved_at_their_borders(tmp_path):
    fixture = swing(tmp_path / "swings")
    whole = replay(fixture)
    for stop in (4095, 4096, 4097, 8192):
        part = load(replay(fixture, until=stop).save(tmp_path / "part.grinder"))
        assert same(replay(fixture, resume=part), whole)


def test_save_is_whole_or_nothing(busy, tmp_path, monkeypatch):
    run = busy[1]
    target = run.save(tmp_path / "run.grinder")
    before = target.read_bytes()
    monkeypatch.setattr(np, "savez_compressed", lambda *_, **__: (_ for _ in ()).throw(OSError("no space left")))
    with pytest.raises(OSError, match="no space left"):
        run.save(target)
    assert [path.name for path in tmp_path.iterdir()] == ["run.grinder"]
    assert target.read_bytes() == before
    with pytest.raises(ConfigError, match="there is no folder"):
        run.save(tmp_path / "nowhere" / "run.grinder")


# Damage


def test_no_file(tmp_path):
    for path in (tmp_path / "nothing.grinder", tmp_path):
        with pytest.raises(DataError, match="there is no such file"):
            load(path)


def test_any_damage_is_an_integrity_error_or_changes_nothing(busy, tmp_path):
    """Bytes changed, cut off, added, swapped: a named error, or the very same run (not every byte of a zip means something)."""
    run = busy[1]
    good = run.save(tmp_path / "good.grinder").read_bytes()
    file, rng, refused = tmp_path / "bad.grinder", random.Random(7), 0
    for n in range(400):
        bad = bytearray(good)
        if n % 4 == 3:
            bad = bad[: rng.randrange(len(bad))] + (b"" if n % 8 == 3 else rng.randbytes(9))
        else:
            middle = rng.randrange(len(bad)) if n % 4 else len(bad) - rng.randrange(1, 2000)  # the zip's directory is at the end
            for _ in range(rng.choice((1, 1, 2, 9))):
                bad[min(len(bad) - 1, middle + rng.randrange(30))] = rng.randrange(256)
        file.write_bytes(bad)
        try:
            assert same(load(file), run)
        except IntegrityError:
            refused += 1
    assert refused > 300


def edited(run: Run, tmp_path, **changes) -> IntegrityError:
    """Load a well-formed file in which arrays were replaced (None: taken out)."""
    with np.load(io.BytesIO(run.save(tmp_path / "run.grinder").read_bytes())) as stored:
        arrays = {name: stored[name] for name in stored.files}
    for name, value in changes.items():
        place = name.replace("__", ".")
        arrays[place] = value(arrays[place]) if callable(value) else value
    with (tmp_path / "run.grinder").open("wb") as file:
        np.savez(file, **{name: value for name, value in arrays.items() if value is not None})
    with pytest.raises(IntegrityError, match="no readable saved run") as caught:
        load(tmp_path / "run.grinder")
    return caught.value


def with_meta(change):
    def apply(array: np.ndarray) -> np.ndarray:
        body = json.loads(array.tobytes())
        change(body)
        return np.frombuffer(json.dumps(body).encode(), np.uint8)

    return apply


def one_more(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array[array.dtype.names[-1]][-1] += 1
    return array


def with_value(array: np.ndarray, name: str, value: int) -> np.ndarray:
    array = array.copy()
    array[name] = value
    return array


def test_tampering_with_whole_arrays(busy, tmp_path):
    run = busy[1]
    for stage in ("fills", "ledger", "bars"):
        for change in (None, lambda a: a[:-1], lambda a: a[::-1].copy(), one_more, lambda a: a["ts"].copy()):
            edited(run, tmp_path, **{f"table__{stage}": change})
    for change in (None, lambda a: a["position"].copy(), lambda a: a[:-1], one_more):
        edited(run, tmp_path, world__symbols=change)
    for part in (
        "run",
        "market",
        "filters",
        "history",
        "features",
        "orders",
        "cycles",
        "plans",
        "ladder",
        "targets",
        "wanted",
        "intents",
    ):
        edited(run, tmp_path, **{f"world__{part}": lambda a: a[:-1]})
        edited(run, tmp_path, **{f"world__{part}": lambda a: np.concatenate([a, a])})
    counts = ("n_orders", "n_cycles", "n_targets")
    for name, value in itertools.product(counts, (-2, 2**31, 2**62)):  # kernels check no bounds: these would write anywhere
        error = edited(run, tmp_path, world__symbols=lambda a, name=name, value=value: with_value(a, name, value))
        assert "a count in its state is out of bounds" in str(error)
    for name, value in (("last_row", 5), ("last_row", -2)):
        edited(run, tmp_path, world__market=lambda a, name=name, value=value: with_value(a, name, value))
    edited(run, tmp_path, world__filters=lambda a: with_value(a, "bars", -1))
    for name in ("levels_down", "wanted_up", "ladder_down"):
        error = edited(run, tmp_path, world__plans=lambda a, name=name: with_value(a, name, 257))
        assert "a count in its state is out of bounds" in str(error)
    assert "format 7" in str(edited(run, tmp_path, meta=with_meta(lambda body: body.update(format=7))))
    metas = [
        lambda body: body.pop("digest"),
        lambda body: body["digest"].update(events=body["digest"]["events"] + 5000),
        lambda body: body["digest"].update(config="0" * 64),
        lambda body: body["config"].update(stepp=1),
        lambda body: body["instruments"][0].update(tick_size="no"),
        lambda body: body["instruments"].append(5),
        lambda body: body["instruments"][0].update(self=1),
        lambda body: body["config"].update(self=1),
        lambda body: body["config"].update(max_open_orders=3),
        lambda body: body.update(seal="0" * 64),
        lambda body: body.pop("seal"),
        lambda body: body["instruments"].pop(),
    ]
    for change in metas:
        edited(run, tmp_path, meta=with_meta(change))
    for meta in (None, np.zeros(0, np.uint8), np.frombuffer(b"[" * 10**5, np.uint8), np.frombuffer(b"[]", np.uint8), np.array("x")):
        edited(run, tmp_path, meta=meta)


@pytest.mark.parametrize(
    ("stage", "column", "value"),
    [(stage, "symbol", value) for stage in ("fills", "orders", "plans", "levels", "features", "ledger") for value in (-2, 9, 2**62)]
    + [("orders", "order", 2**40), ("fills", "order", -1), ("fills", "cycle", 2**40), ("fills", "cycle", -2)],
)
def test_a_forged_run_leads_no_kernel_astray(busy, tmp_path, stage, column, value):
    """All of it made anew around one number, digest and seal too: measuring it would read and write anywhere."""
    run = busy[1]
    records = run.tables[stage].records.copy()
    records[column][-1] = value
    tables = {name: table.records for name, table in run.tables.items()} | {stage: records}
    digest = Digest.of(run.digest.config, run.digest.input, run.events, tables)
    forged = replace(run, tables={name: Table(name, rows) for name, rows in tables.items()}, digest=digest)
    vars(forged)["fill_mids"] = run.fill_mids  # not measured here either
    file = forged.save(tmp_path / "forged.grinder")
    with pytest.raises(IntegrityError, match=f"a {column} in its tables is out of bounds"):
        load(file)


@pytest.mark.parametrize("regime", [-1, 8, 10**12])
def test_a_forged_regime_leads_no_kernel_astray(busy, tmp_path, regime):
    run = busy[1]
    world = World(*(array.copy() for array in run.world))
    world.symbols["regime"][-1] = regime
    forged = replace(run, world=world)
    vars(forged)["fill_mids"] = run.fill_mids
    with pytest.raises(IntegrityError, match="a count in its state is out of bounds"):
        load(forged.save(tmp_path / "forged.grinder"))


@pytest.mark.parametrize(
    "change",
    [
        lambda mids: np.repeat(mids, 20, axis=1),
        lambda mids: mids[:0],
        lambda mids: mids[:, :1],
        lambda mids: mids[:, 0],
        lambda mids: mids.astype(float),
        lambda mids: mids.astype(np.int32),
        lambda mids: mids.byteswap().view(mids.dtype.newbyteorder()),
    ],
)
def test_forged_mids_lead_no_kernel_astray(busy, tmp_path, change):
    forged = replace(busy[1])
    vars(forged)["fill_mids"] = change(busy[1].fill_mids)
    with pytest.raises(IntegrityError, match="its mids are not those of its fills"):
        load(forged.save(tmp_path / "forged.grinder"))


class Touch(str):
    """A text whose pickle makes a file when it is read."""

    __slots__ = ()

    def __reduce__(self):
        return Path.touch, (Path(self),)


def test_files_of_other_kinds(busy, tmp_path, monkeypatch):
    file = tmp_path / "a.grinder"
    for body in (b"", b"PK", b"garbage" * 1000, bytes(10_000), b"PK\x05\x06" + bytes(18), b"\x93NUMPY\x01\x00"):
        file.write_bytes(body)
        with pytest.raises(IntegrityError):
            load(file)
    np.savez(tmp_path / "pickled", meta=np.array([Touch(tmp_path / "ran")], object))
    with pytest.raises(IntegrityError):
        load(tmp_path / "pickled.npz")
    assert not (tmp_path / "ran").exists(), "a saved run never runs code"
    header = b"{'descr': '<i8', 'fortran_order': False, 'shape': (%d,), }" % 10**15
    with zipfile.ZipFile(file, "w") as archive:  # an array that claims a petabyte
        archive.writestr("meta.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(IntegrityError):
        load(file)
    saved = busy[1].save(file)
    monkeypatch.setattr(module, "MAX_BYTES", 10_000)
    with pytest.raises(IntegrityError, match=r"unpacks to \d+ bytes, more than 10000"):
        load(saved)


# Tables


def test_tables_as_frames(busy):
    run = busy[1]
    for stage in STAGES:
        table = getattr(run, stage)
        assert isinstance(table, Table)
        columns = {name: table.records[name].tolist() for name in table.columns}
        assert pl.DataFrame(table).to_dict(as_series=False) == columns
        assert table.to_polars().schema == dict.fromkeys(columns, pl.Int64)
        assert table.to_pandas().to_dict("list") == columns
        assert repr(table) == f"Table({stage!r}: {len(table):,} rows; {', '.join(columns)})"
    assert (run.fills["qty"] == run.tables["fills"].records["qty"]).all()
    assert "price" in run.fills._repr_html_()
    assert set(STAGES) <= set(dir(run))
    with pytest.raises(AttributeError, match="a Run has no 'fils'; its tables are input, bars"):
        _ = run.fils


def test_cycles_against_naive_pairing():
    done = 0
    for seed in SEEDS:
        c = case(seed)
        run = replay(c.fixture, c.config)
        fills = pl.DataFrame(run.fills).to_dicts()
        expected = []
        for exit_ in fills:
            if exit_["role"] != Role.TAKE_PROFIT:
                continue
            (entry,) = [f for f in fills if f["cycle"] == exit_["cycle"] and f["role"] == Role.ENTRY]
            assert (entry["symbol"], entry["qty"], entry["side"]) == (exit_["symbol"], exit_["qty"], -exit_["side"])
            value = run.instruments[entry["symbol"]].tick_value * entry["qty"]
            gross = value * (exit_["price"] - entry["price"]) * entry["side"]
            fees = entry["fee"] + exit_["fee"]
            row = [entry["cycle"], entry["symbol"], entry["side"], entry["qty"], entry["event"], entry["ts"], entry["price"]]
            expected.append((*row, exit_["event"], exit_["ts"], exit_["price"], gross, fees, gross - fees))
        assert run.cycles.records.tolist() == expected
        assert len(expected) == run.summary()["cycles"]
        done += len(expected)
    assert done > 100


# Sums


def test_summary_sums_exactly():
    seen = np.zeros(4, bool)
    for seed in SEEDS:
        c = case(seed)
        for stop in (len(c.fixture) // 2, len(c.fixture)):
            run = replay(c.fixture, c.config, until=stop)
            s, fills = run.summary(), run.fills
            assert int(c.config.equity * 10**8) + s["realised"] + s["unrealised"] - s["fees"] + s["funding"] == s["equity"]
            values = np.array([run.instruments[symbol].tick_value for symbol in fills["symbol"]] or [0])
            assert s["turnover"] == int((fills["price"] * fills["qty"] * values).sum())
            assert s["fees"] == int(fills["fee"].sum())
            assert (s["fills"], s["buys"] + s["sells"]) == (len(fills), len(fills))
            assert s["events"] == stop
            cash = -(fills["side"] * fills["price"] * fills["qty"] * values).sum() - s["fees"] + s["funding"]
            assert int(run.world.run[0]["cash"]) == int(c.config.equity * 10**8) + int(cash)
            seen |= np.array([s["realised"], s["unrealised"], s["fees"], s["funding"]]) != 0
    assert seen.all()


def test_repr_is_a_card(busy):
    c, run = busy
    s, text = run.summary(), repr(run)
    for line in (
        f"Run of {c.fixture.name} ({', '.join(run.symbols)}), {len(c.fixture):,} events",
        f"digest      {run.digest.value}",
        f"{s['fills']} ({s['buys']} buys, {s['sells']} sells) of {s['orders']} orders",
        f"{s['cycles']} completed, {s['open_cycles']} open",
        f"{run.money(s['equity'])}; max drawdown {run.money(s['max_drawdown'])} of {run.money(s['dd_budget'])}",
    ):
        assert line in text
    split = {
        name: re.search(rf"^ +{name} +(-?[\d.]+) USDT", text, re.MULTILINE)[1]
        for name in ("PnL", "realised", "unrealised", "fees", "funding")
    }
    for name in ("realised", "unrealised", "fees", "funding"):
        assert abs(float(split[name]) - (-1 if name == "fees" else 1) * s[name] / 1e8) <= 1e-4
    assert abs(float(split["PnL"]) - (s["equity"] / 1e8 - float(c.config.equity))) <= 1e-4
    half = replay(c.fixture, c.config, until=len(c.fixture) // 2)
    assert f"{half.events:,} events of {half.total:,}" in repr(half)


@pytest.mark.parametrize("shape", [(1_000_000, 0), (3, 2), ()])
def test_a_table_of_another_shape_is_never_hashed(shape, tmp_path, monkeypatch):
    """Kernels read records by address: what they are told has to be there."""
    file = replay(swing(tmp_path / "swings")).save(tmp_path / "a.run")
    with np.load(file) as archive:
        arrays = {name: archive[name] for name in archive.files}
    arrays["table.bars"] = np.zeros(shape, arrays["table.bars"].dtype)
    np.savez_compressed(tmp_path / "b.npz", **arrays)
    monkeypatch.setattr("grinder.digest.links_of", lambda *_: pytest.fail("hashed"))
    with pytest.raises(IntegrityError, match="table bars has other columns"):
        load(tmp_path / "b.npz")
