"""Elastic Load Balancing: listeners, rules, target groups and their health."""
