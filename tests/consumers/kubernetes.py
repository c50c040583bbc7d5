"""Checks Kubernetes resources against the schemas of two versions; prints them as a JSON array.

Argument: the YAML file. The oldest version is the one that the file names, the newest the one that the
checker knows.
"""
import json
import re
import sys
from pathlib import Path

import kubernetes_validate
import yaml

text = Path(sys.argv[1]).read_text()
oldest = re.search(r"Kubernetes (\d+\.\d+) or later", text).group(1)
documents = list(yaml.safe_load_all(text))
for document in documents:
    for version in (oldest, kubernetes_validate.latest_version()):
        # Strict: a name that the schema does not have is a misspelt one.
        kubernetes_validate.validate(document, version, strict=True)
json.dump(documents, sys.stdout)
