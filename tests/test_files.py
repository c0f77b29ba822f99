from __future__ import annotations

from pathlib import Path

import pytest

from bayes_scaling.errors import InputError
from bayes_scaling.files import make_folder


def test_a_folder_is_made_with_those_it_lies_in(tmp_path: Path) -> None:
    assert make_folder(tmp_path / "a" / "b").is_dir()
    assert make_folder(tmp_path / "a").is_dir()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file: is a file; name a folder"):
        make_folder(tmp_path / "file")
    with pytest.raises(InputError, match="the folder cannot be made: Not a directory; name another"):
        make_folder(tmp_path / "file" / "x")
