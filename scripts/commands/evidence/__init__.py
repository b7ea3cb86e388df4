"""Commands about the evidence of earlier runs: the audit store, bundles for auditors, and the history."""
