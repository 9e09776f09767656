"""Writes the documents of one API group out of a multi-document YAML as JSON files, for a schema check."""

import json
import pathlib
import sys

try:
    import yaml
except ImportError:  # in the venv of check.sh ruamel comes with check-jsonschema
    from ruamel.yaml import YAML

    class yaml:  # noqa: N801 - stands in for the module
        @staticmethod
        def safe_load_all(text):
            return YAML(typ="safe").load_all(text)


source, group, target = sys.argv[1:]
folder = pathlib.Path(target)
folder.mkdir(parents=True, exist_ok=True)
found = [d for d in yaml.safe_load_all(pathlib.Path(source).read_text()) if d and d["apiVersion"].startswith(group)]
for document in found:
    name = f"{document['kind']}-{document['metadata']['name']}.json"
    (folder / name).write_text(json.dumps(document))
if not found:
    sys.exit(f"no documents of {group} in {source}")
