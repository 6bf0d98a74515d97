"""Networks: one file per architecture family; every module here is imported when the first network is looked up."""
