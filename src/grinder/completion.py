"""Completion in a shell: a script of every command and option, made once by shtab of the parser, that costs nothing at run time.

In bash it completes names of fixtures, settings and their values too; what stands in ./fixtures is looked up as one types.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, get_args

from grinder.errors import ConfigError

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["SHELLS", "completion_script"]

SHELLS: Final = ("bash", "zsh", "fish")
_FIXTURES: Final = {"bash": "_grinder_fixtures"}
_SETTINGS: Final = {"bash": "_grinder_settings"}
_BY_NAME: Final = {
    "fixture": _FIXTURES, "fixtures": _FIXTURES, "what": _FIXTURES, "a": _FIXTURES, "b": _FIXTURES, "check": _FIXTURES,
}  # fmt: skip
_BY_METAVAR: Final = {
    "NAME=VALUE": _SETTINGS, "NAME=V,V,...": _SETTINGS, "NAME=LOW:HIGH[:STEP]": _SETTINGS, "DAY": _FIXTURES, "FIXTURE": _FIXTURES,
}  # fmt: skip
_FILES: Final = {"FILE", "PNG", "file", "files"}


def completion_script(parser: argparse.ArgumentParser, shell: str) -> str:
    """The script that a shell of `SHELLS` reads.

    Raises:
        ConfigError: shtab is not installed.
    """
    shtab = _shtab()
    for action in _actions(parser):
        found = _completes(action, shtab)
        if found:
            action.complete = found  # type: ignore[attr-defined]
    script: str = shtab.complete(parser, shell=shell, preamble={"bash": _words()})
    return f"{script.rstrip()}\n{_BASH if shell == 'bash' else ''}"


def _shtab() -> ModuleType:
    try:
        import shtab
    except ImportError:
        raise ConfigError("completion needs shtab, the extra `completion`: pip install shtab") from None
    return shtab


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from _actions(below)
        else:
            yield action


def _completes(action: argparse.Action, shtab: Any) -> dict[str, str] | None:
    """What completes the value of an argument, if anything does."""
    shown = str(action.metavar or action.dest)
    files: dict[str, str] = shtab.FILE
    folders: dict[str, str] = shtab.DIRECTORY
    if action.nargs == 0 or action.choices is not None or shown == "KIND":
        return None
    if shown in _FILES:
        return files
    if shown in ("FOLDER", "folder"):
        return folders
    return _BY_METAVAR.get(shown) or _BY_NAME.get(action.dest)


def _words() -> str:
    """What bash has to know: names of the fixtures that come with grinder, of settings, and of values that have names."""
    from grinder.config import Config
    from grinder.data.fixture import fixture_roots, fixtures_below

    names = sorted({folder.name for root in fixture_roots()[1:] for folder in fixtures_below(root)})
    fields = Config.model_fields
    named = {
        name: get_args(field.annotation) for name, field in fields.items() if str(field.annotation).startswith("typing.Literal")
    }
    named |= {name: ("true", "false") for name, field in fields.items() if field.annotation is bool}
    cases = "\n".join(f'    {name}) echo "{" ".join(values)}" ;;' for name, values in named.items())
    return (
        _PREAMBLE.replace("FIXTURES", " ".join(names))
        .replace("SETTINGS", " ".join(f"{name}=" for name in fields))
        .replace("CASES", cases)
    )


_PREAMBLE: Final = """
_grinder_fixtures() {
  local file names="FIXTURES"
  for file in fixtures/*/fixture.toml; do
    file="${file%/fixture.toml}" file="${file#fixtures/}"
    case "$file" in  # compgen expands what it is given
      *[!A-Za-z0-9_.-]*) ;;
      *) [ -f "fixtures/$file/fixture.toml" ] && names="$names $file" ;;
    esac
  done
  compgen -W "$names" -- "$1" | sort -u
}

_grinder_settings() {
  compgen -W "SETTINGS" -- "$1"
}

_grinder_values() {
  case "$1" in
CASES
  esac
}
"""
_BASH: Final = """
# bash cuts words at = and : before it asks; they are put together again, so that step=5bp is one word.
_grinder() {
  local i word at=0
  local -a words=()
  for i in "${!COMP_WORDS[@]}"; do
    word="${COMP_WORDS[i]}"
    if [[ $i -gt 1 && ( "$word" == [=:] || "${COMP_WORDS[i-1]}" == [=:] ) ]]; then
      words[${#words[@]}-1]="${words[${#words[@]}-1]}$word"
    else
      words+=("$word")
    fi
    [ "$i" -eq "$COMP_CWORD" ] && at=$(( ${#words[@]} - 1 ))
  done
  COMP_WORDS=("${words[@]}")
  COMP_CWORD=$at
  word="${COMP_WORDS[COMP_CWORD]}"
  if [[ "$word" == *=* ]]; then
    COMPREPLY=($(compgen -W "$(_grinder_values "${word%%=*}")" -- "${word#*=}"))
    return 0
  fi
  _shtab_grinder "$@"
  if [[ "${COMPREPLY[0]-}" == *= ]]; then
    compopt -o nospace 2>/dev/null
  fi
  return 0
}

complete -o bashdefault -F _grinder grinder
"""
