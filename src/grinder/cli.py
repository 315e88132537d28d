"""The command line: thin calls of the library. stdout is data, stderr is progress and errors.

Exit codes: 0 equal; 1 digest mismatch; 2 usage or config; 3 fixture missing or corrupt; 4 nondeterminism;
5 nothing selected; 125 a revision cannot be tested; 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grinder import __version__
from grinder.completion import SHELLS
from grinder.errors import ConfigError, DataError, DigestMismatch, GrinderError, NothingSelected, RevisionError
from grinder.usage import teach
from grinder.verdicts import FORMATS, Outcome, Report

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["main"]

_EPILOG = (
    "exit codes: 0 equal, 1 digest mismatch, 2 usage or config, 3 fixture missing or corrupt, 4 nondeterminism, "
    "5 nothing selected, 125 a revision cannot be tested, 130 interrupted"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    args = _parser().parse_args(arguments)
    try:
        code: int = args.run(args)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except GrinderError as error:
        return _complain(error)
    except BrokenPipeError:
        _discard_stdout()
        return 0  # the reader of stdout has gone, which is its right
    except OSError as error:
        return _complain(error)
    return code


def _discard_stdout() -> None:
    """Lead stdout nowhere: what is still buffered would fail once more at exit."""
    with suppress(OSError):  # which a stdout without a file descriptor raises too
        stdout = sys.stdout.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stdout)
        os.close(nowhere)


def _complain(error: GrinderError | OSError) -> int:
    """Say on stderr what went wrong, and return the exit code that it asks for."""
    print(f"grinder: {error}", file=sys.stderr)
    for note in getattr(error, "__notes__", ()):
        print(f"  {note}", file=sys.stderr)
    return error.exit_code if isinstance(error, GrinderError) else ConfigError.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="grinder", description=__doc__.splitlines()[0], epilog=_EPILOG)
    parser.add_argument("--version", action="version", version=f"grinder {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_replay(commands)
    _add_sweep(commands)
    _add_explain(commands)
    _add_report(commands)
    _add_diff(commands)
    _add_bisect(commands)
    _add_verify(commands)
    _add_accept(commands)
    _add_import(commands)
    _add_fixture(commands)
    _add_generate(commands)
    _add_lint(commands)
    _add_new(commands)
    _add_warmup(commands)
    _add_doctor(commands)
    _add_completion(commands)
    teach(parser)
    return parser


def _add_replay(commands: Any) -> None:
    replay = commands.add_parser("replay", help="replay a fixture and print digest, fills, cycles and PnL", epilog=_EPILOG)
    replay.add_argument(
        "fixture",
        help="name of a fixture, or its folder as ./folder; one of several daily files is replayed as one, read as it goes",
    )
    replay.add_argument(
        "--set", metavar="NAME=VALUE", action="append", default=[], help="a setting on top of the fixture's, such as step=5bp"
    )
    replay.add_argument("--json", action="store_true", help="print one JSON object")
    replay.add_argument("--metrics", action="store_true", help="print the metrics too, by symbol and of the portfolio")
    replay.add_argument("--plot", metavar="PNG", help="write the picture of price, ladder, fills, regimes, position and account")
    replay.add_argument("--card", action="store_true", help="print the whole card: PnL by source, regimes, symbols, cautions")
    replay.add_argument("--html", metavar="FILE", help="write the card as a page that needs nothing else")
    replay.add_argument("--save", metavar="FILE", help="write the whole run, to be read by gr.load")
    replay.set_defaults(run=_replay)


_SWEEP = """\
replay fixtures with many settings and print a table of digests and metrics

  grinder sweep range_day_l1 --grid step=8bp,10bp,12bp --grid levels=3,5
  grinder sweep range_day_l1 --range step=5bp:50bp --range levels=2:12 --random 100 --seed 1
  grinder sweep range_day_l1 --set policy=smart --range alpha=0.4:1.6:0.1 --optuna 64 --objective pnl.total

