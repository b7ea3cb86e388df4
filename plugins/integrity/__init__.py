"""Guards of the verdict: the collection guard, sealed outcomes, waivers, resource warnings."""
