"""YAML -> checked models: recipes, passes' settings, data sets, deploy targets."""
