output "redis_host" {
  description = "Host of the primary node; it stays the same when the replica takes over."
  value       = aws_elasticache_replication_group.main.primary_endpoint_address
}
