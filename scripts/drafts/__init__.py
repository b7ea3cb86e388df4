"""Drafts of a project's files for a service that the framework has not seen: from its OpenAPI document, or by asking it."""
