"""`python -m bench [pattern …] [--size quick]`: run the benchmarks whose names match."""

import argparse
import inspect
import sys
from collections.abc import Callable
from fnmatch import fnmatchcase
from importlib import import_module
from pkgutil import iter_modules
from typing import TypeAlias, cast

from bench import cases
from bench.size import FULL, SIZES, Size

Case: TypeAlias = Callable[[Size], None]


def all_cases() -> list[str]:
    """Names of the modules in bench/cases."""
    return sorted(module.name for module in iter_modules(cases.__path__))


def main() -> int:
    """Run them one by one; 2 if no benchmark has such a name."""
    parser = argparse.ArgumentParser(prog="bench", description="benchmarks, see docs/benchmarks.md")
    parser.add_argument("patterns", nargs="*", metavar="pattern", help="such as codec or 'proc*'")
    parser.add_argument("--size", choices=SIZES, default=FULL.name)
    arguments = parser.parse_args()
    names = [
        name
        for name in all_cases()
        if not arguments.patterns or any(fnmatchcase(name, p) for p in arguments.patterns)
    ]
    if not names:
        print(f"no benchmark matches; there are {', '.join(all_cases())}", file=sys.stderr)
        return 2
    for name in names:
        module = import_module(f"bench.cases.{name}")
        headline = inspect.getdoc(module) or ""
        print(f"# {name}: {' '.join(headline.split())}", flush=True)
        cast("Case", module.run)(SIZES[arguments.size])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
