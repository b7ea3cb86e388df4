"""The ports of ``deployment`` on AWS, one implementation a file; ``registry`` names those that settings choose between."""
