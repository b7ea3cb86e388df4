"""What keeps a verdict honest: the collection guard, outcomes that no plugin can change, waivers, resource warnings."""
