"""Network parts that two or more architectures use."""
