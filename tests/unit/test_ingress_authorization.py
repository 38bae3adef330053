import os
from pathlib import Path

import pytest

from ingress.authorization import AcceptAll, ListFile, parse
from ingress.errors import AuthorizationFileError


def test_accept_all_accepts() -> None:
    assert AcceptAll().authorize("anything").status == "Accepted"


def test_list_gives_status_without_regard_to_case_and_unknown_is_invalid(tmp_path: Path) -> None:
    path = tmp_path / "tags"
    path.write_text("# staff\n\n04A2B3C4\n 04ffee01 , Blocked\n", encoding="utf-8")
    tags = ListFile(path)
    assert [tags.authorize(t).status for t in ("04a2b3c4", "04FFEE01", "other")] == [
        "Accepted",
        "Blocked",
        "Invalid",
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("A\nB,Perhaps", "line 2: 'Perhaps' is no status; expected one of Accepted"),
        ("x" * 256, "line 1: an idTag has 1 to 255 characters"),
        (",Blocked", "line 1: an idTag has 1 to 255 characters"),
        ("A\n\na,Blocked", "line 3: 'a' is listed twice"),
    ],
)
def test_wrong_line_is_named(text: str, reason: str) -> None:
    with pytest.raises(AuthorizationFileError, match=reason):
        parse(text)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(AuthorizationFileError, match="nothing-here can't be read"):
        ListFile(tmp_path / "nothing-here")


def test_change_is_taken_up_and_a_wrong_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "tags"
    path.write_text("A\n", encoding="utf-8")
    tags = ListFile(path)
    path.write_text("A,Blocked\n", encoding="utf-8")
    tags.reload(force=False)
    assert tags.authorize("A").status == "Blocked"
    path.write_text("A,Nonsense\n", encoding="utf-8")
    tags.reload(force=False)
    assert tags.authorize("A").status == "Blocked"
    path.unlink()
    tags.reload(force=False)
    assert tags.authorize("A").status == "Blocked"


def test_unchanged_looking_file_is_read_again_when_forced(tmp_path: Path) -> None:
    path = tmp_path / "tags"
    path.write_text("A,Blocked\n", encoding="utf-8")
    tags = ListFile(path)
    before = path.stat()
    path.write_text("A,Expired\n", encoding="utf-8")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    tags.reload(force=False)
    assert tags.authorize("A").status == "Blocked"
    tags.reload(force=True)
    assert tags.authorize("A").status == "Expired"
