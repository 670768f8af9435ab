from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def ucf101_lists(data_dir: Path) -> Path:
    """The official lists of UCF101."""
    return data_dir / "splits" / "ucf101"


@pytest.fixture
def small_lists(tmp_path: Path) -> Path:
    """Lists of split 1 with two classes of the real class list, 4 training and 3 test clips."""
    folder = tmp_path / "lists"
    folder.mkdir()
    train = (
        "Archery/v_Archery_g08_c01.avi 3\r\n"
        "Archery/v_Archery_g09_c01.avi 3\r\n"
        "HandstandPushups/v_HandStandPushups_g08_c01.avi 37\r\n"
        "HandstandPushups/v_HandStandPushups_g09_c01.avi 37\r\n"
    )
    test = (
        "Archery/v_Archery_g01_c01.avi\r\n"
        "Archery/v_Archery_g01_c02.avi\r\n"
        "HandstandPushups/v_HandStandPushups_g01_c01.avi\r\n"
    )
    (folder / "trainlist01.txt").write_bytes(train.encode())
    (folder / "testlist01.txt").write_bytes(test.encode())
    return folder
