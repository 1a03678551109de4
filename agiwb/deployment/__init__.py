"""A folder that deploys a model to where one machine is outgrown, and the check of it."""
