"""Tells from the syntax tree alone which assertions are always true, and which checks cannot fail as they are written."""
