"""What a person sees of a run: progress, redacted output."""
