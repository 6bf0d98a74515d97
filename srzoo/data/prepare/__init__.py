"""Preparation of datasets before training: LR files, sub-images, lists, downloads, summaries.

Everything here knows folders and files, not arguments; the commands ``srzoo data ...`` compose it.
"""
