"""The router on an Application Load Balancer, and the actions that it reads and sends."""
