"""An estate that other tools made, read for `adopt`: an ECS or App Runner service with its front door. Nothing here writes."""
