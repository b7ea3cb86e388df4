"""Caddy, the proxy in front: its configuration as CloudFront's edge or as a load balancer, and its process."""
