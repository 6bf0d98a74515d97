"""Files named after keys lie where they belong."""

import pytest

from srzoo.engine.run_folder import RunFolder
from srzoo.keys import file_of


def test_slashes_make_folders_and_dots_stay(tmp_path):
    assert file_of(tmp_path, "a/b/photo.v1", ".png") == tmp_path / "a" / "b" / "photo.v1.png"
    assert file_of(tmp_path, "..a", "") == tmp_path / "..a"


@pytest.mark.parametrize("key", ["../x", "a/../../x", "/etc/x", "..", ".", "", "a//b", "a/", "a\0b"])
def test_keys_that_lead_elsewhere_are_refused(tmp_path, key):
    with pytest.raises(ValueError, match="names no file below"):
        file_of(tmp_path, key, ".png")
    with pytest.raises(ValueError, match="names no file below"):
        RunFolder(tmp_path).results_of(key)
