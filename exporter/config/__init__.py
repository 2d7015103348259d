"""The configuration: a YAML file and the files that it names, as servers and targets."""