Every combination of --grid is a cell, then every draw, then every trial; the same settings twice are one cell. With --store a sweep
that was interrupted goes on where it was, and no cell that is in the folder is computed again, by whatever sweep. The table is
the same for any number of workers. A cell that fails is a row with its error."""


def _add_sweep(commands: Any) -> None:
    sweep = commands.add_parser(
        "sweep",
        help="replay with many settings: a grid, counted draws or Optuna; a table of digests and metrics",
        description=_SWEEP,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sweep.add_argument("fixtures", nargs="+", metavar="FIXTURE", help="names, or folders as ./folder; each has every cell")
    sweep.add_argument(
        "--grid",
        metavar="NAME=V,V,...",
        action="append",
        default=[],
        help="values of a setting, such as step=8bp,10bp; a part of one has a dot: k_tail.range=1.5,2",
    )
    sweep.add_argument(
        "--range",
        metavar="NAME=LOW:HIGH[:STEP]",
        action="append",
        default=[],
        help="what --random and --optuna choose from: both ends and the steps between them, or a list V,V,...; STEP is 1 of whole "
        "numbers, 1e-8 of ratios, else the finest decimal place written",
    )
    sweep.add_argument("--random", type=int, default=0, metavar="N", help="draws; the first N of more are the same N")
    sweep.add_argument("--seed", type=int, default=0, metavar="N", help="of draws and of Optuna's sampler (default %(default)s)")
    sweep.add_argument("--optuna", type=int, default=0, metavar="N", help="trials that Optuna asks for; needs the extra optuna")
    sweep.add_argument(
        "--objective", default="total_return", metavar="COLUMN", help="what trials and the last line look at (default %(default)s)"
    )
    sweep.add_argument("--minimise", action="store_true", help="less of the objective is better")
    sweep.add_argument("--batch", type=int, default=8, metavar="N", help="trials asked for at a time (default %(default)s)")
    sweep.add_argument("--policy", metavar="FILE.py:FUNCTION", help="a policy of your own; default: the one that the settings name")
    sweep.add_argument("--set", metavar="NAME=VALUE", action="append", default=[], help="a setting that every cell has")
    sweep.add_argument("--workers", type=int, metavar="N", help="threads; default: one a processor")
    sweep.add_argument("--store", metavar="FOLDER", help="keeps finished cells; made where there is none")
    sweep.add_argument("--out", metavar="FILE", help="write the whole table: .arrow, .parquet or .csv")
    sweep.add_argument(
        "--plot", metavar="PNG", help="write the picture of the objective: of two settings a heat map, of one its profile"
    )
    sweep.add_argument("--card", action="store_true", help="print the card instead: what varied, spread, best few, cautions")
    sweep.add_argument("--html", metavar="FILE", help="write the card as a page that needs nothing else")
    sweep.add_argument("--strict", action="store_true", help="stop at the first cell that fails")
    sweep.add_argument("--progress", action="store_true", help="a bar on stderr even where that is no terminal")
    sweep.add_argument("--json", action="store_true", help="print one JSON object")
    sweep.set_defaults(run=_sweep)


def _add_explain(commands: Any) -> None:
    explain = commands.add_parser(
        "explain", help="say what was so at a moment of a replay, and what decided each number", epilog=_EPILOG
    )
    explain.add_argument(
        "what", metavar="run", help="name of a fixture, its folder as ./folder, or a file that replay --save wrote"
    )
    explain.add_argument("--at", required=True, metavar="TIME", help='UTC, such as "2024-01-03 14:02"; the last event until then')
    explain.add_argument("--symbol", help="whose state; default: the first")
    explain.add_argument("--set", metavar="NAME=VALUE", action="append", default=[], help="a setting, such as policy=smart")
    explain.add_argument("--fixture", help="of a saved run: what it replayed, to show what records alone do not tell")
    explain.add_argument("--json", action="store_true", help="print one JSON object")
    explain.set_defaults(run=_explain)


_REPORT = """\
write a whole run as one interactive page, to be opened in a browser, offline, and sent to whoever asks

The page has a chart from the whole run to a single quote: price, resting orders, fills, regimes, inventory, equity and its budget.
Point at it to see what was so then, and the plan in force with what decided each of its numbers. Below it are PnL, metrics, cycles,
fills, settings, what made the run, and the digest's chain. A saved run has no quotes; --fixture adds them."""


