"""The evidence of a run: journal, verdict, report, signature, archive, and their audit."""
