"""The parts of Markdown that these tests read: fenced blocks, links, headings and tables."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
DOCUMENTS = [*(ROOT / name for name in PAGES), *sorted((ROOT / "docs").glob("*.md"))]


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the words and ``key=value`` options after it, its text and the number of its first line."""

    language: str
    words: frozenset[str]
    options: dict[str, str]
    text: str
    line: int


@dataclass(frozen=True)
class Document:
    """A Markdown file."""

    path: Path

    @property
    def name(self) -> str:
        """Return its path below the project's folder."""
        return str(self.path.relative_to(ROOT))

    @property
    def text(self) -> str:
        """Return the whole text."""
        return self.path.read_text(encoding="utf-8")

    def blocks(self) -> list[Block]:
        """Return the fenced blocks, in order."""
        blocks: list[Block] = []
        opened: tuple[str, int] | None = None
        lines: list[str] = []
        for number, line in enumerate(self.text.splitlines(), 1):
            if not line.startswith("```"):
                lines.append(line)
            elif opened is None:
                opened, lines = (line[3:], number), []
            else:
                language, *rest = opened[0].split() or [""]
                options = dict(word.split("=", 1) for word in rest if "=" in word)
                words = frozenset(word for word in rest if "=" not in word)
                blocks.append(Block(language, words, options, "\n".join(lines) + "\n", opened[1] + 1))
                opened = None
        assert opened is None, f"{self.name}: a block is not closed"
        return blocks

    def prose(self) -> str:
        """Return the text without its fenced blocks."""
        return re.sub(r"^```.*?^```$", "", self.text, flags=re.MULTILINE | re.DOTALL)

    def links(self) -> list[str]:
        """Return the targets of its links."""
        return re.findall(r"\]\(([^)\s]+)\)", self.prose())

    def anchors(self) -> set[str]:
        """Return its headings' anchors, as GitHub makes them."""
        headings = re.findall(r"^#+ (.+)$", self.prose(), flags=re.MULTILINE)
        return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}

    def table(self, first_header: str) -> list[list[str]]:
        """Return the rows of all tables whose first column has this header, without back quotes."""
        rows: list[list[str]] = []
        inside = False
        for line in self.prose().splitlines():
            cells = [cell.strip().replace("`", "") for cell in line.strip().strip("|").split("|")]
            if not line.startswith("|"):
                inside = False
            elif inside:
                rows.append(cells)
            elif cells[0] == first_header:
                inside = True
        return [row for row in rows if not set(row[0]) <= {"-", " ", ":"}]


def document(name: str) -> Document:
    """Return a document by its path below the project's folder."""
    return Document(ROOT / name)
