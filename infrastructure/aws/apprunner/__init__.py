"""The platform on App Runner, and the requests that it sends."""