def _add_report(commands: Any) -> None:
    report = commands.add_parser(
        "report",
        help="write a run as one interactive page: chart to the tick, plan explained, tables, digest chain",
        description=_REPORT,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    report.add_argument("what", metavar="run", help="name of a fixture, its folder as ./folder, or a file that replay --save wrote")
    report.add_argument("--out", required=True, metavar="FILE", help="the page to write, such as report.html")
    report.add_argument("--set", metavar="NAME=VALUE", action="append", default=[], help="a setting, such as policy=smart")
    report.add_argument(
        "--policy", metavar="FILE.py:FUNCTION", help="a policy of your own; default: the one that the settings name"
    )
    report.add_argument("--fixture", help="of a saved run: what it replayed, to show quotes, and what decided each number")
    report.set_defaults(run=_report)


def _add_diff(commands: Any) -> None:
    diff = commands.add_parser("diff", help="say where two runs part first, what led there, and what else changed", epilog=_EPILOG)
    diff.add_argument(
        "a", help="a file that replay --save wrote, the name of a fixture to replay now, or with --fixture a git revision"
    )
    diff.add_argument(
        "b",
        nargs="?",
        help="likewise; default: of a run or fixture its golden, or with --set its run with them; of a revision the code here",
    )
    diff.add_argument("--fixture", help="what revisions replay, each its own copy; of saved runs, what they replayed")
    diff.add_argument("--set", metavar="NAME=VALUE", action="append", default=[], help="a setting of replays, such as step=5bp")
    diff.add_argument("--json", action="store_true", help="print one JSON object")
    diff.add_argument("--html", metavar="FILE", help="write a page that needs nothing else")
    diff.set_defaults(run=_diff)


def _add_bisect(commands: Any) -> None:
    bisect = commands.add_parser(
        "bisect", help="find the commit that changed a fixture's digest, and what it changed first", epilog=_EPILOG
    )
    bisect.add_argument("fixture", help="what commits replay, each its own copy")
    bisect.add_argument("--good", required=True, metavar="REV", help="a revision before the change")
    bisect.add_argument("--bad", metavar="REV", default="HEAD", help="a revision after it (default %(default)s)")
    bisect.add_argument("--set", metavar="NAME=VALUE", action="append", default=[], help="a setting of replays, such as step=5bp")
    bisect.add_argument("--json", action="store_true", help="print one JSON object")
    bisect.add_argument("--html", metavar="FILE", help="write the first difference as a page that needs nothing else")
    bisect.set_defaults(run=_bisect)


def _add_verify(commands: Any) -> None:
    verify = commands.add_parser("verify", help="replay fixtures and compare them with their goldens", epilog=_EPILOG)
    verify.add_argument(
        "fixtures",
        nargs="*",
        help="names, folders, or files in them; default: every fixture in ./fixtures, or those that come with grinder",
    )
    verify.add_argument("--twice", action="store_true", help="replay each twice; two runs that differ are an error of their own")
    form = verify.add_mutually_exclusive_group()
    form.add_argument(
        "--format",
        choices=FORMATS,
        default="text",
        help="how verdicts are told: text, which under GitHub Actions makes annotations and a step summary too; json, one object a "
        "line; junit, one XML document; github, annotations of failures; markdown, a table (default %(default)s)",
    )
    form.add_argument("--json", dest="format", action="store_const", const="json", help="the same as --format json")
    verify.set_defaults(run=_verify)


def _add_accept(commands: Any) -> None:
    accept = commands.add_parser("accept", help="make the present digest a fixture's golden", epilog=_EPILOG)
    accept.add_argument("fixture", help="name or folder")
    accept.add_argument("--reason", required=True, help="why the digest changed; kept in the golden")
    accept.add_argument("--json", action="store_true", help="print one JSON object")
    accept.set_defaults(run=_accept)


def _add_import(commands: Any) -> None:
    importer = commands.add_parser("import", help="make a fixture of an exchange's file")
    sources = importer.add_subparsers(title="sources", required=True, metavar="SOURCE")
    binance = sources.add_parser("binance", help="a raw Binance websocket recording: lines of `local_ns json`", epilog=_EPILOG)
    binance.add_argument("file", help="the recording, gzipped or not")
    binance.add_argument("--out", required=True, metavar="FOLDER", help="the fixture's folder; its last part is the name")
    binance.add_argument("--kind", choices=("spot", "perpetual"), required=True, help="what the symbol is")
    binance.add_argument("--symbol", help="which symbol, if the file holds several")
    binance.add_argument("--tick", dest="tick_size", help="tick size; default: inferred from the prices")
    binance.add_argument("--lot", dest="lot_size", help="lot size; default: inferred from the quantities")
    binance.add_argument(
        "--clock", choices=("exchange", "local"), help="which clock orders events; default: exchange where all rows have it"
    )
    binance.add_argument("--top", dest="top_n", type=int, default=10, help="levels a side of a book (default 10)")
    binance.add_argument("--streams", default="quotes,trades,books", help="which streams to keep (default %(default)s)")
    binance.add_argument("--set", metavar="NAME=VALUE", action="append", default=[], help="a setting for the fixture's [config]")
    binance.add_argument(
        "--expect", metavar="NAME=N", action="append", default=[], help="what a replay must show, such as fills=20"
    )
    binance.add_argument("--shows", default="", help="one sentence on what the fixture is for")
    binance.add_argument("--origin", default="", help="where the recording is from, and its licence")
    binance.add_argument("--json", action="store_true", help="print the report as one JSON object")
    binance.set_defaults(run=_import_binance)
    _add_import_archive(sources)
    _add_import_lean(sources)
    _add_import_tardis(sources)
    _add_import_table(sources)


def _add_import_archive(sources: Any) -> None:
    archive = sources.add_parser(
        "archive", help="Binance's archive CSVs: bookTicker, aggTrades, trades, klines, fundingRate", epilog=_EPILOG
    )
    archive.add_argument("files", nargs="+", help="days, kinds and symbols that make one fixture: .csv, .zip or .gz")
    archive.add_argument("--symbol", help="the symbol, where a file's name does not tell it")
    archive.add_argument("--data", help="the kind of file, where neither its name nor a header tells it, such as bookTicker")
    archive.add_argument("--spread-ticks", type=int, metavar="N", help="klines: the spread around their prices in ticks")
    archive.add_argument("--size", metavar="QTY", help="klines: the quantity at the best bid and ask")
    archive.add_argument("--time-unit", help="s, ms, us or ns; default: told by the magnitude of each file's first time")
    _add_file_options(archive)
    archive.set_defaults(run=_import_archive)


def _add_import_lean(sources: Any) -> None:
    lean = sources.add_parser("lean", help="LEAN's crypto minute or second quote bars, and its funding files", epilog=_EPILOG)
    lean.add_argument("files", nargs="+", help="days and symbols that make one fixture: .zip or .csv")
    lean.add_argument("--symbol", help="the symbol, where a file's name does not tell it")
    lean.add_argument("--date", metavar="YYYYMMDD", help="the day, where a file's name does not tell it")
    _add_file_options(lean)
    lean.set_defaults(run=_import_lean)


def _add_import_tardis(sources: Any) -> None:
    tardis = sources.add_parser(
        "tardis", help="Tardis CSV files: quotes, trades, book_snapshot_N, derivative_ticker", epilog=_EPILOG
    )
    tardis.add_argument("files", nargs="+", help="days, kinds and symbols that make one fixture: .csv or .csv.gz")
    tardis.add_argument("--symbol", help="which symbol, if a file holds several")
    tardis.add_argument("--clock", default="local", help="which time orders events: local (default) or exchange")
    tardis.add_argument("--top", dest="top_n", type=int, default=10, help="levels a side of a book (default 10)")
    _add_file_options(tardis)
    tardis.set_defaults(run=_import_tardis)


def _add_import_table(sources: Any) -> None:
    table = sources.add_parser("table", help="CSV or Parquet files of your own, with a mapping of their columns", epilog=_EPILOG)
    table.add_argument("--symbol", required=True, help="what the files are of; rows of others are dropped")
    for stream in ("quotes", "trades", "funding", "commands"):
        table.add_argument(f"--{stream}", metavar="FILE", action="append", default=[], help=f"a file of {stream}; may be repeated")
    table.add_argument(
        "--column",
        metavar="NAME=COLUMN",
        action="append",
        default=[],
        help="where a column is, such as bid_px=best_bid or trades.ts=0",
    )
    table.add_argument("--time-unit", help="s, ms, us or ns; default: told by the magnitude of each file's first time")
    table.add_argument("--in-ticks", action="store_true", help="prices are whole ticks already; give --tick")
    table.add_argument("--in-lots", action="store_true", help="quantities are whole lots already; give --lot")
    _add_file_options(table)
    table.set_defaults(run=_import_table)


def _add_file_options(parser: Any) -> None:
    """What every importer of files takes."""
    parser.add_argument("--out", required=True, metavar="FOLDER", help="the fixture's folder; its last part is the name")
    parser.add_argument("--kind", choices=("spot", "perpetual"), required=True, help="what the symbols are")
    for name, what in (("tick", "prices"), ("lot", "quantities")):
        parser.add_argument(
            f"--{name}",
            dest=f"{name}_size",
            metavar="SIZE",
            action="append",
            default=[],
            help=f"{name} size, or SYMBOL=SIZE for each symbol; default: the finest decimals seen in the {what}",
        )
    parser.add_argument("--sort", action="store_true", help="sort rows stably by time rather than refuse disorder")
    parser.add_argument("--floor", action="store_true", help="round quantities down to the lot and rates to 1e-8; counted")
    parser.add_argument("--clip", action="store_true", help="drop funding outside the time of the quotes; counted")
    parser.add_argument("--contract-size", default="1", help="what one unit of quantity stands for (default 1)")
    parser.add_argument("--quote", default="USDT", help="the quote currency (default USDT)")
    parser.add_argument("--quote-decimals", type=int, default=8, help="decimals that money is kept in (default 8)")
    parser.add_argument("--set", metavar="NAME=VALUE", action="append", default=[], help="a setting for the fixture's [config]")
    parser.add_argument("--expect", metavar="NAME=N", action="append", default=[], help="what a replay must show, such as fills=20")
    parser.add_argument("--shows", default="", help="one sentence on what the fixture is for")
    parser.add_argument("--origin", default="", help="where the files are from, and their licence")
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object")


def _add_fixture(commands: Any) -> None:
    group = commands.add_parser("fixture", help="look at fixtures")
    actions = group.add_subparsers(title="actions", required=True, metavar="ACTION")
    validate = actions.add_parser("validate", help="check a fixture's files and every row, and say what it holds", epilog=_EPILOG)
    validate.add_argument(
        "fixtures",
        nargs="+",
        metavar="FIXTURE",
        help="names, folders (./folder), or files in them; a corrupt one does not stop the rest",
    )
    validate.add_argument("--json", action="store_true", help="print one JSON object a line")
    validate.set_defaults(run=_validate)
    join = actions.add_parser(
        "join",
        help="make one fixture of days: its files are replayed as one, a few stretches of them in memory at a time",
        epilog=_EPILOG,
    )
    join.add_argument("fixtures", nargs="+", metavar="DAY", help="fixtures of quotes of the same instruments, in time order")
    join.add_argument("--out", required=True, metavar="FOLDER", help="the fixture's folder; its last part is the name")
    join.add_argument(
        "--set", metavar="NAME=VALUE", action="append", default=[], help="a setting for its [config], on top of the first day's"
    )
    join.add_argument("--expect", metavar="NAME=N", action="append", default=[], help="what a replay must show, such as fills=20")
    join.add_argument("--shows", default="", help="one sentence on what the fixture is for")
    join.add_argument("--json", action="store_true", help="print one JSON object")
    join.set_defaults(run=_join)


def _add_generate(commands: Any) -> None:
    generate = commands.add_parser(
        "generate",
        help="make a fixture of a whole day from a seed, or check that fixtures are what their seeds make",
        epilog=_EPILOG,
    )
    generate.add_argument(
        "character",
        nargs="?",
        help="what kind of day: range_day, trend_day or vol_shock, of quotes; thin_book or impact_spike, of quotes and books; "
        "multisymbol_topk, of quotes of seven symbols",
    )
    generate.add_argument("--seed", type=int, default=1, metavar="N", help="0 to 2**63 - 1 (default %(default)s)")
    generate.add_argument("--out", metavar="FOLDER", help="the fixture's folder; its last part is the name")
    generate.add_argument(
        "--set",
        metavar="NAME=N",
        action="append",
        default=[],
        help="a parameter on top of the character's, such as price_ticks=500000; one of books, as level_gap_ticks=3, adds them; "
        "of several symbols, SYMBOL.NAME=N is one symbol's and NAME=N every symbol's",
    )
    generate.add_argument(
        "--check",
        metavar="FIXTURE",
        nargs="*",
        help="generate fixtures again from their manifests and compare the content; default: every generated one",
    )
    generate.add_argument("--json", action="store_true", help="print one JSON object a line")
    generate.set_defaults(run=_generate)


def _add_lint(commands: Any) -> None:
    checks = commands.add_parser("lint", help="look for what a policy must not do").add_subparsers(
        title="checks", required=True, metavar="CHECK"
    )
    look = checks.add_parser(
        "lookahead",
        help="cut the data off, and replay under other conditions: finds look-ahead (exit code 1); randomness, time, hash order, "
        "global state (4)",
        epilog=_EPILOG,
    )
    look.add_argument("fixture", help="name of a fixture, or its folder as ./folder")
    look.add_argument("--policy", metavar="FILE.py:FUNCTION", help="a policy of your own; default: the one that the settings name")
    look.add_argument(
        "--cuts", metavar="K", type=int, default=24, help="at how many points the data are cut off (default %(default)s)"
    )
    look.add_argument("--set", metavar="NAME=VALUE", action="append", default=[], help="a setting, such as policy=smart")
    look.add_argument("--json", action="store_true", help="print one JSON object")
    look.set_defaults(run=_lint_lookahead)


def _add_new(commands: Any) -> None:
    new = commands.add_parser(
        "new",
        help="write a study of your own that passes at once: fixture, golden, policy, settings, test, notebook, CI",
        epilog=_EPILOG,
    )
    new.add_argument("folder", help="where; it must be empty or not there yet")
    new.add_argument(
        "--fixture",
        metavar="KIND",
        default="range_day",
        help="the generated day to begin with: range_day, trend_day or vol_shock (default %(default)s)",
    )
    new.add_argument("--json", action="store_true", help="print one JSON object")
    new.set_defaults(run=_new)


def _add_warmup(commands: Any) -> None:
    warmup = commands.add_parser(
        "warmup", help="compile everything now, so that no replay has to wait for it: half a minute, once", epilog=_EPILOG
    )
    warmup.add_argument("--json", action="store_true", help="print one JSON object")
    warmup.set_defaults(run=_warmup)


def _add_doctor(commands: Any) -> None:
    doctor = commands.add_parser(
        "doctor", help="find what is wrong with the installation, the cache or the fixtures, and say the cure", epilog=_EPILOG
    )
    doctor.add_argument("--json", action="store_true", help="print one JSON object")
    doctor.set_defaults(run=_doctor)


_COMPLETION = """\
print what makes a shell complete commands, options, fixtures and settings

  grinder completion bash > ~/.local/share/bash-completion/completions/grinder
  grinder completion zsh > "${fpath[1]}/_grinder"
  grinder completion fish > ~/.config/fish/completions/grinder.fish

Fixtures, settings and their values are completed in bash. The script is made once, and again after an upgrade."""


def _add_completion(commands: Any) -> None:
    completion = commands.add_parser(
        "completion",
        help="print what makes a shell complete commands, options, fixtures and settings",
        description=_COMPLETION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    completion.add_argument("shell", choices=SHELLS, help="whose script")
    completion.set_defaults(run=_completion)


# Commands


def _replay(args: argparse.Namespace) -> int:
    from grinder.cards.text import as_text
    from grinder.config import Config
    from grinder.session import replay

    with _progress(f"replay {Path(args.fixture).name}", "events") as progress:
        run = replay(args.fixture, Config(**_settings(args.set)), progress=progress)
    if args.save:
        run.save(args.save)
    if args.plot:
        from grinder.plot import save_png

        save_png(run, args.plot)
    if args.html:
        run.to_html(args.html)
    metrics = run.metrics() if args.metrics else None
    if args.json:
        _print(run.to_dict() | ({"metrics": metrics.to_dict()} if metrics else {}), args.json)
    else:
        text = as_text(run) if args.card else str(run)
        _print(f"{text}\n{metrics}" if metrics else text, args.json)
    return 0


def _sweep(args: argparse.Namespace) -> int:
    from grinder.config import Config
    from grinder.sweeping import check_table_name, sweep

    if args.out:
        check_table_name(args.out)
    for name in filter(None, (args.plot, args.html)):  # to be known before hours of work
        if not Path(name).parent.is_dir() or Path(name).is_dir():
            raise ConfigError(f"{name} cannot be written: there is no folder {Path(name).parent}, or this is one")
    found = sweep(
        args.fixtures,
        {name: _values(value) for name, value in _words(args.grid).items()},
        args.policy,
        config=Config(**_settings(args.set)),
        ranges={name: text if ":" in text else _values(text) for name, text in _words(args.range).items()},
        trials=args.optuna,
        progress=True if args.progress else None,
        **{
            name: getattr(args, name) for name in ("random", "objective", "minimise", "batch", "seed", "workers", "store", "strict")
        },
    )
    if args.out:
        found.write(args.out)
    if args.json:
        _print(found.to_dict(), args.json)
    elif args.card:
        _print(found.card(), args.json)
    else:
        _print(f"{found}\n{found.best_line(args.objective, least=args.minimise)}", args.json)
    if all(result.error for result in found.results):
        return _complain(ConfigError(f"every cell failed; the first: {found.results[0].error}"))
    if args.html:
        found.to_html(args.html)
    if args.plot:
        from grinder.plots.sweep import save_png

        save_png(found, args.plot)
    return 0


def _explain(args: argparse.Namespace) -> int:
    from grinder.config import Config
    from grinder.run import load
    from grinder.session import replay

    if Path(args.what).is_file():
        if args.set:
            raise ConfigError("--set is for a fixture: a saved run has the settings that it ran with")
        found = load(args.what).explain(_moment(args.at), args.symbol, fixture=args.fixture)
    else:
        if args.fixture:
            raise ConfigError(f"--fixture is for a saved run, and there is no file {args.what}")
        with _progress(f"replay {Path(args.what).name}", "events") as progress:
            run = replay(args.what, Config(**_settings(args.set)), progress=progress)
        found = run.explain(_moment(args.at), args.symbol)
    _print(found.to_dict() if args.json else found, args.json)
    return 0


def _report(args: argparse.Namespace) -> int:
    from grinder.config import Config
    from grinder.reports.page import check_target
    from grinder.reruns import Source
    from grinder.run import load
    from grinder.session import replay

    check_target(args.out)  # before a replay that may be long
    if Path(args.what).is_file():
        if args.set or args.policy:
            raise ConfigError("--set and --policy are for a fixture: a saved run has the settings and the policy that it ran with")
        if Path(args.out).exists() and Path(args.out).samefile(args.what):
            raise ConfigError(f"--out {args.out} is the saved run itself: the page needs another name, such as run.html")
        run = load(args.what)
    else:
        if args.fixture:
            raise ConfigError(f"--fixture is for a saved run, and there is no file {args.what}")
        policy = Source(args.policy).load() if args.policy else None
        with _progress(f"replay {Path(args.what).name}", "events") as progress:
            run = replay(args.what, Config(**_settings(args.set)), policy, progress=progress)
    made = run.report(args.out, fixture=args.fixture)
    _print(f"{made}: {run.name}, {run.events:,} events, {made.stat().st_size / 1e6:.1f} MB", False)
    return 0


def _moment(text: str) -> int | str:
    """A time as typed: ns where it is a whole number, else text."""
    return int(text) if text.strip().isdecimal() and len(text) < 20 else text


def _diff(args: argparse.Namespace) -> int:
    from grinder.sides import diff_of_words

    found = diff_of_words(args.a, args.b, args.fixture, _settings(args.set), _say)
    if args.html:
        found.to_html(args.html)
    _print(found.to_dict() if args.json else found, args.json)
    return 0 if found.equal else DigestMismatch.exit_code


def _bisect(args: argparse.Namespace) -> int:
    from grinder.bisection import bisect

    found = bisect(args.fixture, args.good, args.bad, _settings(args.set), _say)
    if args.html and found.diff:
        found.diff.to_html(args.html)
    _print(found.to_dict() if args.json else found, args.json)
    return 0 if found.culprit else RevisionError.exit_code


def _say(text: str) -> None:
    """Progress in words, where a person is looking."""
    if sys.stderr.isatty():
        print(text, file=sys.stderr)


def _verify(args: argparse.Namespace) -> int:
    from grinder.golden import verify

    report = Report(args.format, os.environ)
    for name in _names(args.fixtures):
        try:
            with _progress(f"verify {name}", "events") as progress:
                verdict = verify(name, twice=args.twice, progress=progress)
        except GrinderError as error:  # one that cannot be verified keeps no other from it
            _complain(error)
            told = report.add(Outcome(Path(name).name or name, error=error))
        else:
            told = report.add(Outcome(verdict.fixture, verdict))
        _print_if(told)
    _print_if(report.end())
    try:
        report.write_summary()
    except OSError as error:  # the verdicts stand, whoever may read of them elsewhere
        _complain(error)
    return report.exit_code


def _print_if(text: str) -> None:
    if text:
        _print(text, False)


def _validate(args: argparse.Namespace) -> int:
    from grinder.data.inspection import inspect

    failed = False
    for name in _places(args.fixtures):
        try:
            found = inspect(name)
        except (GrinderError, OSError) as error:
            failed = True
            _complain(error)
            if args.json:
                _print({"fixture": name, "valid": False, "error": type(error).__name__, "message": str(error)}, args.json)
            continue
        _print(found.to_dict() if args.json else found, args.json)
    return DataError.exit_code if failed else 0


def _join(args: argparse.Namespace) -> int:
    from grinder.data.daily import join_days

    made = join_days(args.fixtures, args.out, shows=args.shows, config=_settings(args.set), expect=_counts(args.expect))
    told = {"fixture": made.name, "content": made.content, "events": len(made), "files": len(made.parts)}
    _print(told if args.json else made, args.json)
    return 0


def _accept(args: argparse.Namespace) -> int:
    from grinder.golden import accept

    before, after = accept(args.fixture, args.reason)
    was = before.value if before else None
    _print(
        {"fixture": args.fixture, "before": was, "after": after.value} if args.json else f"{was or 'none'} -> {after.value}",
        args.json,
    )
    return 0


def _lint_lookahead(args: argparse.Namespace) -> int:
    from grinder.causality import lookahead
    from grinder.config import Config

    with _progress(f"lint {args.fixture}", "replays") as progress:
        found = lookahead(args.fixture, Config(**_settings(args.set)), args.policy, cuts=args.cuts, progress=progress)
    _print(found.to_dict() if args.json else found, args.json)
    return found.exit_code


def _import_binance(args: argparse.Namespace) -> int:
    from grinder.data.importing import import_binance

    names = ("symbol", "tick_size", "lot_size", "clock", "top_n")
    with _progress(f"import {Path(args.file).name}", "bytes") as progress:
        made, report = import_binance(
            args.file,
            args.out,
            kind=args.kind,
            streams=tuple(args.streams.split(",")),
            config=_settings(args.set),
            expect=_counts(args.expect),
            shows=args.shows,
            origin=args.origin,
            progress=progress,
            **{name: getattr(args, name) for name in names},
        )
    _print(report.to_dict() if args.json else f"{report}\n{made}", args.json)
    return 0


def _generate(args: argparse.Namespace) -> int:
    from grinder.data.characters import generate_fixture, regenerate
    from grinder.data.fixture import fixture

    if args.check is None:
        if not args.character or not args.out:
            raise ConfigError("generate needs a character and --out FOLDER, or --check")
        made = generate_fixture(args.character, args.seed, args.out, parameters=_settings(args.set))
        _print({"fixture": made.name, "content": made.content, "events": len(made)} if args.json else made, args.json)
        return 0
    if args.character or args.out or args.set:
        raise ConfigError("generate --check takes fixtures and nothing else: all that is needed is in their manifests")
    named = (fixture(name) for name in _names(args.check))
    checked = [data for data in named if args.check or data.manifest.get("generator")]
    if not checked:
        raise NothingSelected("none of the fixtures here was generated; name one")
    for data in checked:
        regenerate(data)
        report = {"fixture": data.name, "content": data.content, "equal": True}
        _print(report if args.json else f"{data.name}: generated again, equal, {data.content}", args.json)
    return 0


def _new(args: argparse.Namespace) -> int:
    from grinder.study import new_study

    files = [str(file) for file in new_study(args.folder, args.fixture)]
    text = "\n".join(
        [*files, f"{len(files)} files. What is there passes:", f"  cd {args.folder}", "  grinder verify", "  pytest -q"]
    )
    _print({"folder": args.folder, "fixture": args.fixture, "files": files} if args.json else text, args.json)
    return 0


def _import_archive(args: argparse.Namespace) -> int:
    from grinder.data.importing import import_archive

    given = {name: getattr(args, name) for name in ("symbol", "data", "spread_ticks", "size", "time_unit")}
    return _import_files(args, lambda **options: import_archive(args.files, args.out, **given, **options))


def _import_lean(args: argparse.Namespace) -> int:
    from grinder.data.importing import import_lean

    return _import_files(args, lambda **options: import_lean(args.files, args.out, symbol=args.symbol, date=args.date, **options))


def _import_tardis(args: argparse.Namespace) -> int:
    from grinder.data.importing import import_tardis

    given = {name: getattr(args, name) for name in ("symbol", "clock", "top_n")}
    return _import_files(args, lambda **options: import_tardis(args.files, args.out, **given, **options))


def _import_table(args: argparse.Namespace) -> int:
    from grinder.data.importing import import_table

    names = ("symbol", "quotes", "trades", "funding", "commands", "time_unit", "in_ticks", "in_lots")
    given = {name: getattr(args, name) for name in names}
    columns = {name: str(value) for name, value in _settings(args.column).items()}
    return _import_files(args, lambda **options: import_table(args.out, columns=columns, **given, **options))


def _import_files(args: argparse.Namespace, importer: Callable[..., tuple[Any, Any]]) -> int:
    """Run an importer of files with the options they share, and print its report."""
    shared = ("kind", "sort", "floor", "clip", "contract_size", "quote", "quote_decimals", "shows", "origin")
    with _progress(f"import {Path(args.out).name}", "bytes") as progress:
        made, report = importer(
            tick_size=_by_symbol(args.tick_size),
            lot_size=_by_symbol(args.lot_size),
            config=_settings(args.set),
            expect=_counts(args.expect),
            progress=progress,
            **{name: getattr(args, name) for name in shared},
        )
    _print(report.to_dict() if args.json else f"{report}\n{made}", args.json)
    return 0


def _warmup(args: argparse.Namespace) -> int:
    from grinder.warmup import warm_up

    warmth = warm_up()
    _print(warmth._asdict() | {"directory": str(warmth.directory)} if args.json else warmth, args.json)
    return 0


def _doctor(args: argparse.Namespace) -> int:
    from grinder.doctor import examine

    found = examine()
    _print(found.to_dict() if args.json else found, args.json)
    return found.exit_code


def _completion(args: argparse.Namespace) -> int:
    from grinder.completion import completion_script

    _print(completion_script(_parser(), args.shell), False)
    return 0


# Help for all


def _by_symbol(words: Sequence[str]) -> str | dict[str, str] | None:
    """`SIZE`, or `SYMBOL=SIZE` words."""
    if len(words) == 1 and "=" not in words[0]:
        return words[0]
    return {name: str(value) for name, value in _settings(words).items()} or None


def _settings(pairs: Sequence[str]) -> dict[str, Any]:
    """`NAME=VALUE` words as settings; a whole number stays one."""
    return {name: _value(text) for name, text in _words(pairs).items()}


def _words(pairs: Sequence[str]) -> dict[str, str]:
    """`NAME=VALUE` words."""
    out: dict[str, str] = {}
    for pair in pairs:
        name, found, value = pair.partition("=")
        if not found:
            raise ConfigError(f"{pair!r}: write settings as NAME=VALUE, such as step=5bp")
        if name in out:
            raise ConfigError(f"{name} is set twice")
        out[name] = value
    return out


def _value(text: str) -> int | str | bool:
    if text in ("true", "false"):
        return text == "true"
    return int(text) if text.strip().isdecimal() and len(text) < 19 else text


def _values(text: str) -> list[int | str | bool]:
    """`V,V,...` as values of a setting; true and false are what they say."""
    return [_value(word) for word in map(str.strip, text.split(",")) if word]


def _counts(pairs: Sequence[str]) -> dict[str, int]:
    """`NAME=N` words."""
    out = _settings(pairs)
    for name, value in out.items():
        if not isinstance(value, int) or isinstance(value, bool):
            raise ConfigError(f"{name}={value}: what a replay must show is a count, such as fills=20")
    return out


def _names(names: Sequence[str]) -> Sequence[str]:
    """The fixtures named, each once, or all there are in the first place that has any."""
    from grinder.data.fixture import fixture_roots, fixtures_below

    folders = [] if names else next(filter(None, map(fixtures_below, fixture_roots())), [])
    if not names and not folders:
        raise NothingSelected("there are no fixtures in ./fixtures and none came with grinder; name a folder")
    return _places(names) or [f"./{folder}" if not folder.is_absolute() else str(folder) for folder in folders]


def _places(names: Sequence[str]) -> list[str]:
    """Words that name fixtures, each once. A file stands for the fixture it is part of: hooks before a commit are given files."""
    return list(dict.fromkeys(os.path.join(".", Path(name).parent) if Path(name).is_file() else name for name in names))


def _print(value: object, as_json: bool) -> None:
    print(json.dumps(value, sort_keys=True) if as_json else value, flush=True)


@contextmanager
def _progress(what: str, unit: str) -> Iterator[Callable[[int, int], None] | None]:
    """A progress bar on stderr where a person is looking."""
    if not sys.stderr.isatty():
        yield None
        return
    from tqdm import tqdm

    with tqdm(desc=what, unit=unit, unit_scale=True, leave=False) as bar:

        def update(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield update
