import os
import re
import subprocess
import sys
import tomllib

from readme import ROOT, blocks


def test_the_python_example_prints_what_the_readme_shows() -> None:
    (code,) = blocks("python")
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout == blocks("json")[0]


def test_the_wrong_setting_prints_what_the_readme_shows() -> None:
    shown = blocks("text")[-1]
    found = re.match(r"chargelog-(\w+): ([A-Z_]+)='([^']*)' is not valid", shown)
    assert found is not None
    service, name, value = found.groups()
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-m", service],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, name: value},
    )
    assert (done.returncode, done.stderr) == (2, shown)


def test_every_link_and_test_that_the_readme_names_exists() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^):]+)\)", text)
    tests = re.findall(r"`(tests/[\w/.]+)`", text)
    assert links
    assert tests
    missing = [path for path in [*links, *tests] if not (ROOT / path).exists()]
    assert missing == []


def test_every_make_target_and_script_that_the_readme_names_exists() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:`|^)make ([a-z]+)", text, re.MULTILINE)) <= targets
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert set(re.findall(r"`(chargelog-\w+)[` ]", text)) <= set(scripts)
