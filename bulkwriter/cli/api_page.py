"""`bulkwriter help api`: the reference of the library, made from its docstrings and signatures.

The page has what `bulkwriter` exports, then the events, then the observers.  Each name has its signature and its
docstring; a class also has its public methods and properties, and a class of settings its fields with unit, range,
default and reason.  Nothing is written here twice: what is wrong on the page is wrong in a docstring.

Not here: a test that every public name and method has one (`tests/whole/test_public_names.py`).
"""

from __future__ import annotations

import dataclasses
import enum
import inspect
import textwrap
from collections.abc import Iterator
from typing import Any, Final

import bulkwriter

from .. import events
from ..settings import Limits, Settings
from . import describe, options

HEAD: Final = """\
The library: what `import bulkwriter` gives

Made from the docstrings; Python's own help() shows the same.  A method without
`async` returns at once.  Durations are float seconds (`_s`), rates are requests
a second (`_per_s`).  bulkwriter help testing shows how to test a service."""
DEFAULT_CHARS: Final = 24
"""A longer default value is left out of a signature."""
OBSERVERS: Final = ("PrometheusMetrics", "OpenTelemetry")


def page(width: int) -> str:
    """The whole reference."""
    lines = [*HEAD.splitlines(), ""]
    for name, found in public_names():
        lines += [*entry(name, found, width), ""]
    return "\n".join(lines).rstrip()


def public_names() -> Iterator[tuple[str, Any]]:
    """Every public name with its object, in the order of the page."""
    yield from (
        (name, getattr(bulkwriter, name)) for name in bulkwriter.__all__ if name not in ("events", "__version__")
    )
    for name, found in vars(events).items():
        if inspect.isclass(found) and found.__module__ == events.__name__:
            yield f"events.{name}", found
    from bulkwriter import observe

    for name in OBSERVERS:
        try:
            yield f"observe.{name}", getattr(observe, name)
        except ImportError:
            yield f"observe.{name}", None


def methods_of(cls: type) -> Iterator[tuple[str, Any]]:
    """Public methods and properties that a class itself has, and the two ends of its `async with`."""
    fields = {f.name for f in dataclasses.fields(cls)} if dataclasses.is_dataclass(cls) else set()
    for name, found in vars(cls).items():
        is_shown = not name.startswith("_") or (name == "__aenter__" and inspect.getdoc(found))
        if is_shown and name not in fields and (inspect.isroutine(found) or isinstance(found, property | classmethod)):
            yield name, found


def entry(name: str, found: Any, width: int) -> list[str]:
    """The lines of one name."""
    if found is None:
        return [name, "    its extra is not installed; see `help(bulkwriter.observe)`"]
    lines = [*title(name, found, width), *paragraphs(inspect.getdoc(found) or "", width, indent=4)]
    if found in (Settings, Limits):
        rows = [(f.name, options.describe(f)) for f in dataclasses.fields(found)]
        lines += ["", *(f"  {line}" for line in describe.columns(rows, width - 2))]
    if inspect.isclass(found):
        for method, value in methods_of(found):
            told = value.__func__ if isinstance(value, classmethod) else value
            lines += ["", *title(f".{method}", told, width, indent=4)]
            lines += paragraphs(inspect.getdoc(told) or "", width, indent=8)
    return lines


def title(name: str, found: Any, width: int, *, indent: int = 0) -> list[str]:
    """The name with its signature; one parameter a line where it is long."""
    space = " " * indent
    if isinstance(found, property):
        kind = found.fget.__annotations__.get("return", "") if found.fget else ""
        return [f"{space}{name}: {kind}"]
    if inspect.isclass(found) and (issubclass(found, enum.Enum) or found in (Settings, Limits)):
        return [f"{space}{name}"]
    prefix = "async " if inspect.iscoroutinefunction(found) or inspect.isasyncgenfunction(found) else ""
    parameters, returns = parts_of(found)
    line = f"{space}{prefix}{name}({', '.join(parameters)}){returns}"
    if len(line) <= width:
        return [line]
    return [f"{space}{prefix}{name}(", *(f"{space}    {text}," for text in parameters), f"{space}){returns}"]


def parts_of(found: Any) -> tuple[list[str], str]:
    """The parameters of a signature as texts, without `self`, and what it returns."""
    try:
        signature = inspect.signature(found)
    except ValueError:  # no signature is known, as for a class made in C
        return ["..."], ""
    texts, is_keyword = [], False
    for p in signature.parameters.values():
        if p.name in ("self", "cls"):
            continue
        if p.kind is p.KEYWORD_ONLY and not is_keyword:
            texts.append("*")
            is_keyword = True
        default = "" if p.default is p.empty else f" = {short(p.default)}"
        kind = "" if p.annotation is p.empty else f": {getattr(p.annotation, '__forward_arg__', p.annotation)}"
        texts.append(f"{'**' if p.kind is p.VAR_KEYWORD else ''}{p.name}{kind}{default}")
    returns = signature.return_annotation
    is_told = isinstance(returns, str) and not inspect.isclass(found)
    return texts, f" -> {returns}" if is_told else ""


def short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= DEFAULT_CHARS else "..."


def paragraphs(text: str, width: int, *, indent: int) -> list[str]:
    """A docstring at this width.  Lines that are indented stay as they are: they are code or a table."""
    space = " " * indent
    lines: list[str] = []
    for paragraph in text.split("\n\n"):
        if any(line.startswith(" ") for line in paragraph.splitlines()):
            shown = [space + line for line in paragraph.splitlines()]
        else:
            shown = textwrap.wrap(
                " ".join(paragraph.split()), max(40, width - indent), break_long_words=False, break_on_hyphens=False
            )
            shown = [space + line for line in shown]
        lines += ["", *shown] if lines else shown
    return lines
