"""The checks before anything is touched: preflight items, drift, a Terraform plan, the checklist and its attestations."""
