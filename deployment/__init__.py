"""The deployment itself, without pytest, boto3 and HTTP: its plan, its steps, its evidence, and the ports that it needs."""
