"""The telehealth API: an ordinary web service, ready to be deployed blue/green."""
