"""The pictures of the README are there, can be read, and show nothing that is nobody's business."""

from __future__ import annotations

import re
from pathlib import Path
from uuid import uuid4
from xml.etree import ElementTree as ET

import pytest

from docs.pictures.terminal import Terminal, visible
from lift_store.local.token import mint
from lift_store.protocol import Operation

ROOT = Path(__file__).parents[2]
LINKS = re.findall(r"!\[([^]]*)\]\(([^)]+)\)", (ROOT / "README.md").read_text())
KEPT = ROOT / "docs" / "pictures" / "run.json"


def test_the_readme_shows_a_terminal_and_a_graph() -> None:
    """Each with a text for those who cannot see it."""
    assert [target for _, target in LINKS] == ["docs/pictures/terminal.svg", "docs/pictures/latency.svg"]
    assert all(len(text) > 40 for text, _ in LINKS)


@pytest.mark.parametrize("target", [target for _, target in LINKS])
def test_a_picture_is_small_and_whole_and_loads_nothing(target: str) -> None:
    """Well-formed, of every operation, and without a font or an image from elsewhere."""
    picture = (ROOT / target).read_text()
    assert ET.fromstring(picture).tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314 - our own file
    assert len(picture) < 300_000
    assert {operation for operation in Operation if operation not in picture} == set()
    assert not re.search(r"url\(['\"]?(?!#)|href=['\"](?!#)", picture)


@pytest.mark.parametrize("file", [KEPT, *(ROOT / target for _, target in LINKS)], ids=lambda path: path.name)
def test_no_token_and_no_folder_of_whoever_drew_it(file: Path) -> None:
    """Neither in the pictures nor in what they are drawn from."""
    assert re.findall(r"eyJ|/(?:root|home|tmp|Users)/", file.read_text()) == []


def test_what_a_terminal_erases_is_not_seen() -> None:
    """Nor is a token."""
    printed = f"one\r\n\x1b[?25l\x1b[32mbusy\x1b[0m\r\x1b[2Kbusier\r\n\x1b[?25h\r\x1b[1A\x1b[2K'Bearer {mint('x' * 40, uuid4())}'\r\n"
    assert visible(printed) == "one\n'Bearer ********'"


def test_a_command_in_a_terminal_is_read_to_its_end(tmp_path: Path) -> None:
    """In colour, as people see it."""
    with Terminal("lift-store loadgen --help", tmp_path) as terminal:
        assert "Example: lift-store loadgen" in terminal.end()
    with Terminal("lift-store --version", tmp_path) as terminal, pytest.raises(SystemExit, match="0"):
        terminal.until("never printed")
