"""AWS's wire protocols and the check of requests and answers against botocore's service models."""
