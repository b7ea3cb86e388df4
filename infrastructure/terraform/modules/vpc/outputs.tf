output "vpc_id" {
  description = "The VPC."
  value       = aws_vpc.main.id
}

output "private_subnet_ids" {
  description = "Subnets without a way in from the internet."
  value       = aws_subnet.private[*].id
}

output "public_subnet_ids" {
  description = "Subnets of what faces the internet."
  value       = aws_subnet.public[*].id
}

output "service_security_group_id" {
  description = "Security group of the service's tasks or connector."
  value       = aws_security_group.service.id
}

output "nat_addresses" {
  description = "Addresses under which the VPC is seen outside."
  value       = aws_eip.nat[*].public_ip
}
