from __future__ import annotations

import os
from pathlib import Path

from bifrost_engine.journal.lock import FileLock, holder


def test_the_holder_of_a_lock_is_this_process_until_it_gives_the_lock_up(tmp_path: Path):
    path = tmp_path / "journal-D.db.lock"
    assert holder(path) is None

    lock = FileLock(path, "desk-1")
    found = holder(path)
    assert found is not None
    assert (found.pid, found.instance) == (os.getpid(), "desk-1")

    lock.release()
    assert path.exists()  # the file stays and still names us
    assert holder(path) is None


def test_a_lock_file_that_names_nobody_or_a_dead_process_has_no_holder(tmp_path: Path):
    path = tmp_path / "journal-D.db.lock"
    for text in ("", "{}", "[]", '{"pid": 2147483646, "host": "h", "instance": "i", "since": "s"}'):
        path.write_text(text)
        assert holder(path) is None
