"""The router on CloudFront and its KeyValueStore."""
