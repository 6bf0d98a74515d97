"""Files and packages of other projects: nothing outside this package knows their formats."""
