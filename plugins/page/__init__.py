"""The page of a report: one self-contained HTML file, rendered from the content of ``data.json`` alone."""

from plugins.page.render import render

__all__ = ["render"]
