"""Private: pictures with boxes, in COCO's format."""
