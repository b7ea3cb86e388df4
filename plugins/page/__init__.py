"""The pages: a report's, rendered from the content of ``data.json`` alone, and the history of all runs."""

from plugins.page.history import refresh
from plugins.page.rendering import render

__all__ = ["refresh", "render"]
