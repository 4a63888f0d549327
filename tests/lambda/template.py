#!/usr/bin/env python3
"""The template of an instance on AWS Lambda, for a small project and for one with every setting: `cfn-lint` finds no fault in it, and each
property of each resource is listed in `checked.txt`, with its check (checked.py), and in the guide, into which `--write` writes the list.
cfn-lint is installed into `--venv`."""
import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import checked

GUIDE = Path(__file__).resolve().parent.parent.parent / "docs/guide/lambda.md"
HEAD = "| resource | seen to work in ministack | read and used by the stand-in for Lambda | only its form |\n|---|---|---|---|\n"

SMALL = {"hark.toml": "", "service.hk": "fn main() { 1 }\n"}
FULL = {
    "hark.toml": """
[instance]
lambda_timeout = 60
lambda_memory = 1024
env = "vars"
policy_file = "policy.json"
s3_access = ["hark-other"]
managed_buckets = ["hark-photos", "hark-more"]
upload_triggers = [["hark-photos", "in/", ".jpg"], ["hark-photos", "new/", ""]]
enable_api = true
schedules = [["rate(1 hour)", "hourly"], ["cron(0 12 * * ? *)", "hourly"]]
log_days = 7
python_version = "3.12"
extra_layers = ["arn:aws:lambda:eu-west-1:123456789012:layer:numpy:3"]
[storage.dynamodb]
bucket = "hark-contents"
""",
    "service.hk": """
#[memory(2048)] import(big, m, 1);
#[timeout(600)] import(long, m, 1);
fn on_upload(bucket, key) { big(key) }
fn on_http(method, path, event) { long(path) }
fn hourly() { 1 }
fn main() { 1 }
""",
    "m.py": "def big(x): pass\n\n\ndef long(x): pass\n",
    "vars": "STAGE=test\n",
    "policy.json": json.dumps({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "ses:SendEmail", "Resource": "*"}],
    }),
}
BUNDLED = {
    "hark.toml": '[instance]\nruntime = "bundled"\nbundled_python = "py"\narchitecture = "arm64"\nhark_binary = "hark"\n',
    "service.hk": "fn main() { 1 }\n",
    "hark": "stands for a program",
    "py/bin/python3": "stands for a Python",
}


def template_of(hark, files, folder):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    done = subprocess.run([hark, "deploy", "--dry-run", "--uuid", "lint", "-q"], cwd=folder, capture_output=True, text=True)
    if done.returncode or done.stderr:
        raise SystemExit(f"hark deploy --dry-run: exit status {done.returncode}\n{done.stderr}")
    return done.stdout


def properties_of(template):
    """`TYPE.PROPERTY`, of all resources."""
    for resource in json.loads(template)["Resources"].values():
        yield from (f"{resource['Type']}.{name}" for name in resource["Properties"])


def check_list(found):
    """Whether the list is of just these properties."""
    listed = checked.listed()
    wrong = [f"{name} is not listed" for name in sorted(found - set(listed))]
    wrong += [f"{name} is in no template" for name in sorted(set(listed) - found)]
    if wrong:
        raise SystemExit(f"{checked.CHECKED.name}:\n" + "\n".join(wrong))
    counts = Counter(way for way, _ in listed.values())
    print(f"{len(listed)} properties: " + ", ".join(f"{counts[way]} by {way}" for way in checked.WAYS))
    return listed


def table(listed):
    """The list, as the guide has it."""
    rows = {}
    for name, (way, _) in listed.items():
        kind, _, name = name.removeprefix("AWS::").rpartition(".")
        rows.setdefault(kind, {way: [] for way in checked.WAYS})[way].append(name)
    return HEAD + "".join(f"| {kind} | " + " | ".join(", ".join(names) for names in row.values()) + " |\n" for kind, row in rows.items())


def check_guide(listed, is_written):
    text = GUIDE.read_text()
    begin = text.index(HEAD)
    end = text.index("\n\n", begin) + 1
    if is_written:
        GUIDE.write_text(text[:begin] + table(listed) + text[end:])
    elif text[begin:end] != table(listed):
        raise SystemExit(f"{GUIDE.name} has another list; `--write` writes it")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hark", type=Path)
    parser.add_argument("--venv", type=Path, required=True)
    parser.add_argument("--write", action="store_true", help="write the list into the guide")
    given = parser.parse_args()
    hark, lint = given.hark.resolve(), given.venv.resolve() / "bin/cfn-lint"
    if not lint.exists():
        subprocess.run([given.venv / "bin/python", "-m", "pip", "install", "--quiet", "cfn-lint>=1,<2"], check=True)
    found = set()
    with tempfile.TemporaryDirectory(prefix="hark-template-") as folder:
        for name, files in {"small": SMALL, "full": FULL, "bundled": BUNDLED}.items():
            template = template_of(hark, files, Path(folder) / name)
            if template != template_of(hark, files, Path(folder) / name):
                raise SystemExit(f"{name}: the same project has another template")
            path = Path(folder) / f"{name}.json"
            path.write_text(template)
            found |= set(properties_of(template))
            linted = subprocess.run([lint, path], capture_output=True, text=True)
            print(f"{name}: cfn-lint exits with {linted.returncode}")
            if linted.returncode:
                sys.exit(linted.stdout + linted.stderr)
    check_guide(check_list(found), given.write)


if __name__ == "__main__":
    main()
