"""CloudFront's key value store, and the route that the edge reads."""
