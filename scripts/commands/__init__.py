"""The commands of scripts/deploy.py, one module each."""
