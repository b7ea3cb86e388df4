# A trial on AWS that `terraform destroy` removes completely, as small as the estate gets; docs/tear-down.md describes it.
# Use it beside your own file: terraform apply -var-file=trial.tfvars -var-file=MINE.tfvars

environment = "trial"
trial       = true

cpu      = 512
memory   = 1024
min_size = 1
max_size = 2

db_instance_class    = "db.t3.micro"
db_allocated_storage = 20
redis_node_type      = "cache.t3.micro"

# The reference service makes its smoke users itself.
seed_smoke_users = true
