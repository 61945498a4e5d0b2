"""What a collection brought: coverage, changes between versions, what contradicts itself."""
