"""The checks that every service gets from its description, ``suites/service.yaml``: a module for each kind of gate."""
