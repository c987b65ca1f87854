"""The fields that a batch may have beside image and mask."""

OPTIONAL_FIELDS = ("attributes", "boxes", "identity", "landmarks", "parsing")
