"""`adopt`: the settings for an estate that other tools made, and the Terraform for what it lacks."""
