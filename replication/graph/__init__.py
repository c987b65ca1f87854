"""The DVC graph: what decides a result, dvc.yaml written from the declarations, and its stages expanded."""
