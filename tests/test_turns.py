"""Tests that measure time have the machine to themselves, and nobody waits for ever."""

import fcntl
import threading
import time
from pathlib import Path

from tests.turns import Turns, my_turn


class Room:
    """Counts who is in it, and complains of company where somebody wanted none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.inside: list[str] = []
        self.most = 0
        self.disturbed = 0
        self.order: list[str] = []

    def visit(self, name: str, *, alone: bool, stay_s: float = 0.02) -> None:
        with my_turn(self.folder, alone=alone):
            self.order.append(name)
            self.inside.append(name)
            self.most = max(self.most, len(self.inside))
            time.sleep(stay_s)
            self.disturbed += alone and len(self.inside) > 1
            self.inside.remove(name)


def _all(visits: list[threading.Thread]) -> None:
    for visit in visits:
        visit.start()
    for visit in visits:
        visit.join()


def test_who_needs_no_quiet_has_company(tmp_path: Path) -> None:
    room = Room(tmp_path)
    together = threading.Barrier(2)

    def visit() -> None:
        with my_turn(tmp_path, alone=False):
            together.wait(timeout=30)  # both are inside, or neither gets on
            room.most += 1

    _all([threading.Thread(target=visit) for _ in range(2)])
    assert room.most == 2


def test_who_wants_to_be_alone_is(tmp_path: Path) -> None:
    room = Room(tmp_path)
    visits = [
        threading.Thread(target=room.visit, args=(f"{place}",), kwargs={"alone": place % 3 == 0}) for place in range(24)
    ]
    _all(visits)
    assert (len(room.order), room.disturbed) == (24, 0)


def _wait_until_taken(lock: Path) -> None:
    while True:
        with lock.open("w") as probe:
            try:
                fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
        time.sleep(0.001)


def test_who_waits_to_be_alone_is_not_overtaken(tmp_path: Path) -> None:
    room = Room(tmp_path)
    alone = threading.Thread(target=room.visit, args=("alone",), kwargs={"alone": True})
    later = threading.Thread(target=room.visit, args=("later",), kwargs={"alone": False})
    with my_turn(tmp_path, alone=False):
        alone.start()
        _wait_until_taken(tmp_path / "gate.lock")
        later.start()
        later.join(timeout=0.1)
        assert room.order == []
    for visit in (alone, later):
        visit.join(timeout=30)
    assert room.order == ["alone", "later"]


def _waiting(room: Room) -> threading.Thread:
    """Somebody who has asked for company, and has to wait."""
    other = threading.Thread(target=room.visit, args=("other",), kwargs={"alone": False}, daemon=True)
    other.start()
    _wait_until_taken(room.folder / "gate.lock")
    return other


def test_who_is_alone_again_keeps_the_room(tmp_path: Path) -> None:
    """For as many tests as are alone one after another; then the others have their turn."""
    room, turns = Room(tmp_path), Turns(tmp_path)
    with turns.taken(alone=True, keeps=True):
        other = _waiting(room)
    for keeps in (True, False):
        other.join(timeout=0.1)
        assert room.order == []
        with turns.taken(alone=True, keeps=keeps):
            pass
    other.join(timeout=30)
    assert room.order == ["other"]


def test_a_room_that_was_kept_for_nobody_is_given_back(tmp_path: Path) -> None:
    """And taken again afterwards, as the first time."""
    room, turns = Room(tmp_path), Turns(tmp_path)
    for times in (1, 2):
        with turns.taken(alone=True, keeps=True):
            other = _waiting(room)
        turns.give_back()
        other.join(timeout=30)
        assert room.order == ["other"] * times


def test_only_who_is_alone_keeps_the_room(tmp_path: Path) -> None:
    """A test that needs no quiet ends its turn, and the one after it, which does, waits for its own."""
    room, turns = Room(tmp_path), Turns(tmp_path)
    with turns.taken(alone=False, keeps=True):
        pass
    room.visit("other", alone=True)
    with turns.taken(alone=True, keeps=False):
        other = _waiting(room)
        assert room.order == ["other"]
    other.join(timeout=30)
    assert room.order == ["other"] * 2
